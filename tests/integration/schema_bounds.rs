//! Schemas in recipes that multiply: refused when they are published, by name and at once.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use sqlx::PgPool;

use crate::support::Api;

/// `levels` definitions, each of which refers to the next one twice.
fn doubling(levels: usize) -> Value {
    let mut definitions = Map::new();
    for level in 0..levels {
        let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
        definitions.insert(format!("d{level}"), json!({"allOf": [next, next]}));
    }
    definitions.insert(format!("d{levels}"), json!({"type": "string"}));
    json!({"$ref": "#/$defs/d0", "$defs": definitions})
}

fn recipe(component: &str, config: Value) -> Value {
    let mut node = json!({"id": "a", "component": component});
    node["config"] = config;
    json!({"recipe": {"id": "r", "name": "R", "version": "1.0", "workflow": {"nodes": [node]}}})
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_schema_that_multiplies_is_not_published(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    for levels in [26, 34, 90] {
        let schema = doubling(levels);
        let tool = |config| json!([{"component": "LLMProcessor", "config": config}]);
        for (component, config, path) in [
            ("Approval", json!({"message": "?", "form": schema}), "form"),
            (
                "LLMProcessor",
                json!({"prompt_template": "x", "model": "m", "response_schema": schema}),
                "response_schema",
            ),
            ("Agent", json!({"prompt_template": "x", "response_schema": schema}), "response_schema"),
            (
                "Agent",
                json!({"prompt_template": "x", "tools": tool(json!({"model": "m", "response_schema": schema}))}),
                "tools[0].config.response_schema",
            ),
        ] {
            let recipe = recipe(component, config);
            let started = Instant::now();
            let problem = api.post(&admin, "/recipes", recipe.clone()).await.problem(422, "invalid_recipe");
            let checked = api.post(&admin, "/recipes/validate", recipe).await.expect(200);
            assert!(started.elapsed() < Duration::from_secs(2), "{component} {levels}: {:?}", started.elapsed());
            let error = &problem["errors"][0];
            assert_eq!(error["path"], format!("recipe.workflow.nodes[0].config.{path}"), "{problem}");
            assert!(error["message"].as_str().unwrap().contains("references"), "{error}");
            assert_eq!(checked["valid"], false, "{checked}");
        }
    }
}
