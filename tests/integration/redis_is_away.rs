//! Redis loses everything, or is not there: tasks are late, not lost.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;

use crate::{
    customer::{Customer, SMALL},
    stack::{Stack, eventually},
};

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn tasks_whose_tickets_were_flushed_run_all_the_same(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(SMALL).await;
    let mut tasks = Vec::new();
    for _ in 0..5 {
        tasks.push(acme.submit(acme.task("small", json!({}))).await);
    }
    stack.redis.run("FLUSHALL").await;
    stack.age_tickets().await;
    let _worker = stack.worker();
    for task in &tasks {
        assert_eq!(acme.finished(task).await["status"], "completed");
    }
    // Also under a worker that is at work: apalis forgets its registration with the rest.
    stack.redis.run("FLUSHALL").await;
    let task = acme.submit(acme.task("small", json!({}))).await;
    stack.redis.run("FLUSHALL").await;
    stack.age_tickets().await;
    assert_eq!(acme.finished(&task).await["status"], "completed");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_task_is_accepted_without_redis_and_runs_once_it_is_back(root: PgPool) {
    let mut stack = Stack::start(&root, &[]).await;
    let worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(SMALL).await;
    let before = acme.submit(acme.task("small", json!({}))).await;
    assert_eq!(acme.finished(&before).await["status"], "completed");
    stack.redis.down();
    eventually("the worker has noticed", async || worker.log().contains("WARN").then_some(())).await;
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(acme.submit(acme.task("small", json!({}))).await);
    }
    assert_eq!(acme.find(&tasks[0]).await["status"], "queued");
    assert!(stack.redis.up().await);
    stack.age_tickets().await;
    for task in &tasks {
        assert_eq!(acme.finished(task).await["status"], "completed");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_redis_that_stalls_holds_up_neither_an_answer_nor_the_end_of_a_worker(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let mut worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(SMALL).await;
    let before = acme.submit(acme.task("small", json!({}))).await;
    assert_eq!(acme.finished(&before).await["status"], "completed");
    stack.redis.hold(true);
    let asked_at = Instant::now();
    let task = acme.submit(acme.task("small", json!({}))).await;
    assert!(asked_at.elapsed() < Duration::from_secs(1), "took {:?}", asked_at.elapsed());
    assert_eq!(worker.stop().await, Some(0));
    assert!(asked_at.elapsed() < Duration::from_secs(15), "took {:?}", asked_at.elapsed());
    stack.redis.hold(false);
    let _worker = stack.worker();
    stack.age_tickets().await;
    assert_eq!(acme.finished(&task).await["status"], "completed");
}
