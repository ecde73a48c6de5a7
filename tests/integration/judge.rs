//! A judge's score is the run's result in an experiment.

use rust_decimal::Decimal;
use serde_json::json;
use sqlx::PgPool;

use crate::{
    customer::{Customer, step},
    stack::Stack,
};

fn recipe(version: &str, prompt: &str) -> String {
    format!(
        r#"
recipe:
  id: judged
  name: Judged
  version: "{version}"
  workflow:
    nodes:
      - {{ id: write, component: LLMProcessor, config: {{ prompt_template: "{prompt}" }} }}
      - id: judge
        component: QualityJudge
        depends_on: [write]
        config: {{ model: scripted/scripted-small, rubric: Is it brief and kind?, subject: "{{{{ write.content }}}}" }}
    output: {{ source: write.content }}
  ab_testing:
    enabled: true
    variants: ["1.0", "1.1"]
    success_metric: quality_score
    sample_size: 10
"#
    )
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_judges_score_is_the_experiments_metric(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    for (version, prompt) in [("1.1", "Thank the client"), ("1.0", "Write to the client")] {
        acme.publish(&recipe(version, prompt)).await;
    }
    let task = acme.complete(acme.task("judged", json!({}))).await;
    assert!(task["experiment_id"].is_string(), "{task}");
    let judged = step(&acme.steps(task["id"].as_str().unwrap()).await, "judge")["output"].clone();
    let score: Decimal = judged["quality_score"].to_string().parse().unwrap();
    assert!(score >= Decimal::ZERO && score <= Decimal::ONE && judged["reason"].is_string(), "{judged}");
    let (metric, quality): (Decimal, Decimal) =
        sqlx::query_as("select metric_value, quality_score from ab_test_results").fetch_one(&root).await.unwrap();
    assert_eq!((metric, quality), (score, score));
}
