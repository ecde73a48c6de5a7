//! Tries of a node are counted in Postgres: whoever goes on does not start anew.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, of_kind, step},
    model::Model,
    stack::{Stack, eventually},
};

fn recipe(retry: &str, more: &str) -> String {
    format!(
        "recipe:\n  id: stubborn\n  name: Stubborn\n  version: '1.0'\n  workflow:\n    nodes:\n      - {{ id: ask, component: LLMProcessor, \
         retry: {{ {retry} }}{more}, config: {{ model: openai/scripted-500, prompt_template: Hello }} }}\n"
    )
}

async fn start(root: &PgPool, model: &Model, recipe: &str) -> (Stack, Customer) {
    let settings = [("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &*model.base_url()), ("TEAMAI_LEASE__SECONDS", "5")];
    let stack = Stack::start(root, &settings).await;
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(recipe).await;
    (stack, acme)
}

async fn written(stack: &Stack, attempts: i32) {
    eventually("the try is written", async || {
        let known: Option<i32> =
            sqlx::query_scalar("select attempts from node_progress").fetch_optional(&stack.root).await.unwrap();
        (known == Some(attempts)).then_some(())
    })
    .await;
}

fn assert_tries(task: &Value, steps: &[Value], lines: &[Value], tries: usize) {
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("failed"), &json!("provider_unavailable")), "{task}");
    assert_eq!(step(steps, "ask")["attempts"], tries);
    assert_eq!(of_kind(lines, "llm").len(), tries);
    assert_eq!(step(steps, "ask")["tokens"], task["tokens_used"]);
    add_up(task, lines);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn after_the_worker_was_killed_between_two(root: PgPool) {
    let model = Model::serve().await;
    let (stack, acme) = start(&root, &model, &recipe("max_attempts: 2, initial_delay: 4s", "")).await;
    let worker = stack.worker();
    let id = acme.submit(acme.task("stubborn", json!({}))).await;
    written(&stack, 1).await;
    worker.kill();
    let _second = stack.worker();
    stack.age_tickets().await;
    let task = acme.finished(&id).await;
    assert_eq!(task["attempt"], 2, "it was taken over");
    assert_eq!(model.requests().len(), 2, "one before, one after");
    assert_tries(&task, &acme.steps(&id).await, &acme.lines(&id).await, 2);
}

/// A long pause is not sat out on a worker.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn while_nobody_holds_the_task(root: PgPool) {
    let model = Model::serve().await;
    let (stack, acme) = start(&root, &model, &recipe("max_attempts: 3, initial_delay: 10m, max_delay: 1h", "")).await;
    let id = acme.submit(acme.task("stubborn", json!({}))).await;
    for tries in 1..=2 {
        let worker = stack.worker();
        written(&stack, tries).await;
        eventually("the task waits", async || (acme.find(&id).await["status"] == "waiting").then_some(())).await;
        worker.kill();
        assert_eq!(stack.count("select count(*) from call_intents where state = 'open'").await, 0);
        let later = "select count(*) from task_queue where least(wake_at, run_at) > now() + interval '4 min'";
        assert_eq!(stack.count(later).await, 1);
        sqlx::raw_sql("update task_queue set wake_at = now(); update node_progress set resume_at = now()")
            .execute(&root)
            .await
            .unwrap();
    }
    let _worker = stack.worker();
    let task = acme.finished(&id).await;
    assert_eq!((&task["attempt"], model.requests().len()), (&json!(1), 3), "waiting is no failed claim");
    assert_tries(&task, &acme.steps(&id).await, &acme.lines(&id).await, 3);
}

/// A failure that is allowed keeps its code for whoever goes on.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn and_an_allowed_failure_is_the_same_after_a_takeover(root: PgPool) {
    let model = Model::serve().await;
    let recipe = recipe("max_attempts: 1", ", allow_failure: true")
        + "      - { id: leave, component: Approval, depends_on: [ask], config: { message: Go on? } }\n      \
           - { id: end, component: Transform, depends_on: [leave], config: { value: \"{{ ask.error.code }}\" } }\n";
    let (stack, acme) = start(&root, &model, &recipe).await;
    let _worker = stack.worker();
    let id = acme.submit(acme.task("stubborn", json!({}))).await;
    let asked = crate::approvals::question(&acme, &id).await;
    acme.post(&format!("/approvals/{}", asked["id"].as_str().unwrap()), json!({"decision": "approve"}))
        .await
        .expect(200);
    let task = acme.finished(&id).await;
    assert_eq!((&task["status"], &task["output"]), (&json!("completed"), &json!("provider_unavailable")), "{task}");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn within_the_time_of_the_workflow(root: PgPool) {
    let model = Model::serve().await;
    let recipe = recipe("max_attempts: 1", "")
        .replace("scripted-500", "scripted-hang")
        .replace("workflow:\n", "workflow:\n    timeout: 2s\n");
    let (stack, acme) = start(&root, &model, &recipe).await;
    let _worker = stack.worker();
    let id = acme.submit(acme.task("stubborn", json!({}))).await;
    let task = acme.finished(&id).await;
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("failed"), &json!("task_timeout")), "{task}");
    let lines = acme.lines(&id).await;
    assert_eq!(of_kind(&lines, "llm").iter().map(|line| line["status"].clone()).collect::<Vec<_>>(), ["unknown"]);
    add_up(&task, &lines);
}
