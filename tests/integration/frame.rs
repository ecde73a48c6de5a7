//! What surrounds every request: problems, headers, health, documents.

use base64::{Engine, prelude::BASE64_STANDARD};
use poem::Request;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::support::Api;

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn health_and_readiness_name_what_they_checked(root: PgPool) {
    let api = Api::start(&root);
    assert_eq!(api.get_open("/healthz").await.expect(200)["status"], "ok");
    let ready = api.get_open("/readyz").await.expect(200);
    assert_eq!(ready["checks"], json!({"postgres": "ok", "redis": "ok", "migrations": "ok", "work": "ok"}));

    sqlx::query("delete from _sqlx_migrations where version = 1").execute(&root).await.unwrap();
    let behind = api.get_open("/readyz").await.expect(503);
    assert_eq!(behind["checks"]["migrations"], "1 to be applied; run teamai migrate");
    assert_eq!(behind["checks"]["postgres"], "ok");

    let cut = Api::with_redis(&root, "redis://127.0.0.1:1");
    assert_eq!(cut.get_open("/readyz").await.expect(503)["checks"]["redis"], "does not answer");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn documents_are_served_and_every_operation_documents_its_errors(root: PgPool) {
    let api = Api::start(&root);
    let spec = api.get_open("/openapi.json").await.expect(200);
    assert_eq!(spec, serde_json::from_str::<serde_json::Value>(&teamai::api::spec()).unwrap());
    let operations = spec["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    for operation in operations {
        assert!(operation["operationId"].is_string(), "{operation}");
        for status in ["401", "404", "409", "422", "429", "503"] {
            let response = &operation["responses"][status];
            assert!(response["content"]["application/problem+json"].is_object(), "{status} of {operation}");
        }
    }
    assert_eq!(api.get_open("/schemas/recipe.json").await.expect(200)["type"], "object");
    assert_eq!(api.get_open("/metrics").await.status, 200);
}

/// Everything that the page runs is in the policy by hash, and so nothing else runs.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_documents_page_runs_its_own_scripts_alone(root: PgPool) {
    let api = Api::start(&root);
    for path in ["/docs", "/docs/"] {
        let docs = api.get_open(path).await;
        assert_eq!((docs.status, docs.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
        let policy = docs.header("content-security-policy").unwrap();
        assert!(!policy.contains("unsafe") && policy.contains("default-src 'none'"), "{policy}");
        let scripts: Vec<&str> = docs
            .text
            .split("</script>")
            .filter_map(|part| part.split_once("<script"))
            .map(|part| part.1.split_once('>').unwrap().1)
            .collect();
        assert!(scripts.len() == 2 && scripts[0].contains("SwaggerUIBundle") && scripts[1].contains("\"operationId\""));
        for script in scripts {
            let hash = BASE64_STANDARD.encode(Sha256::digest(script));
            assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
        }
    }
    api.get_open("/docs/oauth-receiver.html").await.problem(404, "unknown_route");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn every_answer_has_the_security_headers_and_an_id(root: PgPool) {
    let api = Api::start(&root);
    for path in ["/healthz", "/teams", "/nowhere", "/openapi.json"] {
        let reply = api.get_open(path).await;
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(reply.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"), "{path}");
        assert!(!reply.header("content-security-policy").unwrap().contains("unsafe"), "{path}");
        assert_eq!(reply.header("x-request-id").map(str::len), Some(32), "{path}");
    }
    let request = Request::builder().uri_str("/healthz").header("x-request-id", "abc-1").finish();
    assert_eq!(api.send(request).await.header("x-request-id"), Some("abc-1"));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_the_framework_refuses_is_a_problem_too(root: PgPool) {
    let api = Api::start(&root);
    api.get_open("/nowhere").await.problem(404, "unknown_route");
    api.get_open("/auth/login").await.problem(405, "method_not_allowed");
    let reply = api.get_open("/teams").await;
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    reply.problem(401, "not_signed_in");

    let login = || Request::builder().method(poem::http::Method::POST).uri_str("/auth/login");
    api.send(login().body("{}")).await.problem(415, "unsupported_media_type");
    api.send(login().content_type("text/plain").body("{}")).await.problem(415, "unsupported_media_type");
    let broken = api.send(login().content_type("application/json").body("{\"email\":")).await;
    assert!(broken.problem(422, "invalid_json")["detail"].as_str().unwrap().contains("line 1"));
    let big = format!("{{\"email\": \"{}\"}}", "x".repeat(1 << 20));
    api.send(login().content_type("application/json").body(big.clone())).await.problem(413, "too_large");
    let announced = login().content_type("application/json").header("content-length", big.len()).body("");
    api.send(announced).await.problem(413, "too_large");
    let key = login().header("idempotency-key", "k".repeat(256)).content_type("application/json").body("{}");
    api.send(key).await.invalid(&["Idempotency-Key"]);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_body_is_told_everything_that_is_wrong_with_it(root: PgPool) {
    let api = Api::start(&root);
    api.post_open("/auth/login", json!([])).await.invalid(&[""]);
    let body = json!({"email": 3, "passwort": "x"});
    api.post_open("/auth/login", body).await.invalid(&["email", "passwort", "password"]);
    let admin = api.agency("acme").await;
    let body = json!({"agent_role_id": "7", "team_id": null, "custom_name": ["x"], "colour": "red"});
    let paths = ["agent_role_id", "team_id", "custom_name", "colour"];
    api.post(&admin, "/agents", body).await.invalid(&paths);
    let body = json!({"settings": {"default_provider": 1, "theme": "dark"}});
    api.patch(&admin, "/agency", body).await.invalid(&["settings.default_provider", "settings.theme"]);
    let body = json!({"agent_role_id": admin.user_id, "purchased_count": 3_000_000_000_u64});
    api.post(&admin, "/subscriptions", body).await.invalid(&["purchased_count"]);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_database_that_is_away_is_503_and_says_when_to_come_back(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    api.state.pool.close().await;
    let reply = api.get(&admin, "/agency").await;
    assert_eq!(reply.header("retry-after"), Some("1"));
    reply.problem(503, "database_unavailable");
    assert_eq!(api.get_open("/readyz").await.expect(503)["checks"]["postgres"], "does not answer");
}
