//! What one agency's runs may hold in the memory of a worker, whatever they are told to make.

use std::{fmt::Write, time::Duration};

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::Customer,
    stack::{Process, Stack, eventually},
};

const MIB: u64 = 300;
/// Bytes of a text that a template makes. An output may have 16 MiB; a build for tests takes its time with those.
const LONG: usize = 2_000_000;

/// The most memory that the process ever had.
fn peak_mib(worker: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Waits for what is to happen and looks at the memory meanwhile, so that a process without
/// a bound takes this test with it and not the machine.
async fn within_bounds<T>(worker: &Process, what: impl Future<Output = T>) -> T {
    let watch = async {
        loop {
            let peak = peak_mib(worker);
            assert!(peak < MIB, "the worker took {peak} MiB");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        done = what => done,
        () = watch => unreachable!("the watch has no end"),
    }
}

/// One node that makes 4 MB, and `others` that each give the same again.
fn large(slug: &str, others: usize) -> String {
    let block = "x".repeat(1000);
    let long = format!("{{% for i in range({}) %}}{block}{{% endfor %}}", LONG / 1000);
    let mut yaml = format!(
        "recipe:\n  id: {slug}\n  name: Large\n  version: \"1.0\"\n  workflow:\n    nodes:\n      \
         - {{ id: n0, component: Transform, config: {{ value: [\"{long}\", \"{long}\"] }} }}\n"
    );
    for n in 1..=others {
        let node =
            format!("{{ id: n{n}, component: Transform, depends_on: [n0], config: {{ value: \"{{{{ n0 }}}}\" }} }}");
        writeln!(yaml, "      - {node}").unwrap();
    }
    yaml + "      - { id: end, component: Transform, depends_on: [n0], config: { value: done } }\n    \
            output: { source: end }\n"
}

/// Twenty loops over ten thousand numbers.
fn many() -> String {
    let mut yaml = "recipe:\n  id: many\n  name: Many\n  version: \"1.0\"\n  workflow:\n    nodes:\n".to_owned();
    for n in 0..20 {
        let config = "{ value: { n: \"{{ item }}\", of: \"{{ index }}\", list: [1, null, {}] } }";
        writeln!(yaml, "      - {{ id: n{n}, component: Transform, for_each: \"range(10000)\", config: {config} }}")
            .unwrap();
    }
    yaml
}

const SMALL: &str = "recipe:\n  id: small\n  name: Small\n  version: \"1.0\"\n  workflow:\n    nodes:\n      \
                     - { id: a, component: Transform, config: { value: \"{{ 6 * 7 }}\" } }\n";

async fn start(root: &PgPool) -> (Stack, Process, Customer, Customer) {
    let stack = Stack::start(root, &[]).await;
    let worker = stack.worker();
    let (hostile, other) = (Customer::new(&stack, "hostile").await, Customer::new(&stack, "other").await);
    other.publish(SMALL).await;
    other.complete(other.task("small", json!({}))).await;
    (stack, worker, hostile, other)
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_hundred_large_outputs_fail_their_run_and_nothing_else(root: PgPool) {
    let (_stack, worker, hostile, other) = start(&root).await;
    hostile.publish(&large("large", 99)).await;
    let before = peak_mib(&worker);
    let task = hostile.submit(hostile.task("large", json!({}))).await;
    let beside = async {
        for _ in 0..10 {
            let done = other.complete(other.task("small", json!({}))).await;
            assert_eq!(other.output(done["id"].as_str().unwrap()).await.text, "42");
        }
        hostile.finished(&task).await
    };
    let ended = within_bounds(&worker, beside).await;
    assert_eq!(ended["status"], "failed", "{ended}");
    let error = &ended["error"];
    assert_eq!(error["code"], "run_too_large", "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("128 MiB") && message.contains("Transform"), "{message}");
    assert_eq!(ended["attempt"], 1, "it is not tried again: {ended}");
    println!("{before} MiB before, {} MiB at most", peak_mib(&worker));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn two_hundred_thousand_items_are_kept_compactly(root: PgPool) {
    let (stack, worker, hostile, other) = start(&root).await;
    hostile.publish(&many()).await;
    let before = peak_mib(&worker);
    let task = hostile.submit(hostile.task("many", json!({}))).await;
    let beside = async {
        eventually("the loops are at work", async || {
            let steps = stack.count("select count(distinct node_id) from task_steps").await;
            (steps >= 20).then_some(())
        })
        .await;
        other.complete(other.task("small", json!({}))).await;
        eventually("items are done", async || {
            let steps = stack.count("select count(*) from task_steps").await;
            (steps >= 4000).then_some(())
        })
        .await;
        hostile.post(&format!("/tasks/{task}/cancel"), json!({})).await;
        hostile.finished(&task).await
    };
    let ended: Value = within_bounds(&worker, beside).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    println!("{before} MiB before, {} MiB at most", peak_mib(&worker));
}

/// Each holds 80 MB, an agency 128 MiB in one process: they come to their end by turns.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn large_runs_at_once_wait_for_one_another(root: PgPool) {
    let (stack, worker, hostile, other) = start(&root).await;
    hostile.publish(&large("large", 19)).await;
    let before = peak_mib(&worker);
    let mut tasks = Vec::new();
    for _ in 0..2 {
        tasks.push(hostile.submit(hostile.task("large", json!({}))).await);
    }
    let beside = async {
        other.complete(other.task("small", json!({}))).await;
        // A busy machine takes its time for so many bytes, and goes on.
        for done in [10, 20, 30] {
            eventually("more large nodes are done", async || {
                let steps = stack.count("select count(*) from task_steps where node_id <> 'a'").await;
                (steps >= done).then_some(())
            })
            .await;
        }
        for task in &tasks {
            let ended = hostile.finished(task).await;
            assert_eq!(ended["status"], "completed", "{ended}");
        }
    };
    within_bounds(&worker, beside).await;
    println!("{before} MiB before, {} MiB at most", peak_mib(&worker));
}
