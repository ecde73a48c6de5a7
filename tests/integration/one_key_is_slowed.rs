//! A provider that limits one agency's key slows that key alone, and a dead provider is left alone.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, of_kind, step},
    model::Model,
    stack::{Stack, eventually},
};

const MANY: &str = r#"
recipe:
  id: many-questions
  name: Many questions
  version: "1.0"
  workflow:
    nodes:
      - id: ask
        component: LLMProcessor
        for_each: "range(8) | list"
        max_parallel: 8
        retry: { max_attempts: 1 }
        config: { model: openai/scripted-small, prompt_template: "Question {{ index }}" }
"#;

const FALL_BACK: &str = r#"
recipe:
  id: fall-back
  name: Fall back
  version: "1.0"
  workflow:
    nodes:
      - id: ask
        component: LLMProcessor
        for_each: "range(9) | list"
        max_parallel: 1
        config: { model: openai/any, fallback_model: scripted/scripted-small, prompt_template: "Question {{ index }}" }
"#;

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_limit_on_one_agencys_key_does_not_slow_another(root: PgPool) {
    let model = Model::serve().await;
    let stack = Stack::start(&root, &[("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &model.base_url())]).await;
    stack.price_of_scripted_openai().await;
    let _worker = stack.worker();
    let (slow, free) = (Customer::new(&stack, "slow").await, Customer::new(&stack, "free").await);
    slow.secret("openai_api_key", "rate-1-slow").await;
    free.secret("openai_api_key", "sk-free-1234567").await;
    for customer in [&slow, &free] {
        customer.publish(MANY).await;
    }
    let limited = slow.submit(slow.task("many-questions", json!({}))).await;
    let task = free.complete(free.task("many-questions", json!({}))).await;
    assert_ne!(slow.find(&limited).await["status"], "completed", "the free one does not wait for the limited one");
    let lines = free.lines(task["id"].as_str().unwrap()).await;
    assert!(of_kind(&lines, "llm").iter().all(|line| line["status"] == "success"), "{lines:#?}");

    let task = slow.finished(&limited).await;
    assert_eq!(task["status"], "completed", "{task}");
    let refused = model.requests().iter().filter(|request| request["status"] == 429).count();
    assert!((1..24).contains(&refused), "the pace is held: {refused} refusals for 8 questions");
    for step in slow.steps(&limited).await {
        assert_eq!((&step["status"], &step["attempts"]), (&json!("completed"), &json!(1)), "to wait is not to fail");
    }
    let lines = slow.lines(&limited).await;
    let failed = of_kind(&lines, "llm").iter().filter(|line| line["status"] == "failed").count();
    assert_eq!(failed, refused, "what waited has no line, what was refused has one");
}

const NEVER: &str = r#"
recipe:
  id: never-free
  name: Never free
  version: "1.0"
  workflow:
    nodes:
      - id: ask
        component: LLMProcessor
        retry: { max_attempts: 1 }
        config: { model: openai/scripted-429, prompt_template: Hello }
"#;

/// It is waited for without a worker, is counted in Postgres, and has an end.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_key_that_is_never_free_again_fails_the_node_in_the_end(root: PgPool) {
    let model = Model::serve().await;
    let stack = Stack::start(&root, &[("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &model.base_url())]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(NEVER).await;
    let id = acme.submit(acme.task("never-free", json!({}))).await;
    eventually("nobody holds the task", async || (acme.find(&id).await["status"] == "waiting").then_some(())).await;
    let known: (i32, i32) =
        sqlx::query_as("select attempts, slowed from node_progress").fetch_one(&root).await.unwrap();
    let refused = i32::try_from(model.requests().len()).unwrap();
    assert_eq!(known, (0, refused), "none of them failed");
    sqlx::raw_sql(
        "update node_progress set started_at = started_at - interval '9 min 59 s', resume_at = now();
         update task_queue set wake_at = now() where status = 'waiting'",
    )
    .execute(&root)
    .await
    .unwrap();
    let task = acme.finished(&id).await;
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("failed"), &json!("rate_limited")), "{task}");
    assert!(task["error"]["message"].as_str().unwrap().contains("limits the rate"), "{task}");
    assert_eq!((&task["attempt"], &step(&acme.steps(&id).await, "ask")["attempts"]), (&json!(1), &json!(1)));
    let lines = acme.lines(&id).await;
    assert_eq!(of_kind(&lines, "llm").len(), model.requests().len(), "each refusal has its line");
    add_up(&task, &lines);
}

/// The operator's number of calls at once with one key holds among all of a worker's tasks.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn one_key_has_no_more_calls_at_once_than_the_operator_allows(root: PgPool) {
    let model = Model::serve().await;
    let settings =
        [("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &*model.base_url()), ("TEAMAI_PROVIDERS__OPENAI__MAX_IN_FLIGHT", "1")];
    let stack = Stack::start(&root, &settings).await;
    stack.price_of_scripted_openai().await;
    let _worker = stack.worker();
    let (one, other) = (Customer::new(&stack, "one").await, Customer::new(&stack, "other").await);
    let hang =
        MANY.replace("scripted-small", "scripted-hang").replace("many-questions", "hangs").replace("Many", "Hanging");
    for customer in [&one, &other] {
        customer.secret("openai_api_key", &format!("sk-of-{}", customer.agency)).await;
        customer.publish(&hang).await;
        customer.publish(MANY).await;
    }
    let held = one.submit(one.task("hangs", json!({}))).await;
    eventually("it asks", async || (model.requests().len() == 1).then_some(())).await;
    let waits = one.submit(one.task("many-questions", json!({}))).await;
    other.complete(other.task("many-questions", json!({}))).await;
    assert_eq!(model.requests().len(), 9, "eight of the other agency's, and one of sixteen with the key that is full");
    one.post(&format!("/tasks/{held}/cancel"), json!({})).await.expect(200);
    assert_eq!(one.finished(&waits).await["status"], "completed");
    assert_eq!(model.requests().len(), 17);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_dead_provider_is_left_alone_and_the_fallback_asked_at_once(root: PgPool) {
    // A port that was free a moment ago: nobody listens there.
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stack = Stack::start(&root, &[("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &format!("http://{nowhere}"))]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(FALL_BACK).await;
    let task = acme.complete(acme.task("fall-back", json!({}))).await;
    let answers = task["output"].as_array().unwrap();
    assert!(answers.len() == 9 && answers.iter().all(|answer| answer["fallback_used"] == true), "{task}");
    let lines = acme.lines(task["id"].as_str().unwrap()).await;
    let of = |provider: &str| of_kind(&lines, "llm").iter().filter(|line| line["provider"] == provider).count();
    assert_eq!(of("scripted"), 9);
    let tried = of("openai");
    assert!(
        (5..9).contains(&tried),
        "{tried} calls left for a host that is not there: {:?}",
        Value::from(lines.clone())
    );
}
