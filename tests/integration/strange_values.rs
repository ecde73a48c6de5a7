//! Values that are well formed and that a store or another parser would take differently.

use poem::Request;
use serde_json::json;
use sqlx::PgPool;

use crate::support::{Api, Person, Reply};

async fn post_text(api: &Api, who: &Person, path: &str, kind: &str, body: &str) -> Reply {
    let request = Request::builder().method(poem::http::Method::POST).uri_str(path);
    let request = request.header("authorization", format!("Bearer {}", who.token)).content_type(kind);
    api.send(request.body(body.to_owned())).await
}

const OUT_OF_RANGE: [&str; 7] = [
    "-4714-01-01T00:00:00Z",
    "-262143-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "9999-12-31T23:59:59-00:01",
    "%2B10000-01-01T00:00:00Z",
    "%2B262142-01-01T00:00:00Z",
];

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn times_outside_1970_to_9999_are_refused_wherever_one_comes_in(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    for text in OUT_OF_RANGE {
        for query in ["/audit-logs?from=", "/audit-logs?to=", "/tasks?created_after="] {
            let reply = api.get(&admin, &format!("{query}{text}")).await;
            assert!(matches!(reply.status, 400 | 422), "{query}{text}: {} {}", reply.status, reply.text);
        }
        let text = text.replace("%2B", "+");
        let task = json!({"agent_instance_id": "0197f3c0-0000-7000-8000-000000000000", "recipe": "a", "run_at": text});
        api.post(&admin, "/tasks", task.clone()).await.invalid(&["run_at"]);
        api.post(&admin, "/tasks/batch", json!({"tasks": [task]})).await.invalid(&["tasks[0].run_at"]);
        let key = json!({"name": "k", "scopes": ["tasks:read"], "expires_at": text});
        api.post(&admin, "/api-keys", key).await.invalid(&["expires_at"]);
    }
    for text in ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"] {
        for query in ["/audit-logs?from=", "/audit-logs?to=", "/tasks?created_after="] {
            api.get(&admin, &format!("{query}{text}")).await.expect(200);
        }
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_name_given_twice_in_a_body_is_refused_with_its_path(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    for (path, body, named) in [
        ("/teams", r#"{"name": "A", "name": "B"}"#, "name"),
        ("/teams", r#"{"name": "A", "\u006eame": "B"}"#, "name"),
        ("/tasks/batch", r#"{"tasks": [{"recipe": "a", "inputs": {"x": {"u": 1, "u": 2}}}]}"#, "tasks[0].inputs.x.u"),
    ] {
        post_text(&api, &admin, path, "application/json", body).await.invalid(&[named]);
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_recipe_with_a_nul_is_refused_with_its_path(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let recipe = r#"{"recipe": {"id": "a", "name": "A", "version": "1.0", "workflow": {"nodes": [
        {"id": "n", "component": "Transform", "config": {"value": "x\u0000y"}}]}}}"#;
    for path in ["/recipes", "/recipes/validate"] {
        let reply = post_text(&api, &admin, path, "application/json", recipe).await;
        assert!(reply.status == 422 || path == "/recipes/validate", "{path}: {} {}", reply.status, reply.text);
        assert!(reply.text.contains("recipe.workflow.nodes[0].config.value"), "{path}: {}", reply.text);
        assert!(reply.text.contains("NUL"), "{path}: {}", reply.text);
    }
}

/// Of every operation; what is no UTF-8 would else be read as another text.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_query_that_is_not_utf_8_is_refused_with_its_parameter(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let spec = api.get_open("/openapi.json").await.expect(200);
    let mut tried = 0;
    for (path, methods) in spec["paths"].as_object().unwrap() {
        let path: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            for name in parameters.filter(|one| one["in"] == "query").map(|one| one["name"].as_str().unwrap()) {
                for value in ["%ff", "a%C3", "%ed%a0%80", "%c0%80"] {
                    let request = Request::builder()
                        .method(method.to_uppercase().parse().unwrap())
                        .uri_str(format!("{}?{name}={value}", path.join("/")))
                        .header("authorization", format!("Bearer {}", admin.token));
                    let refused = api.send(request.finish()).await.invalid(&[name]);
                    assert!(refused["detail"].as_str().unwrap().contains("UTF-8"), "{refused}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 50, "{tried}");
    for query in ["a=b&tag=%FF", "tag=x&%ff=1", "limit=1&tag=a+%fe+b&cursor="] {
        assert_eq!(api.get(&admin, &format!("/tasks?{query}")).await.status, 422, "{query}");
    }
    for query in ["tag=%C3%BC", "tag=a+b%20c", "tag=100%", "tag=%zz", "", "&&tag=%F0%9F%8C%9E"] {
        api.get(&admin, &format!("/tasks?{query}")).await.expect(200);
    }
}
