//! Retrying a finished task: what it finished is not paid for again.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, days_from_now, of_kind, step, text},
    model::Model,
    stack::Stack,
};

const RECIPE: &str = r#"
recipe:
  id: two-questions
  name: The second needs a key
  version: "1.0"
  workflow:
    nodes:
      - { id: first, component: LLMProcessor, config: { model: scripted/scripted-small, prompt_template: First } }
      - { id: aside, component: Transform, config: { value: aside } }
      - { id: second, component: LLMProcessor, depends_on: [first], config: { model: openai/scripted-small, prompt_template: Second } }
      - { id: end, component: Transform, depends_on: [second, aside], config: { value: "{{ second.content }}" } }
  compliance: { cost_per_unit: 0.50 }
"#;

fn copied(steps: &[Value]) -> Vec<&str> {
    let mut names: Vec<_> =
        steps.iter().filter(|step| step["copied"] == true).map(|step| step["node_id"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn it_goes_on_after_what_was_finished_and_pays_for_the_rest_alone(root: PgPool) {
    let model = Model::serve().await;
    let stack = Stack::start(&root, &[("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &model.base_url())]).await;
    stack.price_of_scripted_openai().await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    let failed = acme.run(acme.task("two-questions", json!({}))).await;
    assert_eq!((&failed["status"], &failed["error"]["node_id"]), (&json!("failed"), &json!("second")), "{failed}");
    let id = text(&failed["id"]);
    acme.secret("openai_api_key", "sk-test-1234567890").await;

    // Without a body at all.
    let answer = acme.post_empty(&format!("/tasks/{id}/retry")).await;
    let location = answer.header("location").unwrap().to_owned();
    let made = answer.expect(202);
    assert_eq!((&made["retry_of"], &made["progress"]), (&json!(id), &json!({"done": 2, "total": 4})));
    assert_eq!(location, format!("/tasks/{}", text(&made["id"])));
    let retried = acme.finished(&text(&made["id"])).await;
    assert_eq!((&retried["status"], &retried["progress"]["done"]), (&json!("completed"), &json!(4)), "{retried}");
    assert_eq!((&retried["retry_of"], &retried["recipe_version"]), (&json!(id), &json!("1.0")));
    let steps = acme.steps(&text(&made["id"])).await;
    assert_eq!(copied(&steps), ["aside", "first"]);
    let first = step(&steps, "first");
    assert_eq!((&first["copied_from"], &first["tokens"], &first["cost"]), (&json!(id), &json!(0), &json!("0")));
    let before = acme.steps(&id).await;
    assert_eq!(first["output"], step(&before, "first")["output"], "its output is the one that was paid for");
    let lines = acme.lines(&text(&made["id"])).await;
    let (calls, executions) = (of_kind(&lines, "llm"), of_kind(&lines, "execution"));
    assert_eq!((calls.len(), executions.len()), (1, 1), "{lines:#?}");
    assert_eq!(calls[0]["node_id"], "second");
    add_up(&retried, &lines);

    // A retry of the retry, from a node: what comes after it runs again, what does not stays.
    let path = format!("/tasks/{}/retry", text(&made["id"]));
    let again = acme.post(&path, json!({"from_node": "second"})).await.expect(202);
    let again = acme.finished(&text(&again["id"])).await;
    let steps = acme.steps(&text(&again["id"])).await;
    assert_eq!((&again["status"], copied(&steps)), (&json!("completed"), vec!["aside", "first"]));
    assert_eq!(step(&steps, "first")["copied_from"], json!(id), "the task that paid for it");
    assert_eq!(model.requests().len(), 2);

    // A completed one without a node would do nothing and charge the recipe's price for it.
    let refused = acme.post(&path, json!({})).await.problem(409, "nothing_to_retry");
    assert!(refused["detail"].as_str().unwrap().contains("from_node"), "{refused}");
    assert_eq!(stack.count("select count(*) from task_queue").await, 3);
    let billed = "select (sum(billed_usd) * 100)::bigint from audit_logs where kind = 'execution'";
    assert_eq!(stack.count(billed).await, 100, "of the two that completed");
}

const RESTS: &str = r#"
recipe:
  id: many-rests
  name: Everything that a node can leave behind
  version: "1.0"
  workflow:
    nodes:
      - { id: before, component: SubRecipe, config: { recipe: small } }
      - { id: leave, component: Approval, depends_on: [before], config: { message: Go on? } }
      - id: agent
        component: Agent
        depends_on: [leave]
        retry: { max_attempts: 3, initial_delay: 100ms }
        on_unknown: fail
        config:
          model: openai/scripted-fail-1-then-ok
          max_turns: 2
          prompt_template: Ask your tools
          tools:
            - { component: LLMProcessor, name: one, config: { model: scripted/scripted-small } }
            - { component: LLMProcessor, name: two, config: { model: scripted/scripted-small } }
      - { id: after, component: SubRecipe, depends_on: [agent], config: { recipe: small } }
"#;
const SMALL: &str = "recipe: { id: small, name: Small, version: '1.0', workflow: { nodes: [
  { id: ask, component: LLMProcessor, config: { model: scripted/scripted-small, prompt_template: Hello } }] } }";

/// Of a node that runs again nothing is left: no turn, try or answer of the finished task.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_node_that_runs_again_begins_anew_and_what_was_finished_is_not_paid_again(root: PgPool) {
    let model = Model::serve().await;
    let stack = Stack::start(&root, &[("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &model.base_url())]).await;
    stack.price_of_scripted_openai().await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(SMALL).await;
    acme.publish(RESTS).await;
    let mut id = acme.submit(acme.task("many-rests", json!({}))).await;
    let mut runs = Vec::new();
    for next in [Some("agent"), Some("leave"), None] {
        if runs.len() != 1 {
            let asked = crate::approvals::question(&acme, &id).await;
            let leave = json!({"decision": "approve"});
            acme.post(&format!("/approvals/{}", text(&asked["id"])), leave).await.expect(200);
        }
        let task = acme.finished(&id).await;
        assert_eq!((&task["status"], &task["progress"]["done"]), (&json!("completed"), &json!(4)), "{task}");
        add_up_with_children(&acme, &task).await;
        let steps = acme.steps(&id).await;
        let attempts = if runs.is_empty() { 3 } else { 1 };
        assert_eq!(step(&steps, "agent")["attempts"], attempts, "its tries count anew");
        runs.push(copied(&steps).join(" "));
        if let Some(from_node) = next {
            let again = acme.post(&format!("/tasks/{id}/retry"), json!({"from_node": from_node})).await;
            id = text(&again.expect(202)["id"]);
        }
    }
    assert_eq!(runs, ["", "before leave", "before"]);
    let asked: Vec<u64> = model.requests().iter().map(|request| request["replies"].as_u64().unwrap()).collect();
    assert_eq!(asked, [0, 0, 1, 1, 0, 1, 0, 1], "each turn refused once, then two turns each time");
    let turns = "select count(distinct task_id) from agent_turns where nth = 0";
    assert_eq!(stack.count(turns).await, 3, "each conversation is its own");
    let children = "select count(*) from task_queue where parent_task_id is not null";
    assert_eq!(stack.count(children).await, 4, "one before, and one after each time");
}

async fn add_up_with_children(acme: &Customer, task: &Value) {
    let id = text(&task["id"]);
    let tasks = crate::customer::items(&acme.get("/tasks?limit=200").await.expect(200));
    let mut lines = acme.lines(&id).await;
    for child in tasks.iter().filter(|child| child["parent_task_id"] == id) {
        lines.extend(acme.lines(&text(&child["id"])).await);
    }
    add_up(task, &lines);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_cannot_be_retried_is_refused_with_the_reason(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    let mut later = acme.task("two-questions", json!({}));
    later["run_at"] = days_from_now(300);
    let task = acme.submit(later).await;
    let path = format!("/tasks/{task}/retry");
    acme.post(&path, json!({})).await.problem(409, "not_finished");
    acme.post(&format!("/tasks/{task}/cancel"), json!({})).await.expect(200);
    let refused = acme.post(&path, json!({"from_node": "nowhere"})).await.invalid(&["from_node"]);
    assert!(refused["detail"].as_str().unwrap().contains("first, aside, second, end"), "{refused}");
    acme.post(&path, json!({"from": "first"})).await.invalid(&["from"]);
    acme.post("/tasks/0197f3c0-0000-7000-8000-000000000000/retry", json!({})).await.problem(404, "not_found");

    let once = acme.post_keyed(&path, "again", &json!({})).await.expect(202);
    let twice = acme.post_keyed(&path, "again", &json!({})).await;
    assert_eq!(twice.header("idempotency-replayed"), Some("true"));
    assert_eq!(twice.expect(202), once, "one retry for one key");

    sqlx::query("update agent_instances set status = 'paused'").execute(&stack.root).await.unwrap();
    acme.post(&path, json!({})).await.problem(409, "agent_inactive");
    sqlx::query("update agent_instances set status = 'active'").execute(&stack.root).await.unwrap();
    sqlx::query("update recipes set status = 'retired' where slug = 'two-questions'")
        .execute(&stack.root)
        .await
        .unwrap();
    let gone = async || (acme.post(&path, json!({})).await.status == 409).then_some(());
    crate::stack::eventually("the recipe is known to be gone", gone).await;
    acme.post(&path, json!({})).await.problem(409, "recipe_gone");
    assert_eq!(stack.count("select count(*) from task_queue where retry_of is not null").await, 1);
}
