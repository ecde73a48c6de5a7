//! What a node says is to become of a call whose answer was lost holds after the worker was killed.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    approvals::question,
    customer::{Customer, add_up, of_kind, text},
    model::Model,
    stack::{Process, Stack, eventually},
};

fn recipe(on_unknown: &str, model: &str) -> String {
    format!(
        "recipe:\n  id: careful-{on_unknown}\n  name: careful-{on_unknown}\n  version: '1.0'\n  workflow:\n    nodes:\n      \
         - {{ id: ask, component: LLMProcessor, on_unknown: {on_unknown}, config: {{ model: openai/{model}, prompt_template: Hello }} }}\n"
    )
}

/// Runs the recipe, kills the worker in the middle of its call, and starts another.
async fn killed(stack: &Stack, model: &Model, acme: &Customer, slug: &str) -> (String, Process) {
    let asked = model.requests().len();
    let worker = stack.worker();
    let id = acme.submit(acme.task(slug, json!({}))).await;
    eventually("the model is asked", async || (model.requests().len() == asked + 1).then_some(())).await;
    worker.kill();
    let second = stack.worker();
    stack.age_tickets().await;
    (id, second)
}

fn statuses(lines: &[Value]) -> Vec<&str> {
    of_kind(lines, "llm").into_iter().map(|line| line["status"].as_str().unwrap()).collect()
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn it_fails_or_somebody_is_asked(root: PgPool) {
    let model = Model::serve().await;
    let settings = [("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &*model.base_url()), ("TEAMAI_LEASE__SECONDS", "5")];
    let stack = Stack::start(&root, &settings).await;
    stack.price_of_scripted_openai().await;
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(&recipe("fail", "scripted-slow-1500")).await;
    acme.publish(&recipe("ask", "scripted-slow-1500")).await;

    let (id, worker) = killed(&stack, &model, &acme, "careful-fail").await;
    let task = acme.finished(&id).await;
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("failed"), &json!("call_unknown")), "{task}");
    let lines = acme.lines(&id).await;
    assert_eq!(statuses(&lines), ["unknown"], "it is not called again");
    add_up(&task, &lines);
    drop(worker);

    for (decision, status, calls) in
        [("approve", "completed", ["unknown", "success"].as_slice()), ("reject", "failed", &["unknown"])]
    {
        let (id, worker) = killed(&stack, &model, &acme, "careful-ask").await;
        let asked = question(&acme, &id).await;
        assert_eq!(asked["kind"], "lost_call", "{asked}");
        let before = model.requests().len();
        acme.post(&format!("/approvals/{}", text(&asked["id"])), json!({"decision": decision})).await.expect(200);
        let task = acme.finished(&id).await;
        assert_eq!(task["status"], status, "{task}");
        if decision == "reject" {
            assert_eq!(task["error"]["code"], "call_unknown");
        }
        assert_eq!(model.requests().len() - before, calls.len() - 1);
        let lines = acme.lines(&id).await;
        assert_eq!(statuses(&lines), calls);
        add_up(&task, &lines);
        drop(worker);
    }
}

/// The provider broke off, and nobody was killed.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn also_under_the_same_worker(root: PgPool) {
    let model = Model::serve().await;
    let stack = Stack::start(&root, &[("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &model.base_url())]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(&recipe("fail", "scripted-cut")).await;
    acme.publish(&recipe("ask", "scripted-cut")).await;
    let task = acme.run(acme.task("careful-fail", json!({}))).await;
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("failed"), &json!("call_unknown")), "{task}");
    assert_eq!(model.requests().len(), 1);

    let id = acme.submit(acme.task("careful-ask", json!({}))).await;
    for (round, decision) in ["approve", "approve", "reject"].into_iter().enumerate() {
        let asked = question(&acme, &id).await;
        assert_eq!(model.requests().len(), round + 2, "one call for each leave");
        assert_eq!(stack.count("select count(*) from call_intents where state = 'open'").await, 0);
        acme.post(&format!("/approvals/{}", text(&asked["id"])), json!({"decision": decision})).await.expect(200);
    }
    let task = acme.finished(&id).await;
    assert_eq!(task["error"]["code"], "call_unknown", "{task}");
    assert_eq!(statuses(&acme.lines(&id).await), ["unknown", "unknown", "unknown"]);
}
