//! A recipe that nobody here shipped, published through the API, with everything that the format offers.

use poem::{Response, http::StatusCode};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, of_kind, step, usd},
    site::{Site, Visit},
    stack::Stack,
};

const RECIPE: &str = include_str!("stranger.yaml");
const KEY: &str = "door key/canary+\"42\"";

const PAGES: &[(&str, &str)] = &[
    ("/", "<title>Start</title><h1>A</h1><h1>B</h1><a href='/sums'>sums</a><a href='/shop'>shop</a>"),
    ("/sums", "<title>Sums: {{ 7*7 }} {% raw %}</title><p>{{ inputs.website_url }} {{ 7*7 }}</p>"),
    ("/shop", "<title>Shop &lt;script&gt;alert(1)&lt;/script&gt;</title><h1>Shop</h1>"),
];

/// Repeats whatever it is sent, headers included.
fn echo(visit: &Visit) -> Response {
    let headers: Vec<String> = visit.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    let said = json!({"said": "hello", "headers": headers, "query": visit.query, "sent": visit.body});
    let status = if visit.path == "/refused" { StatusCode::FORBIDDEN } else { StatusCode::OK };
    Response::builder().status(status).content_type("application/json").body(said.to_string())
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn runs_with_all_that_the_format_offers(root: PgPool) {
    let (site, door) = (Site::pages(PAGES).await, Site::serve(echo).await);
    let allowed = format!("{},{}", site.allowed(), door.allowed());
    let stack = Stack::start(&root, &[("TEAMAI_EGRESS__ALLOW", &allowed)]).await;
    let worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("echo_key", KEY).await;

    let published = acme.publish(&RECIPE.replace("DOOR", &door.allowed())).await;
    let warnings = published["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.to_string().contains("3.0-beta")), "{warnings:?}");
    let of_host = warnings.iter().find(|warning| warning.to_string().contains("secret_hosts"));
    assert!(of_host.is_some(), "an input chooses where a secret goes: {warnings:?}");

    let inputs = json!({"website_url": site.url(), "echo_url": door.url()});
    let task = acme.complete(acme.task("street-survey", inputs)).await;
    let id = task["id"].as_str().unwrap();
    assert_eq!((&task["recipe_version"], &task["variant"]), (&json!("2.0"), &json!("2.0")));

    let steps = acme.steps(id).await;
    let listing = step(&steps, "listing")["output"].as_str().unwrap();
    let expected = "\n1. Start has 2 headings\n2. Shop <script>alert(1)</script> has 1 headings\n\
                    3. Sums: {{ 7*7 }} {% raw %} has 0 headings";
    assert_eq!(listing.trim(), expected.trim());
    let of_pages: Vec<&Value> = steps.iter().filter(|step| step["node_id"] == "pages").collect();
    assert_eq!(of_pages.len(), 3);
    let third = of_pages.iter().find(|step| step["occurrence"] == 2).unwrap();
    assert_eq!(third["output"], json!({"nth": 2, "title": "Sums: {{ 7*7 }} {% raw %}"}));
    assert_eq!(step(&steps, "pictures")["status"], "skipped");
    assert_eq!(step(&steps, "refused")["status"], "failed");
    let summary = step(&steps, "summary");
    assert_eq!(
        (&summary["output"]["fallback_used"], &summary["output"]["model"]),
        (&json!(true), &json!("scripted-large"))
    );

    let visits = door.visits();
    let sent = visits.iter().find(|visit| visit.path == "/").unwrap();
    assert_eq!(sent.headers.get("x-door-key").unwrap(), KEY);
    assert!(sent.body.contains("Sums: {{ 7*7 }}"), "{}", sent.body);

    let report = acme.output(id).await;
    assert_eq!(report.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(report.text.contains("[2: Sums: {{ 7*7 }} {% raw %}]"), "{}", report.text);
    // The footer has the time, which may have a 49 of its own.
    let body = report.text.split("<footer>").next().unwrap();
    assert!(!body.contains("49") && !report.text.contains("<script>"), "{}", report.text);
    assert!(report.text.contains("The door answered hello; refused: ") && report.text.contains("no pictures"));

    let lines = acme.lines(id).await;
    let (tokens, cost) = add_up(&task, &lines);
    let metered = &step(&steps, "metering")["output"];
    assert_eq!((&metered["tokens_used"], usd(&metered["cost_usd"])), (&json!(tokens), cost));
    assert_eq!(metered["client"], site.url());
    let models: Vec<_> =
        of_kind(&lines, "llm").iter().map(|line| (line["model"].clone(), line["status"].clone())).collect();
    assert_eq!(models, [(json!("scripted-500"), json!("failed")), (json!("scripted-large"), json!("success"))]);
    assert_eq!(of_kind(&lines, "http").len(), 2);
    assert_eq!(usd(&of_kind(&lines, "execution")[0]["billed_usd"]), Decimal::new(125, 2));

    let everything = [json!(steps).to_string(), json!(lines).to_string(), task.to_string(), report.text, worker.log()];
    assert!(everything.iter().all(|text| !text.contains("canary")), "the secret got out: {everything:#?}");
    let stored = "select count(*) from task_steps s, task_queue t, audit_logs a, call_intents i
                   where strpos(s::text || t::text || a::text || i::text, 'canary') > 0";
    assert_eq!(stack.count(stored).await, 0);
    assert!(step(&steps, "echo").to_string().contains("[redacted]"), "the door did repeat it");
}
