//! Answers that come in pieces: slow ones outlive the time limit, cut ones are accounted for as far as they came.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, of_kind, usd},
    model::Model,
    stack::{Stack, eventually},
};

const RECIPE: &str = r#"
recipe:
  id: long-answers
  name: Long answers
  version: "1.0"
  inputs: [{ name: models, type: array }]
  workflow:
    nodes:
      - id: ask
        component: LLMProcessor
        for_each: "inputs.models"
        max_parallel: 12
        retry: { max_attempts: 1 }
        allow_failure: true
        config: { model: "{{ item }}", timeout: 3s, prompt_template: "Say something long, in many words, about hats." }
"#;

const CUT_BY_THE_NODE: &str = r#"
recipe:
  id: too-slow
  name: Too slow
  version: "1.0"
  inputs: [{ name: limit, type: string, required: false }]
  workflow:
    nodes:
      - id: ask
        component: LLMProcessor
        timeout: 3s
        retry: { max_attempts: 1 }
        config: { model: openai/scripted-trickle-700, prompt_template: "Say something long, in many words, about hats." }
"#;

const PROVIDERS: [&str; 3] = ["openai", "anthropic", "gemini"];
/// Model, the status of its call, whether its usage is counted here.
const EXPECTED: [(&str, &str, bool); 5] = [
    ("scripted-trickle-600", "success", false),
    ("scripted-cut", "unknown", true),
    ("scripted-cut-1200", "unknown", true),
    ("scripted-stall", "timeout", true),
    ("scripted-broken-event", "unknown", true),
];

async fn start(root: &PgPool, model: &Model) -> Stack {
    let base = model.base_url();
    let settings = PROVIDERS.map(|name| (format!("TEAMAI_PROVIDERS__{}__BASE_URL", name.to_uppercase()), base.clone()));
    let settings: Vec<_> = settings.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
    let stack = Stack::start(root, &settings).await;
    sqlx::query(
        "insert into prices (id, provider, model, effective_from, input, output, source)
         select gen_random_uuid(), p, 'scripted-*', '2025-01-01', 1, 1, 'a test' from unnest($1) p",
    )
    .bind(PROVIDERS.map(str::to_owned).to_vec())
    .execute(root)
    .await
    .unwrap();
    stack
}

async fn customer(stack: &Stack) -> Customer {
    let acme = Customer::new(stack, "acme").await;
    for name in PROVIDERS {
        acme.secret(&format!("{name}_api_key"), "sk-test-1234567890").await;
    }
    acme
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_slow_answer_comes_whole_and_a_cut_one_is_accounted_for_once(root: PgPool) {
    let model = Model::serve().await;
    let stack = start(&root, &model).await;
    let _worker = stack.worker();
    let acme = customer(&stack).await;
    acme.publish(RECIPE).await;
    let names: Vec<_> =
        PROVIDERS.iter().flat_map(|provider| EXPECTED.map(|(name, ..)| format!("{provider}/{name}"))).collect();
    let task = acme.complete(acme.task("long-answers", json!({"models": names}))).await;
    let lines = acme.lines(task["id"].as_str().unwrap()).await;
    let calls = of_kind(&lines, "llm");
    for provider in PROVIDERS {
        for (name, status, estimated) in EXPECTED {
            let of: Vec<_> = calls.iter().filter(|l| l["provider"] == provider && l["model"] == name).collect();
            assert_eq!(of.len(), 1, "{provider}/{name}");
            let line = of[0];
            assert_eq!(
                (&line["status"], &line["estimated"]),
                (&json!(status), &json!(estimated)),
                "{provider}: {line}"
            );
            assert!(line["tokens_used"].as_u64().unwrap() > 20 && usd(&line["cost_usd"]) > Decimal::ZERO, "{line}");
        }
    }
    // Each request of the provider's own log has its line, by the provider's own id.
    let mut ledger = BTreeMap::<String, usize>::new();
    for line in &calls {
        *ledger.entry(line["request_id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let log: BTreeMap<_, _> =
        model.requests().iter().map(|request| (request["request_id"].as_str().unwrap().to_owned(), 1)).collect();
    assert_eq!(ledger, log);
    let answered = task["output"].as_array().unwrap().iter().filter(|answer| answer["content"].is_string());
    assert!(answered.clone().all(|answer| answer["content"].as_str().unwrap().ends_with("hats.")));
    assert_eq!(answered.count(), 3, "those that are slow: {}", task["output"]);
    add_up(&task, &lines);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_came_before_the_nodes_limit_or_a_cancellation_is_charged(root: PgPool) {
    let model = Model::serve().await;
    let stack = start(&root, &model).await;
    let _worker = stack.worker();
    let acme = customer(&stack).await;
    acme.publish(CUT_BY_THE_NODE).await;
    let late = acme.run(acme.task("too-slow", json!({}))).await;
    assert_eq!((&late["status"], &late["error"]["code"]), (&json!("failed"), &json!("node_timeout")), "{late}");
    let id = acme.submit(acme.task("too-slow", json!({}))).await;
    eventually("the model is asked again", async || (model.requests().len() == 2).then_some(())).await;
    // The model goes by the clock: two pieces of its answer by now, and the limit of 3 s is far.
    tokio::time::sleep(std::time::Duration::from_millis(1600)).await;
    acme.post(&format!("/tasks/{id}/cancel"), json!({})).await.expect(200);
    let cancelled = acme.finished(&id).await;
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    let requests = model.requests();
    for (task, status, request) in [(&late, "timeout", &requests[0]), (&cancelled, "unknown", &requests[1])] {
        let lines = acme.lines(task["id"].as_str().unwrap()).await;
        let calls = of_kind(&lines, "llm");
        assert_eq!(calls.len(), 1, "{lines:#?}");
        let line: &Value = calls[0];
        assert_eq!((&line["status"], &line["estimated"]), (&json!(status), &json!(true)), "{line}");
        assert_eq!(line["request_id"], request["request_id"]);
        // More than nothing, and less than the reservation for a whole answer.
        let tokens = line["tokens_used"].as_u64().unwrap();
        assert!((20..2_000).contains(&tokens) && usd(&line["cost_usd"]) > Decimal::ZERO, "{line}");
        add_up(task, &lines);
    }
}
