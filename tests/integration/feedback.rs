//! What people say of a result, and what it does in an experiment.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, days_from_now, text},
    stack::Stack,
};

const RECIPE: &str = r#"
recipe:
  id: rated
  name: Rated
  version: "1.0"
  workflow: { nodes: [{ id: end, component: Transform, config: { value: done } }] }
  ab_testing: { enabled: true, variants: ["1.0"], success_metric: quality_score, sample_size: 10 }
"#;

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_score_counts_where_no_judge_gave_one(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    let id = text(&acme.complete(acme.task("rated", json!({}))).await["id"]);
    let path = format!("/tasks/{id}/feedback");
    let result = async || {
        let row = "select jsonb_build_array(quality_score, metric_value) from ab_test_results where task_id = $1::uuid";
        let scores: Value = sqlx::query_scalar(row).bind(&id).fetch_one(&stack.root).await.unwrap();
        scores.as_array().unwrap().iter().map(Value::as_f64).collect::<Vec<_>>()
    };
    assert_eq!(result().await, [None, None]);
    let given = acme.post(&path, json!({"quality_score": 0.8, "comment": "Good"})).await.expect(200);
    assert_eq!(given, json!({"task_id": id, "quality_score": "0.8", "comment": "Good", "counted": true}));
    assert_eq!(result().await, [Some(0.8), Some(0.8)]);
    // The last word counts.
    assert_eq!(acme.post(&path, json!({"quality_score": 0.5})).await.expect(200)["counted"], true);
    assert_eq!(result().await, [Some(0.5), Some(0.5)]);

    // A judge's score stays.
    sqlx::query("delete from task_feedback").execute(&root).await.unwrap();
    assert_eq!(acme.post(&path, json!({"quality_score": 0.1})).await.expect(200)["counted"], false);
    assert_eq!(result().await, [Some(0.5), Some(0.5)]);
    assert_eq!(acme.post(&path, json!({"quality_score": 0.2})).await.expect(200)["counted"], false);
    assert_eq!(result().await, [Some(0.5), Some(0.5)]);

    for (body, named) in [
        (json!({"quality_score": 1.5}), "quality_score"),
        (json!({"quality_score": -0.1}), "quality_score"),
        (json!({"quality_score": "good"}), "quality_score"),
        (json!({"comment": "x"}), "quality_score"),
        (json!({"quality_score": 1, "comment": ""}), "comment"),
        (json!({"quality_score": 1, "stars": 5}), "stars"),
    ] {
        acme.post(&path, body).await.invalid(&[named]);
    }
    let mut later = acme.task("rated", json!({}));
    later["run_at"] = days_from_now(300);
    let open = acme.submit(later).await;
    acme.post(&format!("/tasks/{open}/feedback"), json!({"quality_score": 1})).await.problem(409, "no_result");
}
