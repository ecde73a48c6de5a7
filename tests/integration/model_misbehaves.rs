//! A model that refuses, breaks off, talks nonsense or says nothing: one line for each request, as it went.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, of_kind, usd},
    model::Model,
    stack::Stack,
};

const RECIPE: &str = r#"
recipe:
  id: ask-them-all
  name: Ask them all
  version: "1.0"
  inputs: [{ name: models, type: array }]
  workflow:
    nodes:
      - id: ask
        component: LLMProcessor
        for_each: "inputs.models"
        max_parallel: 10
        retry: { max_attempts: 2, initial_delay: 100ms, max_delay: 2s }
        allow_failure: true
        config: { model: "openai/{{ item }}", max_tokens: 50, timeout: 1s, prompt_template: Say something }
"#;

/// Model, the statuses of its calls, whether their cost is an estimate, flags.
const EXPECTED: [(&str, &[&str], bool, &[&str]); 9] = [
    ("scripted-500", &["failed", "failed"], false, &[]),
    ("scripted-quota", &["failed"], false, &[]),
    ("scripted-cut", &["unknown", "unknown"], true, &[]),
    ("scripted-malformed", &["unknown", "unknown"], true, &[]),
    ("scripted-wrong-type", &["unknown", "unknown"], true, &[]),
    ("scripted-hang", &["timeout", "timeout"], true, &[]),
    ("scripted-no-usage", &["success"], true, &["usage_mismatch"]),
    ("scripted-wrong-usage", &["success"], false, &["usage_mismatch"]),
    ("scripted-fail-1-then-ok", &["failed", "success"], false, &[]),
];

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn and_each_request_has_one_line_that_says_how_it_went(root: PgPool) {
    let model = Model::serve().await;
    let stack = Stack::start(&root, &[("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &model.base_url())]).await;
    stack.price_of_scripted_openai().await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(RECIPE).await;
    let names: Vec<_> = EXPECTED.iter().map(|(name, ..)| *name).collect();
    let task = acme.complete(acme.task("ask-them-all", json!({"models": names}))).await;

    let lines = acme.lines(task["id"].as_str().unwrap()).await;
    let mut by_model = BTreeMap::<&str, Vec<&Value>>::new();
    for line in of_kind(&lines, "llm") {
        by_model.entry(line["model"].as_str().unwrap()).or_default().push(line);
    }
    let requests = model.requests();
    for (name, statuses, estimated, flags) in EXPECTED {
        let calls = &by_model[name];
        let found: Vec<_> = calls.iter().map(|line| line["status"].as_str().unwrap()).collect();
        assert_eq!(found, statuses, "{name}: {calls:#?}");
        assert_eq!(requests.iter().filter(|request| request["model"] == name).count(), calls.len(), "{name}");
        for line in calls {
            assert_eq!((&line["estimated"], &line["flags"]), (&json!(estimated), &json!(flags)), "{name}: {line}");
            let costs = usd(&line["cost_usd"]) > Decimal::ZERO;
            assert_eq!(costs, line["status"] != "failed", "{name}: what was refused is free: {line}");
        }
    }
    // Where an answer came, its line carries the provider's own id of the request.
    let answered = requests.iter().filter(|request| request["outcome"] == "answered");
    for id in answered.map(|request| &request["request_id"]) {
        assert_eq!(lines.iter().filter(|line| line["request_id"] == *id).count(), 1, "{id}");
    }
    let failed = task["output"].as_array().unwrap().iter().filter(|answer| answer["error"]["code"].is_string()).count();
    assert_eq!(failed, 6, "{}", task["output"]);
    add_up(&task, &lines);
    assert_eq!(stack.count("select count(*) from call_intents where state = 'open'").await, 0);
}
