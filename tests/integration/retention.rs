//! Finished tasks go when they are old; money stays.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, days_from_now},
    stack::{Stack, eventually},
};

const RECIPE: &str = r#"
recipe:
  id: short
  name: Short
  version: "1.0"
  workflow: { nodes: [{ id: end, component: Transform, config: { value: done } }] }
  compliance: { cost_per_unit: 0.50 }
"#;

async fn age(stack: &Stack, task: &str, days: i32) {
    let age = "update task_queue set finished_at = now() - make_interval(days => $2) where id = $1::uuid";
    sqlx::query(age).bind(task).bind(days).execute(&stack.root).await.unwrap();
}

async fn run(acme: &Customer) -> String {
    crate::customer::text(&acme.complete(acme.task("short", json!({}))).await["id"])
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn old_tasks_go_by_their_agencys_bound_and_lines_stay(root: PgPool) {
    let stack = Stack::start(&root, &[("TEAMAI_RETENTION__DAYS", "90")]).await;
    let worker = stack.worker();
    let (acme, other) = (Customer::new(&stack, "acme").await, Customer::new(&stack, "other").await);
    for customer in [&acme, &other] {
        customer.publish(RECIPE).await;
    }
    let refused = acme.patch("/agency", json!({"settings": {"retention_days": 0}})).await;
    refused.invalid(&["settings.retention_days"]);
    let changed = acme.patch("/agency", json!({"settings": {"retention_days": 7}})).await.expect(200);
    assert_eq!(changed["settings"]["retention_days"], 7);
    let (old, young) = (run(&acme).await, run(&acme).await);
    let (theirs, their_old) = (run(&other).await, run(&other).await);
    for (task, days) in [(&old, 8), (&young, 6), (&theirs, 89), (&their_old, 91)] {
        age(&stack, task, days).await;
    }
    worker.kill();
    let _worker = stack.worker();
    eventually("the old ones are gone", async || {
        (stack.count("select count(*) from task_queue").await == 2).then_some(())
    })
    .await;
    acme.get(&format!("/tasks/{old}")).await.problem(404, "not_found");
    acme.find(&young).await;
    other.find(&theirs).await;
    other.get(&format!("/tasks/{their_old}/steps")).await.problem(404, "not_found");
    assert_eq!(stack.count("select count(*) from task_steps").await, 2);
    let lines = acme.lines(&old).await;
    assert_eq!((lines.len(), &lines[0]["kind"]), (1, &json!("execution")), "what was billed stays");

    let cleared = acme.patch("/agency", json!({"settings": {"retention_days": null}})).await.expect(200);
    assert_eq!(cleared["settings"]["retention_days"], json!(null));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_operator_prunes_by_age_and_agency(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let (acme, other) = (Customer::new(&stack, "acme").await, Customer::new(&stack, "other").await);
    for customer in [&acme, &other] {
        customer.publish(RECIPE).await;
    }
    for customer in [&acme, &acme, &other] {
        age(&stack, &run(customer).await, 40).await;
    }
    let mut later = acme.task("short", json!({}));
    later["run_at"] = days_from_now(300);
    acme.submit(later).await;
    let prune = |arguments: &[&str]| {
        let arguments = [&["admin", "prune", "--json"], arguments].concat();
        let done = stack.command(&arguments, &[]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice::<Value>(&done.stdout).unwrap()
    };
    assert_eq!(prune(&["--older-than", "41d"])["tasks"], 0);
    let dry = prune(&["--older-than", "30d", "--dry-run"]);
    assert_eq!((&dry["tasks"], &dry["deleted"]), (&json!(3), &json!(false)));
    assert_eq!(prune(&["--older-than", "30d", "--agency", &acme.agency])["tasks"], 2);
    assert_eq!(prune(&["--older-than", "30d"])["tasks"], 1);
    assert_eq!(stack.count("select count(*) from task_queue").await, 1, "one that has not ended stays");
    assert_eq!(stack.count("select count(*) from audit_logs").await, 3);
    let wrong = stack.command(&["admin", "prune", "--older-than", "soon"], &[]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("as in 90d"));
}
