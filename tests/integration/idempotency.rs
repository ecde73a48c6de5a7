//! `Idempotency-Key` on every POST that takes a token.

use poem::{Request, http::Method};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Api, PASSWORD, Person, Reply};

async fn keyed(api: &Api, who: &Person, path: &str, key: &str, body: &Value) -> Reply {
    let request = Request::builder()
        .method(Method::POST)
        .uri_str(path)
        .header("authorization", format!("Bearer {}", who.token))
        .header("idempotency-key", key)
        .content_type("application/json");
    api.send(request.body(body.to_string())).await
}

async fn count(api: &Api, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&api.root).await.unwrap()
}

const TEAMS: &str = "select count(*) from teams";

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_same_request_is_done_once_and_another_is_refused(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let north = json!({"name": "north"});
    let first = keyed(&api, &admin, "/teams", "k1", &north).await;
    assert_eq!(first.header("idempotency-replayed"), None);
    let first = first.expect(201);
    let again = keyed(&api, &admin, "/teams", "k1", &north).await;
    assert_eq!((again.status, &again.body, again.header("idempotency-replayed")), (201, &first, Some("true")));
    assert_eq!(again.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(count(&api, TEAMS).await, 1);
    let other = keyed(&api, &admin, "/teams", "k1", &json!({"name": "south"})).await;
    let problem = other.problem(422, "idempotency_key_reused");
    assert_eq!(problem["errors"][0]["path"], "Idempotency-Key");
    assert_eq!(count(&api, TEAMS).await, 1);

    // Another operation's keys are its own, as are another person's and another agency's.
    let invite = json!({"email": "mia@acme.example", "role": "team_member", "team_id": first["id"]});
    keyed(&api, &admin, "/invites", "k1", &invite).await.expect(201);
    let stranger = api.agency("other").await;
    keyed(&api, &stranger, "/teams", "k1", &json!({"name": "south"})).await.expect(201);
    let member = api.member(&admin, first["id"].as_str()).await;
    keyed(&api, &member, "/teams", "k1", &north).await.problem(403, "role_too_low");
    assert_eq!(count(&api, TEAMS).await, 2);

    // A day later the key is free.
    sqlx::query("update stored_answers set created_at = now() - interval '25 hours'").execute(&api.root).await.unwrap();
    keyed(&api, &admin, "/teams", "k1", &json!({"name": "south"})).await.expect(201);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn many_at_once_do_the_work_once(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let body = json!({"name": "north"});
    let replies = futures::future::join_all((0..8).map(|_| keyed(&api, &admin, "/teams", "k", &body))).await;
    let made: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 201).collect();
    assert!(!made.is_empty());
    assert!(made.iter().all(|reply| reply.body == made[0].body));
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        assert_eq!((reply.status, &reply.body["code"]), (409, &json!("idempotency_key_in_use")), "{}", reply.text);
        assert!(reply.header("retry-after").is_some());
    }
    assert_eq!(count(&api, TEAMS).await, 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn one_whose_end_is_not_known_is_not_done_again(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let body = json!({"name": "north"});
    keyed(&api, &admin, "/teams", "k", &body).await.expect(201);
    // As if the process had died between the work and the keeping of its answer.
    let died = "update stored_answers set status = null, key_version = null, nonce = null, ciphertext = null";
    sqlx::query(died).execute(&api.root).await.unwrap();
    keyed(&api, &admin, "/teams", "k", &body).await.problem(409, "idempotency_key_in_use");
    sqlx::query("update stored_answers set created_at = now() - interval '2 minutes'")
        .execute(&api.root)
        .await
        .unwrap();
    keyed(&api, &admin, "/teams", "k", &body).await.problem(409, "idempotency_outcome_unknown");
    keyed(&api, &admin, "/teams", "k", &json!({"name": "south"})).await.problem(422, "idempotency_key_reused");
    assert_eq!(count(&api, TEAMS).await, 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_request_that_was_refused_gives_its_key_back(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    keyed(&api, &admin, "/teams", "k", &json!({"name": ""})).await.invalid(&["name"]);
    keyed(&api, &admin, "/teams", "k", &json!({"name": "north"})).await.expect(201);
    keyed(&api, &admin, "/teams", "", &json!({"name": "north"})).await.invalid(&["Idempotency-Key"]);
    let nobody = Person { token: "nothing".to_owned(), ..api.login(&admin.email).await };
    keyed(&api, &nobody, "/teams", "k", &json!({"name": "north"})).await.problem(401, "invalid_token");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_secret_that_is_shown_once_is_shown_again_and_kept_sealed(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let body = json!({"name": "a machine", "scopes": ["tasks:read"]});
    let first = keyed(&api, &admin, "/api-keys", "k", &body).await.expect(201);
    let again = keyed(&api, &admin, "/api-keys", "k", &body).await.expect(201);
    assert_eq!(first["key"], again["key"]);
    assert_eq!(count(&api, "select count(*) from api_keys").await, 1);
    let kept: String =
        sqlx::query_scalar("select string_agg(encode(ciphertext, 'escape') || s::text, '') from stored_answers s")
            .fetch_one(&api.root)
            .await
            .unwrap();
    assert!(!kept.is_empty() && !kept.contains(first["key"].as_str().unwrap()) && !kept.contains("tak_"), "{kept}");

    // Moved to another key's row it does not open.
    sqlx::query("update stored_answers set key = 'l'").execute(&api.root).await.unwrap();
    keyed(&api, &admin, "/api-keys", "l", &body).await.problem(500, "internal");

    // Somebody who may no longer ask is not answered from memory.
    let demoted = "update users set role = 'team_member' where email = 'admin@acme.example'";
    keyed(&api, &admin, "/api-keys", "m", &body).await.expect(201);
    let other = json!({"agency_name": "x", "email": "x@x.example", "password": PASSWORD});
    api.post_open("/auth/register", other).await.expect(201);
    sqlx::query(demoted).execute(&api.root).await.unwrap();
    let refused = keyed(&api, &admin, "/api-keys", "m", &body).await;
    assert!(refused.status == 422 || refused.status == 403, "{}", refused.text);
    assert!(!refused.text.contains("tak_"));
}

#[test]
fn every_post_with_a_token_says_that_it_takes_the_key() {
    let spec: Value = serde_json::from_str(&teamai::api::spec()).unwrap();
    let mut named = 0;
    for (path, methods) in spec["paths"].as_object().unwrap() {
        let Some(post) = methods.get("post") else { continue };
        let open = post["security"] == json!([{}]);
        let takes =
            post["parameters"].as_array().into_iter().flatten().filter(|p| p["name"] == "Idempotency-Key").count();
        assert_eq!(takes, usize::from(!open), "POST {path}");
        named += takes;
    }
    assert!(named > 10, "{named}");
}
