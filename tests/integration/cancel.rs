//! Cancelling: a queued task at once, a running one soon.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, of_kind},
    model::Model,
    stack::{Stack, eventually},
};

const RECIPE: &str = r#"
recipe:
  id: endless
  name: Never answered
  version: "1.0"
  workflow:
    nodes:
      - { id: first, component: Transform, config: { value: done } }
      - { id: hang, component: LLMProcessor, depends_on: [first], config: { model: openai/scripted-hang, prompt_template: Hello } }
"#;

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_queued_task_at_once_and_a_running_one_within_a_second(root: PgPool) {
    let model = Model::serve().await;
    let stack = Stack::start(&root, &[("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &model.base_url())]).await;
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(RECIPE).await;
    let queued = acme.submit(acme.task("endless", json!({}))).await;
    let cancelled = acme.post(&format!("/tasks/{queued}/cancel"), json!({})).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    acme.post(&format!("/tasks/{queued}/cancel"), json!({})).await.problem(409, "already_finished");

    let worker = stack.worker();
    let running = acme.submit(acme.task("endless", json!({}))).await;
    eventually("the model is asked", async || (model.requests().len() == 1).then_some(())).await;
    let asked_at = Instant::now();
    acme.post(&format!("/tasks/{running}/cancel"), json!({})).await.expect(200);
    let task = acme.finished(&running).await;
    assert!(asked_at.elapsed() < Duration::from_secs(1), "took {:?}", asked_at.elapsed());
    assert_eq!((&task["status"], &task["error"]), (&json!("cancelled"), &json!(null)));
    assert_eq!(acme.steps(&running).await.len(), 1, "what was done is kept");
    let lines = acme.lines(&running).await;
    let calls = of_kind(&lines, "llm");
    assert_eq!((calls.len(), &calls[0]["status"]), (1, &json!("unknown")), "{lines:#?}");
    assert_eq!(of_kind(&lines, "execution").len(), 1, "one for each task: {lines:#?}");
    add_up(&task, &lines);

    // The cancelled one was never asked about, also by a worker that finds its ticket.
    assert_eq!(model.requests().len(), 1);
    assert!(acme.steps(&queued).await.is_empty());
    let lines = acme.lines(&queued).await;
    assert_eq!((lines.len(), &lines[0]["kind"], &lines[0]["status"]), (1, &json!("execution"), &json!("failed")));
    assert_eq!(acme.find(&queued).await["attempt"], 0);
    drop(worker);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn without_redis_the_worker_hears_of_it_by_itself(root: PgPool) {
    let model = Model::serve().await;
    let stack = Stack::start(&root, &[("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &model.base_url())]).await;
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(RECIPE).await;
    let _worker = stack.worker();
    let running = acme.submit(acme.task("endless", json!({}))).await;
    eventually("the model is asked", async || (model.requests().len() == 1).then_some(())).await;
    stack.redis.hold(true);
    let asked_at = Instant::now();
    acme.post(&format!("/tasks/{running}/cancel"), json!({})).await.expect(200);
    let task = acme.finished(&running).await;
    stack.redis.hold(false);
    assert!(asked_at.elapsed() < Duration::from_secs(2), "took {:?}", asked_at.elapsed());
    assert_eq!(task["status"], "cancelled");
    let lines = acme.lines(&running).await;
    assert_eq!((of_kind(&lines, "llm").len(), of_kind(&lines, "execution").len()), (1, 1), "{lines:#?}");
}
