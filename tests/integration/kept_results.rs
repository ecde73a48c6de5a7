//! A node's result that is kept: another run of the agency takes it and pays nothing.

use rust_decimal::Decimal;
use serde_json::json;
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, of_kind, step, text, usd},
    model::Model,
    stack::Stack,
};

const RECIPE: &str = r#"
recipe:
  id: kept
  name: Kept
  version: "1.0"
  inputs: [{ name: topic, type: string }]
  workflow:
    nodes:
      - id: ask
        component: LLMProcessor
        cache: { ttl: 1h }
        config: { model: openai/scripted-small, prompt_template: "About {{ inputs.topic }}" }
"#;

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn for_the_agency_alone_and_a_redis_that_is_away_is_a_miss(root: PgPool) {
    let model = Model::serve().await;
    let mut stack = Stack::start(&root, &[("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &model.base_url())]).await;
    stack.price_of_scripted_openai().await;
    let _worker = stack.worker();
    let (acme, other) = (Customer::new(&stack, "acme").await, Customer::new(&stack, "other").await);
    for agency in [&acme, &other] {
        agency.secret("openai_api_key", "sk-canary-1234567890").await;
        agency.publish(RECIPE).await;
    }
    let run = async |agency: &Customer, topic: &str| {
        let before = model.requests().len();
        let task = agency.complete(agency.task("kept", json!({"topic": topic}))).await;
        let id = text(&task["id"]);
        let (steps, lines) = (agency.steps(&id).await, agency.lines(&id).await);
        add_up(&task, &lines);
        let kept = step(&steps, "ask")["cached"] == true;
        assert_eq!(model.requests().len() - before, usize::from(!kept));
        assert_eq!(of_kind(&lines, "llm").len(), usize::from(!kept), "{lines:#?}");
        assert_eq!(of_kind(&lines, "execution").len(), 1);
        assert_eq!(usd(&task["cost_usd"]) == Decimal::ZERO, kept);
        (kept, task["output"]["content"].clone())
    };
    let first = run(&acme, "tea").await;
    assert!(!first.0);
    assert_eq!(run(&acme, "tea").await, (true, first.1.clone()));
    assert!(!run(&acme, "coffee").await.0, "another question");
    assert!(!run(&other, "tea").await.0, "another agency");
    let dump = stack.redis.dump().await;
    assert!(dump.contains("{teamai}:cache:"), "{dump}");
    assert!(!dump.contains("sk-canary"), "a secret is in Redis");

    stack.redis.down();
    assert!(stack.redis.up().await);
    assert!(!run(&acme, "tea").await.0, "Redis forgot it");
}
