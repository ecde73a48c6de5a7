//! A provider that limits one agency's key slows that key alone, and a dead provider is left alone.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, of_kind},
    model::Model,
    stack::Stack,
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
        retry: { max_attempts: 8, initial_delay: 100ms }
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

#[sqlx::test(migrations = "./migrations")]
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
    let lines = slow.lines(&limited).await;
    let failed = of_kind(&lines, "llm").iter().filter(|line| line["status"] == "failed").count();
    assert_eq!(failed, refused, "what waited has no line, what was refused has one");
}

#[sqlx::test(migrations = "./migrations")]
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
