//! API keys: made once, good within their scopes, and gone when revoked.

use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgPool;

use crate::support::{Api, Person};

fn with_token(token: &str) -> Person {
    let none = String::new;
    Person { token: token.to_owned(), refresh_token: none(), user_id: none(), agency_id: none(), email: none() }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_key_is_shown_once_kept_as_a_hash_and_known_by_its_prefix(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let body = json!({"name": " CI ", "scopes": ["audit:read", "tasks:read"]});
    let made = api.post(&admin, "/api-keys", body).await.expect(201);
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("tak_") && key.len() == 69, "{key}");
    assert_eq!(made["api_key"]["name"], "CI");
    assert_eq!(made["api_key"]["scopes"], json!(["tasks:read", "audit:read"]));
    assert_eq!(made["api_key"]["created_by"], admin.user_id.as_str());
    let listed = api.get(&admin, "/api-keys").await;
    assert!(!listed.text.contains(&key[26..]), "{}", listed.text);
    assert_eq!(listed.expect(200)["items"][0], made["api_key"]);
    let kept: String = sqlx::query_scalar("select api_keys::text from api_keys").fetch_one(&root).await.unwrap();
    assert!(!kept.contains(&key[26..]), "{kept}");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_key_does_what_its_scopes_say_and_no_more(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let (north, south) = (api.team(&admin, "north").await, api.team(&admin, "south").await);
    let reader = api.key(&admin, None, &["teams:read"]).await;
    assert_eq!(api.get(&reader, "/teams").await.expect(200)["items"].as_array().unwrap().len(), 2);
    let refused = api.post(&reader, "/teams", json!({"name": "x"})).await.problem(403, "scope_missing");
    assert!(refused["detail"].as_str().unwrap().contains("teams:write"), "{refused}");
    api.get(&reader, "/agency").await.problem(403, "scope_missing");

    let writer = api.key(&admin, None, &["teams:write"]).await;
    api.post(&writer, "/teams", json!({"name": "east"})).await.expect(201);
    api.get(&writer, "/teams").await.problem(403, "scope_missing");

    // Of a team: a member of it, whatever its scopes are.
    let teams = api.key(&admin, Some(&north), &["teams:read", "teams:write", "secrets:read"]).await;
    assert_eq!(api.get(&teams, "/teams").await.expect(200)["items"].as_array().unwrap().len(), 1);
    api.get(&teams, &format!("/teams/{south}")).await.problem(404, "not_found");
    api.post(&teams, "/teams", json!({"name": "x"})).await.problem(403, "role_too_low");
    api.get(&teams, "/secrets").await.problem(403, "role_too_low");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_is_for_people_is_refused_to_keys_with_every_scope(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let all: Vec<&str> = teamai::auth::Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    let key = api.key(&admin, None, &all).await;
    for reply in [
        api.get(&key, "/auth/me").await,
        api.get(&key, "/auth/sessions").await,
        api.get(&key, "/api-keys").await,
        api.post(&key, "/api-keys", json!({"name": "more", "scopes": ["tasks:read"]})).await,
        api.post(&key, "/invites", json!({"email": "x@acme.example", "role": "agency_admin"})).await,
        api.patch(&key, &format!("/users/{}", admin.user_id), json!({"role": "team_member"})).await,
    ] {
        reply.problem(403, "people_only");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_key_that_is_wrong_revoked_expired_or_of_a_suspended_agency_is_refused(root: PgPool) {
    let api = Api::start(&root);
    let (admin, rival) = (api.agency("acme").await, api.agency("rival").await);
    let expires = (api.state.clock.now() + TimeDelta::hours(1)).to_rfc3339();
    let body = json!({"name": "a", "scopes": ["teams:read"], "expires_at": expires});
    let made = api.post(&admin, "/api-keys", body).await.expect(201);
    let key = with_token(made["key"].as_str().unwrap());
    api.get(&key, "/teams").await.expect(200);
    let other = api.key(&rival, None, &["teams:read"]).await;
    // One key's id with another's secret, and a secret changed in one place.
    let crossed = format!("{}{}", &key.token[..26], &other.token[26..]);
    let last = if key.token.ends_with('A') { "E" } else { "A" };
    let changed = format!("{}{last}", &key.token[..key.token.len() - 1]);
    for token in [crossed.as_str(), &changed, "tak_", "tak_x"] {
        api.get(&with_token(token), "/teams").await.problem(401, "invalid_token");
    }
    api.advance(TimeDelta::hours(1));
    api.get(&key, "/teams").await.problem(401, "invalid_token");
    api.get(&other, "/teams").await.expect(200);

    let path = format!("/api-keys/{}", other.user_id);
    api.delete(&admin, &path).await.problem(401, "invalid_token");
    let admin = api.login(&admin.email).await;
    api.delete(&admin, &path).await.problem(404, "not_found");
    let rival = api.login(&rival.email).await;
    api.delete(&rival, &path).await.expect(204);
    api.get(&other, "/teams").await.problem(401, "invalid_token");
    api.delete(&rival, &path).await.problem(404, "not_found");
    assert_eq!(api.get(&rival, "/api-keys").await.expect(200)["items"], json!([]));

    let third = api.key(&rival, None, &["teams:read"]).await;
    api.get(&third, "/teams").await.expect(200);
    sqlx::query("update agencies set status = 'suspended'").execute(&root).await.unwrap();
    api.get(&third, "/teams").await.problem(401, "invalid_token");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_key_goes_with_its_team_and_stays_without_its_maker(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let team = api.team(&admin, "north").await;
    let key = api.key(&admin, Some(&team), &["teams:read"]).await;
    let agencys = api.key(&admin, None, &["teams:read"]).await;
    api.delete(&admin, &format!("/teams/{team}")).await.expect(204);
    api.get(&key, "/teams").await.problem(401, "invalid_token");
    sqlx::query("update users set status = 'deactivated'").execute(&root).await.unwrap();
    api.get(&agencys, "/teams").await.expect(200);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_time_of_use_is_kept_to_the_minute_and_only_for_the_right_secret(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let key = api.key(&admin, None, &["teams:read"]).await;
    let last_used = async || api.get(&admin, "/api-keys").await.expect(200)["items"][0]["last_used_at"].clone();
    api.get(&with_token(&format!("{}{}", &key.token[..26], "A".repeat(43))), "/teams")
        .await
        .problem(401, "invalid_token");
    assert_eq!(last_used().await, json!(null));
    api.get(&key, "/teams").await.expect(200);
    let first = last_used().await;
    assert!(first.is_string());
    api.advance(TimeDelta::seconds(59));
    api.get(&key, "/teams").await.expect(200);
    assert_eq!(last_used().await, first);
    api.advance(TimeDelta::seconds(1));
    futures::future::join_all((0..20).map(|_| api.get(&key, "/teams"))).await;
    assert_ne!(last_used().await, first);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_bad_key_names_each_field(root: PgPool) {
    let api = Api::start(&root);
    let (admin, rival) = (api.agency("acme").await, api.agency("rival").await);
    let body = json!({"name": "x", "scopes": ["tasks:read", "tasks:delete"], "expires_at": "soon", "role": "admin"});
    let told = api.post(&admin, "/api-keys", body).await.invalid(&["scopes[1]", "expires_at", "role"]);
    assert!(told.to_string().contains("tasks:write"), "{told}");
    api.post(&admin, "/api-keys", json!({"name": "x", "scopes": []})).await.invalid(&["scopes"]);
    let body = json!({"name": " ", "scopes": ["tasks:read"], "expires_at": "2020-01-01T00:00:00Z"});
    api.post(&admin, "/api-keys", body).await.invalid(&["name", "expires_at"]);
    let team = api.team(&rival, "theirs").await;
    let body = json!({"name": "x", "scopes": ["tasks:read"], "team_id": team});
    api.post(&admin, "/api-keys", body).await.problem(404, "not_found");
}
