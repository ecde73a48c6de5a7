//! A worker is asked to stop (SIGTERM) in the middle of a task.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, of_kind},
    model::Model,
    stack::{Stack, eventually},
};

fn recipe(slug: &str, model: &str) -> String {
    format!(
        r#"
recipe:
  id: {slug}
  name: {slug}
  version: "1.0"
  workflow:
    nodes:
      - {{ id: first, component: LLMProcessor, config: {{ model: openai/scripted-small, prompt_template: First }} }}
      - {{ id: slow, component: LLMProcessor, depends_on: [first], config: {{ model: openai/{model}, prompt_template: Slowly }} }}
"#
    )
}

async fn asked(model: &Model, name: &str) {
    eventually("the model is asked", async || {
        model.requests().iter().any(|request| request["model"] == name).then_some(())
    })
    .await;
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_ends_in_time_is_finished_and_the_rest_is_handed_back(root: PgPool) {
    let model = Model::serve().await;
    let settings = [("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &*model.base_url()), ("TEAMAI_WORKER__DRAIN_SECONDS", "3")];
    let mut stack = Stack::start(&root, &settings).await;
    let mut first = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(&recipe("short", "scripted-slow-1500")).await;
    acme.publish(&recipe("long", "scripted-slow-6000")).await;
    let short = acme.submit(acme.task("short", json!({}))).await;
    let long = acme.submit(acme.task("long", json!({}))).await;
    asked(&model, "scripted-slow-1500").await;
    asked(&model, "scripted-slow-6000").await;
    assert_eq!(first.stop().await, Some(0));

    assert_eq!(acme.find(&short).await["status"], "completed");
    let handed_back = acme.find(&long).await;
    assert_eq!((&handed_back["status"], &handed_back["attempt"]), (&json!("queued"), &json!(0)), "{handed_back}");
    assert_eq!(acme.steps(&long).await.len(), 1, "what was done is kept");

    // The default lease is a minute: only a task that was handed back is taken this soon.
    let mut second = stack.worker();
    let task = acme.finished(&long).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("completed"), &json!(1)), "{task}");
    let lines = acme.lines(&long).await;
    let calls = of_kind(&lines, "llm");
    let statuses: Vec<_> = calls.iter().map(|line| line["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["success", "unknown", "success"], "{lines:#?}");
    add_up(&task, &lines);
    let all = stack.count("select count(*) from audit_logs where kind = 'llm'").await;
    assert_eq!(usize::try_from(all).unwrap(), model.requests().len(), "one line for each request");

    let asked_at = Instant::now();
    assert_eq!((second.stop().await, stack.api.stop().await), (Some(0), Some(0)));
    assert!(asked_at.elapsed() < Duration::from_secs(2), "nothing runs, so nothing is waited for");
}
