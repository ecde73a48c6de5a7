//! The only worker is killed in the middle of a model call.

use rust_decimal::Decimal;
use serde_json::json;
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, of_kind, usd},
    model::Model,
    site::Site,
    stack::{Stack, eventually},
};

const PAGES: &[(&str, &str)] = &[("/", "<title>Start</title><a href='/next'>n</a>"), ("/next", "<title>Next</title>")];

const RECIPE: &str = r#"
recipe:
  id: slow-question
  name: A question that takes its time
  version: "1.0"
  inputs: [{ name: website_url, type: string, validation: url }]
  workflow:
    nodes:
      - { id: crawl, component: WebCrawler, config: { max_pages: 5, max_depth: 2 } }
      - { id: first, component: LLMProcessor, depends_on: [crawl], config: { model: openai/scripted-small, prompt_template: First } }
      - id: each
        component: LLMProcessor
        depends_on: [first]
        for_each: "['scripted-cached', 'scripted-slow-2500', 'scripted-large']"
        max_parallel: 1
        config: { model: "openai/{{ item }}", max_tokens: 100, prompt_template: "Number {{ index }}" }
      - { id: end, component: Transform, depends_on: [each], config: { value: "{{ each.output | map(attribute='model') | list }}" } }
"#;

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn in_the_middle_of_a_call_and_another_goes_on_from_there(root: PgPool) {
    let (site, model) = (Site::pages(PAGES).await, Model::serve().await);
    let settings = [
        ("TEAMAI_EGRESS__ALLOW", &*site.allowed()),
        ("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &*model.base_url()),
        ("TEAMAI_LEASE__SECONDS", "5"),
    ];
    let stack = Stack::start(&root, &settings).await;
    stack.price_of_scripted_openai().await;
    let first = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(RECIPE).await;
    let id = acme.submit(acme.task("slow-question", json!({"website_url": site.url()}))).await;
    let asked = |name: &str| model.requests().iter().filter(|request| request["model"] == name).count();
    eventually("the slow model is asked", async || (asked("scripted-slow-2500") == 1).then_some(())).await;
    first.kill();
    let visited = site.visits().len();

    let _second = stack.worker();
    stack.age_tickets().await;
    let task = acme.finished(&id).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("completed"), &json!(2)), "{task}");
    assert_eq!(site.visits().len(), visited, "the crawl was done and is not done again");
    assert_eq!((asked("scripted-small"), asked("scripted-cached")), (1, 1), "what was answered is not asked again");
    assert_eq!((asked("scripted-slow-2500"), asked("scripted-large")), (2, 1));
    assert_eq!(task["output"], json!(["scripted-cached", "scripted-slow-2500", "scripted-large"]));
    assert_eq!(task["progress"], json!({"done": 4, "total": 4}));

    let lines = acme.lines(&id).await;
    let slow: Vec<_> =
        of_kind(&lines, "llm").into_iter().filter(|line| line["model"] == "scripted-slow-2500").collect();
    assert_eq!(slow.len(), 2, "{lines:#?}");
    let (lost, answered) = (slow[0], slow[1]);
    assert_eq!((&lost["status"], &lost["estimated"], &lost["call_no"]), (&json!("unknown"), &json!(true), &json!(1)));
    assert!(usd(&lost["cost_usd"]) > Decimal::ZERO, "its reservation is spent: {lost}");
    assert_eq!(
        (&answered["status"], &answered["estimated"], &answered["call_no"]),
        (&json!("success"), &json!(false), &json!(2))
    );
    assert_eq!(of_kind(&lines, "llm").len(), model.requests().len(), "one line for each request");
    assert_eq!(of_kind(&lines, "crawl").len(), 1);
    assert_eq!(of_kind(&lines, "execution").len(), 1);
    add_up(&task, &lines);
    let steps = acme.steps(&id).await;
    let nodes: Vec<_> = steps.iter().map(|step| step["node_id"].as_str().unwrap()).collect();
    assert_eq!(nodes, ["crawl", "first", "each", "each", "each", "end"]);
    assert_eq!(stack.count("select count(*) from call_intents where state = 'open'").await, 0);
}

/// Nobody knows what a call without a price cost: its line says so instead of 0.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_lost_call_without_a_price_is_flagged(root: PgPool) {
    let model = Model::serve().await;
    let settings = [("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &*model.base_url()), ("TEAMAI_LEASE__SECONDS", "5")];
    let stack = Stack::start(&root, &settings).await;
    let first = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(
        r#"
recipe:
  id: unpriced
  name: Unpriced
  version: "1.0"
  workflow:
    nodes:
      - { id: ask, component: LLMProcessor, config: { model: openai/scripted-slow-1500, prompt_template: Hello } }
"#,
    )
    .await;
    let id = acme.submit(acme.task("unpriced", json!({}))).await;
    eventually("the model is asked", async || (model.requests().len() == 1).then_some(())).await;
    first.kill();
    let _second = stack.worker();
    stack.age_tickets().await;
    let task = acme.finished(&id).await;
    assert_eq!(task["status"], "completed", "{task}");
    let lines = acme.lines(&id).await;
    let calls = of_kind(&lines, "llm");
    assert_eq!(calls.iter().map(|line| line["status"].as_str().unwrap()).collect::<Vec<_>>(), ["unknown", "success"]);
    for line in calls {
        assert_eq!((&line["cost_usd"], &line["flags"]), (&json!(null), &json!(["unpriced"])), "{line}");
    }
    add_up(&task, &lines);
}
