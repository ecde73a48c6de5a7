//! A recipe under test: assignment, subjects, and a result for each finished run.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{customer::Customer, site::Site, stack::Stack};

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn runs_are_assigned_and_each_leaves_a_result(root: PgPool) {
    let site = Site::bakery().await;
    let stack = Stack::start(&root, &[("TEAMAI_EGRESS__ALLOW", &site.allowed())]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    let audit = |extra: Value| {
        let mut task = acme.task("site-audit", json!({"website_url": site.url(), "max_pages": 1}));
        task.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        task
    };

    let mut assigned = Vec::new();
    for _ in 0..16 {
        assigned.push(acme.submit(audit(json!({}))).await);
    }
    let mut kept = BTreeSet::new();
    for _ in 0..6 {
        let id = acme.submit(audit(json!({"subject": "client-1"}))).await;
        kept.insert(acme.find(&id).await["variant"].as_str().unwrap().to_owned());
        assigned.push(id);
    }
    assert_eq!(kept.len(), 1, "a subject keeps its variant");

    let mut variants = BTreeSet::new();
    for id in &assigned {
        let task = acme.finished(id).await;
        assert_eq!(task["status"], "completed", "{}", task["error"]);
        assert_eq!(task["variant"], task["recipe_version"]);
        assert!(task["experiment_id"].is_string());
        variants.insert(task["variant"].as_str().unwrap().to_owned());
    }
    // By chance alone 16 runs fall on one of two variants once in 32,768 times.
    assert_eq!(variants.into_iter().collect::<Vec<_>>(), ["1.0.0", "1.1.0"]);

    let by_hand = acme.complete(audit(json!({"version": "1.0.0"}))).await;
    assert_eq!((&by_hand["variant"], &by_hand["experiment_id"]), (&Value::Null, &Value::Null));

    let results: Vec<(String, String, i64, bool)> = sqlx::query_as(
        "select r.task_id::text, r.outcome, r.tokens_used, r.variant = t.recipe_version and r.token_cost = t.cost_usd
           from ab_test_results r join task_queue t on t.id = r.task_id",
    )
    .fetch_all(&root)
    .await
    .unwrap();
    let expected: BTreeSet<_> = assigned.iter().map(String::as_str).collect();
    assert_eq!(results.iter().map(|result| result.0.as_str()).collect::<BTreeSet<_>>(), expected);
    assert_eq!(results.len(), assigned.len(), "one result a run");
    assert!(results.iter().all(|(_, outcome, tokens, agrees)| outcome == "completed" && *tokens > 0 && *agrees));
}
