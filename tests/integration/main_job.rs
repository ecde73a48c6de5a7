//! The main job: a site with faults, a real crawl, a model over HTTP, a report and its ledger.

use rust_decimal::Decimal;
use serde_json::json;
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, of_kind, step, usd},
    model::Model,
    site::Site,
    stack::Stack,
};

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_site_is_audited_and_the_ledger_is_what_the_model_counted(root: PgPool) {
    let (site, model) = (Site::bakery().await, Model::serve().await);
    let settings =
        [("TEAMAI_EGRESS__ALLOW", &*site.allowed()), ("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &*model.base_url())];
    let stack = Stack::start(&root, &settings).await;
    let _worker = stack.worker();
    let acme = Customer::with_model(&stack, "acme", "openai", "gpt-4o-mini").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;

    let mut task = acme.task("site-audit", json!({"website_url": site.url(), "max_pages": 25}));
    task["version"] = json!("1.0.0");
    let task = acme.complete(task).await;
    let id = task["id"].as_str().unwrap();

    let report = acme.output(id).await;
    assert_eq!(report.header("content-type"), Some("text/markdown; charset=utf-8"));
    let disposition = report.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment; filename=\"audit_"), "{disposition}");
    assert!(disposition.ends_with(".md\""), "{disposition}");
    let section = |title: &str| {
        let rest = report.text.split_once(&format!("### {title}\n")).unwrap_or_else(|| panic!("{}", report.text)).1;
        rest.split("\n#").next().unwrap().to_owned()
    };
    for (title, pages) in [
        ("Pages without a title", &["/visit.html"][..]),
        ("Pages without a meta description", &["/catering.html"]),
        ("Pages with images without alternative text", &["/cakes.html"]),
        ("Titles used more than once", &["/story.html", "/team.html"]),
        ("Broken links", &["/courses/sourdough-spring.html"]),
    ] {
        let found = section(title);
        assert!(pages.iter().all(|page| found.contains(page)), "{title}: {found}");
        assert_eq!(found.matches("\n- ").count(), 1, "{title}: {found}");
    }
    assert!(section("Pages with fewer than 150 words").contains("/gift-cards.html"));
    assert!(!site.visits().iter().any(|visit| visit.path.starts_with("/staff")), "robots.txt closes it");

    let lines = acme.lines(id).await;
    let asked = model.requests();
    let calls = of_kind(&lines, "llm");
    assert_eq!((calls.len(), asked.len()), (1, 1), "{lines:#?}");
    let (line, request) = (calls[0], &asked[0]);
    assert_eq!(line["request_id"], request["request_id"]);
    assert_eq!(line["usage"], request["usage"]);
    let (input, output) = (&request["input_tokens"], &request["output_tokens"]);
    let (input, output) = (input.as_u64().unwrap(), output.as_u64().unwrap());
    assert_eq!(line["tokens_used"], input + output);
    let price = (Decimal::new(15, 2) * Decimal::from(input) + Decimal::new(60, 2) * Decimal::from(output))
        / Decimal::from(1_000_000);
    assert_eq!(usd(&line["cost_usd"]), price);
    assert_eq!(
        (&line["status"], &line["estimated"], &line["node_id"]),
        (&json!("success"), &json!(false), &json!("analysis"))
    );
    assert_eq!(of_kind(&lines, "crawl").len(), 1);

    let (tokens, cost) = add_up(&task, &lines);
    assert_eq!((tokens, cost), (input + output, price));
    let executions = of_kind(&lines, "execution");
    assert_eq!(executions.len(), 1);
    assert_eq!((&executions[0]["status"], usd(&executions[0]["billed_usd"])), (&json!("success"), Decimal::new(5, 1)));
    assert_eq!(task["progress"], json!({"done": 5, "total": 5}));

    let steps = acme.steps(id).await;
    let nodes: Vec<_> = steps.iter().map(|step| step["node_id"].as_str().unwrap()).collect();
    assert_eq!(nodes, ["crawl", "faults", "analysis", "metering", "report"]);
    assert!(steps.iter().all(|step| step["status"] == "completed" && step["attempts"] == 1), "{steps:#?}");
    assert_eq!((&step(&steps, "analysis")["tokens"], usd(&step(&steps, "analysis")["cost"])), (&json!(tokens), cost));
    assert_eq!(step(&steps, "metering")["output"]["tokens_used"], tokens);
}
