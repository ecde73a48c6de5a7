//! Everything that comes in is bounded: the specification says how, and what is over it is refused by name.

use poem::{Request, http::Method};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Api, Person, Reply};

fn text(characters: usize) -> String {
    "x".repeat(characters)
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

async fn send(api: &Api, who: &Person, method: &str, path: &str, body: Value) -> Reply {
    match method {
        "GET" => api.get(who, path).await,
        "POST" => api.post(who, path, body).await,
        "PUT" => api.put(who, path, body).await,
        _ => api.patch(who, path, body).await,
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_is_over_a_limit_names_field_limit_and_remedy(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let id = "0197f3c0-0000-7000-8000-000000000000";
    let register = |name: &str, value: String| {
        let mut body = json!({"agency_name": "A", "email": "a@b.example", "password": "plenty of daylight"});
        body[name] = json!(value);
        body
    };
    let task = |name: &str, value: Value| {
        let mut body = json!({"agent_instance_id": id, "recipe": "site-audit"});
        body[name] = value;
        body
    };
    let agent = |name: &str, value: Value| {
        let mut body = json!({"agent_role_id": id, "team_id": id, "custom_name": "Ada"});
        body[name] = value;
        body
    };
    let tags = |number: usize, characters: usize| json!(vec![text(characters); number]);
    for (method, path, body, named, words) in [
        ("POST", "/auth/register", register("agency_name", text(201)), "agency_name", "at most 200"),
        ("POST", "/auth/register", register("full_name", text(201)), "full_name", "at most 200"),
        ("POST", "/auth/register", register("email", text(255)), "email", "at most 254"),
        ("POST", "/auth/register", register("billing_email", text(255)), "billing_email", "at most 254"),
        ("POST", "/auth/register", register("password", text(129)), "password", "at most 128"),
        ("POST", "/auth/login", json!({"email": "a@b.example", "password": text(129)}), "password", "at most 128"),
        ("POST", "/auth/refresh", json!({"refresh_token": text(201)}), "refresh_token", "at most 200"),
        ("POST", "/teams", json!({"name": text(201)}), "name", "at most 200"),
        ("PATCH", "/agency", json!({"name": text(201)}), "name", "at most 200"),
        (
            "PATCH",
            "/agency",
            json!({"settings": {"default_model": text(201)}}),
            "settings.default_model",
            "at most 200",
        ),
        ("POST", "/agents", agent("custom_name", json!(text(201))), "custom_name", "at most 200"),
        ("POST", "/agents", agent("avatar_icon", json!(text(201))), "avatar_icon", "at most 200"),
        ("POST", "/agents", agent("configuration", json!({"a": text(16_384)})), "configuration", "at most 16384"),
        ("POST", "/agents", agent("configuration", json!({"a": nested(9)})), "configuration", "at most 8 deep"),
        (
            "POST",
            "/subscriptions",
            json!({"agent_role_id": id, "purchased_count": 100_001}),
            "purchased_count",
            "100000",
        ),
        (
            "POST",
            "/subscriptions",
            json!({"agent_role_id": id, "purchased_count": -1}),
            "purchased_count",
            "at least 0",
        ),
        ("PUT", "/secrets/key", json!({"value": text(16_385)}), "value", "at most 16384"),
        ("POST", "/tasks", task("recipe", json!(text(101))), "recipe", "at most 100"),
        ("POST", "/tasks", task("version", json!(text(65))), "version", "at most 64"),
        ("POST", "/tasks", task("subject", json!(text(256))), "subject", "at most 255"),
        ("POST", "/tasks", task("priority", json!(10)), "priority", "at most 9"),
        ("POST", "/tasks", task("tags", tags(21, 1)), "tags", "at most 20"),
        ("POST", "/tasks", task("tags", tags(1, 65)), "tags[0]", "at most 64"),
        ("POST", "/tasks", task("inputs", json!({"a": nested(40)})), "inputs.a", "more than 32 deep"),
        ("POST", "/tasks", task("inputs", json!({"a": vec![0; 100_001]})), "inputs.a", "more than 100000 values"),
        ("POST", "/tasks", task("inputs", json!({"a": ["b\0"]})), "inputs.a[0]", "NUL"),
        ("POST", "/tasks/batch", json!({"tasks": vec![json!({"a": {"b": {"c": 1}}}); 50_000]}), "", "too many values"),
        ("POST", "/tasks", json!({"inputs": vec![json!({"a": 1}); 40_000]}), "", "too many values"),
        ("POST", "/webhooks", json!({"url": text(2001), "events": ["task.dead"]}), "url", "at most 2000"),
        ("POST", "/webhooks", json!({"url": "https://a.example", "events": []}), "events", "at least 1"),
        ("POST", "/webhooks", json!({"url": "https://a.example", "events": vec!["task.dead"; 33]}), "events", "32"),
        ("PATCH", &format!("/webhooks/{id}"), json!({"description": text(201)}), "description", "at most 200"),
        ("GET", "/teams?limit=201", json!(null), "limit", "200"),
        ("GET", "/teams?limit=0", json!(null), "limit", "1"),
        ("GET", &format!("/teams?cursor={}", text(65)), json!(null), "cursor", "64"),
        ("GET", &format!("/tasks?tag={}", text(65)), json!(null), "tag", "64"),
        ("GET", &format!("/tasks?recipe={}", text(101)), json!(null), "recipe", "100"),
        ("GET", &format!("/recipes?cookbook={}", text(101)), json!(null), "cookbook", "100"),
        ("GET", "/tasks?status=queued&tag=a%00b", json!(null), "tag", "NUL"),
    ] {
        let reply = send(&api, &admin, method, path, body).await;
        let shown = format!("{method} {path:.60}: {:.300}", reply.text);
        let problem = reply.problem(422, "invalid_request");
        let errors = problem["errors"].as_array().unwrap();
        let error = errors.iter().find(|error| {
            error["path"].as_str().unwrap().starts_with(named) && error["message"].as_str().unwrap().contains(words)
        });
        assert!(error.is_some(), "{named} {words}: {shown}");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_request_that_is_too_large_is_not_read(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let request = |method: Method, path: &str| {
        Request::builder().method(method).uri_str(path).header("authorization", format!("Bearer {}", admin.token))
    };
    let json = request(Method::POST, "/tasks").content_type("application/json");
    let reply = api.send(json.body(text(1 << 20) + "x")).await.problem(413, "too_large");
    assert!(reply["detail"].as_str().unwrap().contains("1048576"), "{reply}");
    for path in ["/recipes", "/recipes/validate"] {
        let yaml = request(Method::POST, path).content_type("application/yaml");
        let reply = api.send(yaml.body(text(256 * 1024 + 1))).await.problem(413, "too_large");
        assert!(reply["detail"].as_str().unwrap().contains("262144"), "{reply}");
    }
    let long = api.send(request(Method::GET, &format!("/teams?x={}", text(8 * 1024))).finish()).await;
    assert!(long.problem(414, "uri_too_long")["detail"].as_str().unwrap().contains("8192"));
    let headers = request(Method::GET, "/teams").header("x-many", text(33 * 1024)).finish();
    let many = api.send(headers).await.problem(431, "headers_too_large");
    assert!(many["detail"].as_str().unwrap().contains("32768"), "{many}");
    let key = request(Method::POST, "/tasks").header("idempotency-key", text(256)).content_type("application/json");
    api.send(key.body("{}")).await.invalid(&["Idempotency-Key"]);
    api.send(request(Method::GET, "/secrets/a%00b").finish()).await.problem(404, "not_found");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_recipe_is_bounded_in_every_direction(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let node = |n: usize| json!({"id": format!("n{n}"), "component": "Transform"});
    let with = |workflow: Value| json!({"recipe": {"id": "x", "name": "X", "version": "1.0", "workflow": workflow}});
    let nodes = |number: usize| (0..number).map(node).collect::<Vec<_>>();
    let edge = |n: usize| json!({"from": format!("n{}", n % 10), "to": format!("n{}", 10 + n % 10)});
    let config =
        |value: Value| with(json!({"nodes": [{"id": "a", "component": "Transform", "config": {"value": value}}]}));
    let inputs: Vec<_> = (0..101).map(|n| json!({"name": format!("i{n}"), "type": "string"})).collect();
    let mut many_inputs = with(json!({"nodes": nodes(1)}));
    many_inputs["recipe"]["inputs"] = json!(inputs);
    let secrets: serde_json::Map<_, _> = (0..21).map(|n| (format!("s{n}"), json!("secret:key"))).collect();
    for (recipe, named, words) in [
        (with(json!({"nodes": nodes(201)})), "recipe.workflow.nodes", "at most 200"),
        (
            with(json!({"nodes": nodes(20), "edges": (0..1001).map(edge).collect::<Vec<_>>()})),
            "recipe.workflow.edges",
            "at most 1000",
        ),
        (many_inputs, "recipe.inputs", "at most 100"),
        (
            with(json!({"nodes": [{"id": "a", "component": "Transform", "secrets": secrets}]})),
            "recipe.workflow.nodes[0].secrets",
            "at most 20",
        ),
        (config(json!(text(64 * 1024 + 1))), "", "at most 65536"),
        (config(nested(24)), "", "more than 24 levels"),
        (config(json!(vec![0; 20_001])), "", "20000 values"),
        (
            with(json!({"nodes": [{"id": text(65), "component": "Transform"}]})),
            "recipe.workflow.nodes[0].id",
            "at most 64",
        ),
    ] {
        let reply = api.post(&admin, "/recipes", recipe).await.problem(422, "invalid_recipe");
        let errors = reply["errors"].as_array().unwrap();
        let found = |error: &Value| error["path"] == named && error["message"].as_str().unwrap().contains(words);
        assert!(errors.iter().any(found), "{named} {words}: {reply:.500}");
    }
}

/// The specification's request bodies and parameters have bounds, each of them.
#[test]
fn every_field_of_a_request_has_a_limit_in_the_specification() {
    let spec: Value = serde_json::from_str(&teamai::api::spec()).unwrap();
    let mut missing = Vec::new();
    for (path, methods) in spec["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let place = format!("{method} {path}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                bounded(&parameter["schema"], &spec, &format!("{place} {}", parameter["name"]), &mut missing);
            }
            let body = &operation["requestBody"];
            if body.is_object() {
                assert!(
                    body["description"]
                        .as_str()
                        .is_some_and(|text| text.contains("At most") || text.contains("at most")),
                    "{place}"
                );
                let json = &body["content"]["application/json"]["schema"];
                if json["type"] != "string" {
                    bounded(json, &spec, &place, &mut missing);
                }
            }
        }
    }
    assert!(missing.is_empty(), "no limit in the specification:\n{}", missing.join("\n"));
}

fn bounded(schema: &Value, spec: &Value, place: &str, missing: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return bounded(&spec["components"]["schemas"][name], spec, &format!("{place} {name}"), missing);
    }
    for part in ["allOf", "oneOf", "anyOf"].iter().filter_map(|word| schema[word].as_array()).flatten() {
        bounded(part, spec, place, missing);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        bounded(property, spec, &format!("{place}.{name}"), missing);
    }
    let named = !schema["enum"].is_null()
        || ["uuid", "date-time", "date"].contains(&schema["format"].as_str().unwrap_or_default());
    match schema["type"].as_str() {
        Some("string") if !named && schema["maxLength"].is_null() => missing.push(format!("{place}: maxLength")),
        Some("array") if schema["maxItems"].is_null() => missing.push(format!("{place}: maxItems")),
        Some("array") if schema["maxLength"].is_null() => {
            bounded(&schema["items"], spec, &format!("{place}[]"), missing);
        }
        _ => {}
    }
}

/// What the specification says of unknown fields holds.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn no_body_takes_a_field_that_it_does_not_name(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let spec: Value = serde_json::from_str(&teamai::api::spec()).unwrap();
    let mut tried = 0;
    for (path, methods) in spec["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let Some(name) = schema["$ref"].as_str().map(|name| name.rsplit('/').next().unwrap()) else { continue };
            let declared = &spec["components"]["schemas"][name];
            if declared["properties"].is_null() {
                continue;
            }
            assert_eq!(declared["additionalProperties"], false, "{name}");
            let path = path.replace("{id}", "0197f3c0-0000-7000-8000-000000000000").replace("{key_name}", "key");
            let reply = send(&api, &admin, &method.to_uppercase(), &path, json!({"no_such_field": 1})).await;
            let problem = reply.problem(422, "invalid_request");
            let errors = problem["errors"].as_array().unwrap();
            assert!(errors.iter().any(|error| error["path"] == "no_such_field"), "{method} {path}: {problem}");
            tried += 1;
        }
    }
    assert!(tried >= 10, "{tried}");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_method_that_is_not_taken_is_told_those_that_are(root: PgPool) {
    let api = Api::start(&root);
    for (method, path, allowed) in [
        (Method::GET, "/auth/login", "POST"),
        (Method::PUT, "/teams", "GET, HEAD, POST"),
        (Method::POST, "/teams/0197f3c0-0000-7000-8000-000000000000", "DELETE, GET, HEAD, PATCH"),
        (Method::TRACE, "/tasks", "GET, HEAD, POST"),
        (Method::OPTIONS, "/secrets/key", "DELETE, GET, HEAD, PUT"),
        (Method::DELETE, "/healthz", "GET, HEAD"),
        (Method::from_bytes(b"BREW").unwrap(), "/agency", "GET, HEAD, PATCH"),
    ] {
        let reply = api.send(Request::builder().method(method.clone()).uri_str(path).finish()).await;
        assert_eq!(reply.header("allow"), Some(allowed), "{method} {path}: {}", reply.text);
        reply.problem(405, "method_not_allowed");
    }
}
