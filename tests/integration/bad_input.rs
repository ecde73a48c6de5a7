//! Bad input ends in an error that names the place and the remedy, and finished steps are kept.

use poem::http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, of_kind, step},
    model::Model,
    site::{Site, html_page},
    stack::Stack,
};

const PAGES: &[(&str, &str)] = &[("/", "<title>Start</title><p>Hello</p>")];

/// A crawl, then one node more.
fn then(slug: &str, node: &str) -> String {
    format!(
        "recipe:
  id: {slug}
  name: {slug}
  version: \"1.0\"
  inputs:
    - {{ name: website_url, type: string, validation: url }}
    - {{ name: depth, type: integer, required: false, default: 1, range: [1, 3] }}
  workflow:
    nodes:
      - {{ id: crawl, component: WebCrawler, config: {{ max_pages: 2, max_depth: \"{{{{ inputs.depth }}}}\" }}, retry: {{ max_attempts: 1 }} }}
      - {{ id: last, depends_on: [crawl], retry: {{ max_attempts: 1 }}, {node} }}
"
    )
}

/// Runs the recipe and asserts how it fails.
async fn fails(acme: &Customer, slug: &str, url: &str, node: &str, code: &str, field: &str) -> (Value, Vec<Value>) {
    let task = acme.run(acme.task(slug, json!({"website_url": url}))).await;
    let error = &task["error"];
    assert_eq!(task["status"], "failed", "{slug}: {task}");
    assert_eq!(
        (&error["node_id"], &error["code"], &error["field"]),
        (&json!(node), &json!(code), &json!(field)),
        "{slug}: {error}"
    );
    assert!(!error["message"].as_str().unwrap().is_empty());
    let id = task["id"].as_str().unwrap();
    let (steps, lines) = (acme.steps(id).await, acme.lines(id).await);
    assert_eq!(step(&steps, node)["status"], "failed", "{slug}");
    assert_eq!(step(&steps, node)["error"]["code"], code, "{slug}");
    add_up(&task, &lines);
    let executions = of_kind(&lines, "execution");
    assert_eq!((executions.len(), &executions[0]["status"]), (1, &json!("failed")), "{slug}");
    acme.output(id).await.problem(409, "no_output");
    (task, steps)
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_task_that_cannot_go_on_says_where_and_why(root: PgPool) {
    let site = Site::pages(PAGES).await;
    let broken = Site::serve(|visit| match visit.path.as_str() {
        "/" => html_page(StatusCode::INTERNAL_SERVER_ERROR, "<h1>Out of order</h1>"),
        _ => html_page(StatusCode::NOT_FOUND, ""),
    })
    .await;
    let gone = Site::pages(PAGES).await.allowed();
    let model = Model::serve().await;
    let settings = [
        ("TEAMAI_EGRESS__ALLOW", &*format!("{},{},{gone}", site.allowed(), broken.allowed())),
        ("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &*model.base_url()),
    ];
    let stack = Stack::start(&root, &settings).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "bad-key").await;
    for (slug, node) in [
        (
            "no-secret",
            "component: HttpRequest, config: { url: \"https://example.com/\" }, secrets: { key: \"secret:nobody\" }",
        ),
        ("no-model", "component: LLMProcessor, config: { model: scripted/gpt-99-ultra, prompt_template: Hello }"),
        (
            "no-provider",
            "component: LLMProcessor, config: { provider: opnai, model: gpt-4o-mini, prompt_template: Hello }",
        ),
        ("bad-key", "component: LLMProcessor, config: { model: openai/gpt-4o-mini, prompt_template: Hello }"),
        ("no-key", "component: LLMProcessor, config: { model: anthropic/claude-haiku-4-5, prompt_template: Hello }"),
        ("bad-config", "component: LLMProcessor, config: { temperature: 9, prompt_template: Hello }"),
        ("no-field", "component: Transform, config: { value: { deep: \"{{ crawl.pages[7].title }}\" } }"),
    ] {
        acme.publish(&then(slug, node)).await;
    }

    for (slug, code, field) in [
        ("no-secret", "secret_missing", "secrets.key"),
        ("no-model", "provider_rejected", "config.model"),
        ("no-provider", "unknown_model", "config.provider"),
        ("bad-key", "provider_rejected", "secrets.api_key"),
        ("no-key", "secret_missing", "secrets.api_key"),
        ("bad-config", "invalid_config", "config.temperature"),
        ("no-field", "template", "config.value.deep"),
    ] {
        let (task, steps) = fails(&acme, slug, &site.url(), "last", code, field).await;
        assert_eq!(step(&steps, "crawl")["status"], "completed", "{slug}: what was done is kept");
        assert_eq!(step(&steps, "crawl")["output"]["total_pages"], 1);
        let message = task["error"]["message"].as_str().unwrap();
        assert!(!message.contains("bad-key"), "a key is never shown: {message}");
    }
    // A refusal is a call that left: one line, at no cost. What is wrong before that leaves none.
    assert_eq!(model.requests().len(), 1);
    let refused = "select count(*) from audit_logs where kind = 'llm' and status = 'failed' and cost_usd = 0";
    assert_eq!(stack.count(refused).await, 1, "of openai with the bad key");
    let unpriced =
        "select count(*) from audit_logs where kind = 'llm' and cost_usd is null and 'unpriced' = any (flags)";
    assert_eq!(stack.count(unpriced).await, 1, "of scripted, which has no such model");
    assert_eq!(stack.count("select count(*) from audit_logs where kind = 'llm'").await, 2);

    let (task, _) = fails(&acme, "no-field", &format!("http://{gone}/"), "crawl", "unreachable", "config.url").await;
    assert!(task["error"]["message"].as_str().unwrap().contains(&gone), "{}", task["error"]);
    let (task, _) = fails(&acme, "no-field", &broken.url(), "crawl", "http_status", "config.url").await;
    assert!(task["error"]["message"].as_str().unwrap().contains("500"), "{}", task["error"]);
    // The guard: an address inside that nobody allowed.
    fails(&acme, "no-field", "http://127.0.0.1:1/", "crawl", "address_refused", "config.url").await;
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_request_that_makes_no_sense_is_refused(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let (acme, rival) = (Customer::new(&stack, "acme").await, Customer::new(&stack, "rival").await);
    acme.publish(&then("own", "component: Transform, config: { value: 1 }")).await;
    let post = async |task: Value| acme.post("/tasks", task).await;
    let inputs = json!({"website_url": "https://example.com"});
    let with = |name: &str, value: Value| {
        let mut task = acme.task("own", inputs.clone());
        task[name] = value;
        task
    };

    post(with("inputs", json!({"website_url": "not a url", "depth": 4, "colour": "red"}))).await.invalid(&[
        "inputs.website_url",
        "inputs.depth",
        "inputs.colour",
    ]);
    post(with("inputs", json!({"website_url": 3, "depth": "deep"})))
        .await
        .invalid(&["inputs.website_url", "inputs.depth"]);
    post(with("inputs", json!({}))).await.invalid(&["inputs.website_url"]);
    post(with("recipe", json!("nobody-wrote-this"))).await.invalid(&["recipe"]);
    post(with("version", json!("7.0"))).await.invalid(&["version"]);
    post(with("priority", json!(10))).await.invalid(&["priority"]);
    let unknown = post(with("agent_instance_id", json!("0197f3c0-0000-7000-8000-000000000000"))).await;
    let unknown = unknown.invalid(&["agent_instance_id"]);
    assert_eq!(post(with("agent_instance_id", json!(rival.agent))).await.invalid(&["agent_instance_id"]), unknown);
    // Another agency's own recipe is as unknown as one that nobody wrote.
    rival.post("/tasks", rival.task("own", inputs.clone())).await.invalid(&["recipe"]);
    assert_eq!(stack.count("select count(*) from task_queue").await, 0);

    let task = with("tags", json!(["a"]));
    let first = acme.post_keyed("/tasks", "key-1", &task).await.expect(202);
    assert_eq!(acme.post_keyed("/tasks", "key-1", &task).await.expect(202), first);
    let reused = acme.post_keyed("/tasks", "key-1", &with("tags", json!(["b"]))).await;
    reused.problem(422, "idempotency_key_reused");
    assert_ne!(acme.post_keyed("/tasks", "key-2", &task).await.expect(202)["id"], first["id"]);
    let theirs = rival.task("site-audit", inputs);
    assert_ne!(rival.post_keyed("/tasks", "key-1", &theirs).await.expect(202)["id"], first["id"]);
    acme.get(&format!("/tasks/{}", first["id"].as_str().unwrap())).await.expect(200);
    rival.get(&format!("/tasks/{}", first["id"].as_str().unwrap())).await.problem(404, "not_found");
    assert_eq!(stack.count("select count(*) from task_queue").await, 3);
}

const WRONG: &str = r#"
recipe:
  id: wrong
  name: Wrong in many places
  version: "1.0"
  colour: red
  workflow:
    nodes:
      - { id: a, component: WebCrawlr, depends_on: [c] }
      - { id: b, component: Transform, depends_on: [a], config: { value: "{{ nobody.x }}" } }
      - { id: c, component: Transform, depends_on: [b], timeout: soon }
"#;

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_recipe_with_many_faults_is_told_all_of_them_with_their_lines(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = Customer::new(&stack, "acme").await;
    let refused = acme.post_yaml("/recipes", WRONG).await.problem(422, "invalid_recipe");
    let errors = refused["errors"].as_array().unwrap();
    let nodes = "recipe.workflow.nodes";
    for (path, line, says) in [
        ("recipe.colour".to_owned(), 6, "colour"),
        (format!("{nodes}[0].component"), 9, "WebCrawler"),
        (format!("{nodes}[0].depends_on"), 9, "a"),
        (format!("{nodes}[1].config.value"), 10, "nobody"),
        (format!("{nodes}[2].timeout"), 11, "soon"),
    ] {
        let error = errors.iter().find(|error| error["path"] == path).unwrap_or_else(|| panic!("{path}: {errors:#?}"));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says) && message.contains(&format!("line {line},")), "{path}: {message}");
    }
    assert_eq!(errors.len(), 5, "{errors:#?}");
    assert!(errors[1..].iter().any(|error| error["message"].as_str().unwrap().contains("cycle")), "{errors:#?}");

    let checked = acme.post_yaml("/recipes/validate", WRONG).await.expect(200);
    assert_eq!((&checked["valid"], checked["problems"].as_array().unwrap().len()), (&json!(false), 5), "{checked}");
    acme.post_yaml("/recipes", "recipe: [").await.problem(422, "invalid_recipe");
    assert_eq!(stack.count("select count(*) from recipes where agency_id is not null").await, 0);
}

/// Of two nodes at once one fails; the other's result and the line of its call are kept.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_failure_leaves_the_work_beside_it_on_record(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(
        r#"
recipe:
  id: two-at-once
  name: Two at once
  version: "1.0"
  workflow:
    nodes:
      - { id: fails, component: LLMProcessor, config: { model: scripted/scripted-404, prompt_template: Hello } }
      - { id: works, component: LLMProcessor, config: { model: scripted/scripted-slow-300, prompt_template: Hello } }
"#,
    )
    .await;
    let task = acme.run(acme.task("two-at-once", json!({}))).await;
    assert_eq!((&task["status"], &task["error"]["node_id"]), (&json!("failed"), &json!("fails")));
    let id = task["id"].as_str().unwrap();
    let (steps, lines) = (acme.steps(id).await, acme.lines(id).await);
    assert_eq!(step(&steps, "works")["status"], "completed");
    let calls = of_kind(&lines, "llm");
    assert_eq!(calls.len(), 2, "{lines:#?}");
    assert!(add_up(&task, &lines).0 > 0);
    assert_eq!(stack.count("select count(*) from call_intents where state = 'open'").await, 0);
}
