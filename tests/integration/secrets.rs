//! The locker through the API: values go in and never come out.

use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::PgPool;
use teamai::{
    base::{AgencyId, TeamId},
    locker::Lookup,
};

use crate::support::{Api, Person, pool_as};

async fn resolve(api: &Api, who: &Person, team: &str, name: &str) -> Option<String> {
    let worker = pool_as(&api.root, "teamai_worker");
    let (agency, team) = (AgencyId(who.agency_id.parse().unwrap()), TeamId(team.parse().unwrap()));
    let found = api.state.locker.resolve(&worker, agency, team, name, Lookup::TeamThenAgency).await.unwrap();
    found.map(|secret| secret.expose_secret().to_owned())
}

#[sqlx::test(migrations = "./migrations")]
async fn a_value_is_stored_versioned_used_and_never_shown(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let team = api.team(&admin, "north").await;
    let put = |value: &str| json!({"value": value});
    let made = api.put(&admin, "/secrets/openai_api_key", put("sk-first-value-1234")).await.expect(201);
    assert_eq!((&made["version"], &made["last4"], &made["team_id"]), (&json!(1), &json!("1234"), &json!(null)));
    assert_eq!(resolve(&api, &admin, &team, "openai_api_key").await.as_deref(), Some("sk-first-value-1234"));
    let next = api.put(&admin, "/secrets/openai_api_key", put("short")).await.expect(200);
    assert_eq!((&next["version"], &next["last4"]), (&json!(2), &json!("")));
    assert_eq!(resolve(&api, &admin, &team, "openai_api_key").await.as_deref(), Some("short"));

    let own = api.put(&admin, &format!("/secrets/openai_api_key?team_id={team}"), put("the team's own")).await;
    assert_eq!(own.expect(201)["team_id"], json!(team));
    assert_eq!(resolve(&api, &admin, &team, "openai_api_key").await.as_deref(), Some("the team's own"));

    let shown = api.get(&admin, "/secrets/openai_api_key").await;
    let listed = api.get(&admin, "/secrets").await;
    for reply in [shown, listed] {
        assert!(!reply.text.contains("short") && !reply.text.contains("the team"), "{}", reply.text);
    }
    let listed = api.get(&admin, &format!("/secrets?team_id={team}")).await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let used = api.get(&admin, "/secrets/openai_api_key").await.expect(200);
    assert!(used["last_used_at"].is_string());

    api.delete(&admin, &format!("/secrets/openai_api_key?team_id={team}")).await.expect(204);
    assert_eq!(resolve(&api, &admin, &team, "openai_api_key").await.as_deref(), Some("short"));
    api.delete(&admin, "/secrets/openai_api_key").await.expect(204);
    assert_eq!(resolve(&api, &admin, &team, "openai_api_key").await, None);
    api.delete(&admin, "/secrets/openai_api_key").await.problem(404, "not_found");
    api.get(&admin, "/secrets/openai_api_key").await.problem(404, "not_found");
}

#[sqlx::test(migrations = "./migrations")]
async fn names_and_values_out_of_bounds_are_named(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    api.put(&admin, "/secrets/Not%20plain", json!({"value": "x"})).await.invalid(&["key_name"]);
    api.put(&admin, "/secrets/key", json!({"value": ""})).await.invalid(&["value"]);
    api.put(&admin, "/secrets/key", json!({"value": "x".repeat(16_385)})).await.invalid(&["value"]);
    api.put(&admin, "/secrets/key", json!({"value": "x".repeat(16_384)})).await.expect(201);
    api.put(&admin, "/secrets/key", json!({"secret": "x"})).await.invalid(&["value", "secret"]);
    let refused = api.put(&admin, "/secrets/key", json!({"value": {"hunter2": "hunter2"}})).await;
    assert!(!refused.text.contains("hunter2"), "{}", refused.text);
    refused.invalid(&["value"]);
    api.get(&admin, "/secrets/Not%20plain").await.problem(404, "not_found");
}

#[sqlx::test(migrations = "./migrations")]
async fn secrets_of_another_agency_and_for_its_teams_are_not_there(root: PgPool) {
    let api = Api::start(&root);
    let (acme, rival) = (api.agency("acme").await, api.agency("rival").await);
    let team = api.team(&acme, "north").await;
    api.put(&acme, "/secrets/key", json!({"value": "acme's value"})).await.expect(201);
    api.get(&rival, "/secrets/key").await.problem(404, "not_found");
    api.delete(&rival, "/secrets/key").await.problem(404, "not_found");
    let path = format!("/secrets/key?team_id={team}");
    api.put(&rival, &path, json!({"value": "x"})).await.problem(404, "not_found");
    assert_eq!(api.get(&rival, "/secrets").await.expect(200)["items"], json!([]));
    assert_eq!(resolve(&api, &rival, &team, "key").await, None);
    assert_eq!(resolve(&api, &acme, &team, "key").await.as_deref(), Some("acme's value"));
}

#[sqlx::test(migrations = "./migrations")]
async fn first_secrets_put_at_once_share_one_agency_key_and_each_counts(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let team = api.team(&admin, "north").await;
    let puts = (0..12).map(|n| {
        let (api, admin) = (&api, &admin);
        async move { api.put(admin, "/secrets/key", json!({"value": format!("value {n}")})).await }
    });
    let replies = futures::future::join_all(puts).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 11);
    assert_eq!(api.get(&admin, "/secrets/key").await.expect(200)["version"], 12);
    let keys: i64 = sqlx::query_scalar("select count(*) from agency_keys").fetch_one(&root).await.unwrap();
    assert_eq!(keys, 1);
    assert!(resolve(&api, &admin, &team, "key").await.unwrap().starts_with("value "));
}
