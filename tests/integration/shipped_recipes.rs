//! Every recipe that is shipped runs to its end.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, items, of_kind, text, usd},
    site::Site,
    stack::Stack,
};

/// What a run of each recipe needs beside `website_url`.
fn inputs(recipe: &str, site: &str) -> Value {
    let mut inputs = match recipe {
        "site-audit" | "broken-link-checker" | "content-ideas" => json!({}),
        "meta-tag-analyzer" => json!({"keywords": ["bread", "cakes"]}),
        "post-calendar" => {
            return json!({"brand": "Corner Bakery", "topics": ["rye bread", "baking course"],
                          "start_date": "2026-03-02"});
        }
        "score-lead" => json!({"company_name": "Corner Bakery", "ideal_customer": "Shops that sell online"}),
        "draft-outreach" => json!({"company_name": "Corner Bakery", "offer": "Audits of shops", "sender_name": "Ann"}),
        other => panic!("say which inputs {other} needs"),
    };
    inputs["website_url"] = json!(site);
    inputs
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn with_the_scripted_model(root: PgPool) {
    let site = Site::bakery().await;
    let stack = Stack::start(&root, &[("TEAMAI_EGRESS__ALLOW", &site.allowed())]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    let recipes = items(&acme.get("/recipes?limit=200&status=published").await.expect(200));
    assert_eq!(recipes.len(), 8, "seven recipes, one of them in two versions");
    let mut runs = Vec::new();
    for recipe in recipes {
        let name = text(&recipe["slug"]);
        let mut task = acme.task(&name, inputs(&name, &site.url()));
        task["version"] = recipe["version"].clone();
        runs.push((format!("{name} {}", recipe["version"]), acme.submit(task).await));
    }
    for (recipe, id) in runs {
        let task = acme.finished(&id).await;
        assert_eq!(task["status"], "completed", "{recipe}: {}", task["error"]);
        assert!(acme.output(&id).await.text.len() > 100, "{recipe}");
        let lines = acme.lines(&id).await;
        let (tokens, _) = add_up(&task, &lines);
        assert!(tokens > 0, "{recipe}");
        let executions = of_kind(&lines, "execution");
        assert_eq!(executions.len(), 1, "{recipe}");
        assert!(usd(&executions[0]["billed_usd"]) > Decimal::ZERO, "{recipe}");
        let progress = &task["progress"];
        assert_eq!(progress["done"], progress["total"], "{recipe}");
    }
}
