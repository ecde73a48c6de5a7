//! The locker through the API: values go in and never come out.

use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::PgPool;
use teamai::{
    base::{AgencyId, RunScope, TeamId},
    locker::Lookup,
};

use crate::support::{Api, Person, pool_as};

async fn resolve(api: &Api, who: &Person, team: &str, name: &str) -> Option<String> {
    let worker = pool_as(&api.root, "teamai_worker");
    let (agency, team) = (AgencyId(who.agency_id.parse().unwrap()), TeamId(team.parse().unwrap()));
    let found = api
        .state
        .locker
        .resolve(&RunScope::claimed(agency, team), &worker, name, Lookup::TeamThenAgency)
        .await
        .unwrap();
    found.map(|secret| secret.value.expose_secret().to_owned())
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
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

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
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

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
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

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
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

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_secret_is_rotated_only_where_it_is(root: PgPool) {
    let api = Api::start(&root);
    let (admin, rival) = (api.agency("acme").await, api.agency("rival").await);
    let team = api.team(&admin, "north").await;
    api.post(&admin, "/secrets/key/rotate", json!({"value": "x"})).await.problem(404, "not_found");
    api.put(&admin, "/secrets/key", json!({"value": "the first value"})).await.expect(201);
    let of_team = format!("/secrets/key/rotate?team_id={team}");
    api.post(&admin, &of_team, json!({"value": "x"})).await.problem(404, "not_found");
    api.post(&rival, "/secrets/key/rotate", json!({"value": "x"})).await.problem(404, "not_found");
    api.post(&admin, "/secrets/key/rotate", json!({"value": ""})).await.invalid(&["value"]);
    let next = api.post(&admin, "/secrets/key/rotate", json!({"value": "the next value"})).await.expect(200);
    assert_eq!((&next["version"], &next["last4"]), (&json!(2), &json!("alue")));
    assert_eq!(resolve(&api, &admin, &team, "key").await.as_deref(), Some("the next value"));
    let secrets: i64 = sqlx::query_scalar("select count(*) from secret_locker").fetch_one(&root).await.unwrap();
    assert_eq!(secrets, 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_key_is_checked_on_its_provider_and_never_shown(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let team = api.team(&admin, "north").await;
    let check = async |path: &str| api.post(&admin, path, json!(null)).await;
    check("/secrets/openai_api_key/check").await.problem(404, "not_found");
    for (name, value) in [("openai_api_key", "good-key"), ("groq_api_key", "no-answer"), ("door_key", "x")] {
        api.put(&admin, &format!("/secrets/{name}"), json!({"value": value})).await.expect(201);
    }
    let of_team = format!("/secrets/openai_api_key/check?team_id={team}");
    check(&of_team).await.problem(404, "not_found");
    api.put(&admin, &format!("/secrets/openai_api_key?team_id={team}"), json!({"value": "bad-key"})).await.expect(201);

    let reply = check("/secrets/openai_api_key/check").await;
    assert!(!reply.text.contains("good-key"), "{}", reply.text);
    let works = reply.expect(200);
    let now = api.state.clock.now().to_rfc3339();
    let expected = json!({"works": true, "provider": "openai", "checked_at": now, "detail": "openai took the key"});
    assert_eq!(works, expected);
    let refused = check(&of_team).await.expect(200);
    assert_eq!((&refused["works"], &refused["detail"]), (&json!(false), &json!("openai refused the key")));
    let unknown = check("/secrets/groq_api_key/check").await.problem(503, "key_not_checked");
    assert!(unknown["detail"].as_str().unwrap().contains("groq did not answer"), "{unknown}");

    let named = check("/secrets/door_key/check").await.invalid(&["key_name"]);
    assert!(named["detail"].as_str().unwrap().contains("groq_api_key, openai_api_key"), "{named}");
    let used = api.get(&admin, "/secrets/openai_api_key").await.expect(200);
    assert_eq!(used["last_used_at"], json!(null), "a check is no use");
    let rival = api.agency("rival").await;
    api.post(&rival, "/secrets/openai_api_key/check", json!(null)).await.problem(404, "not_found");
    let member = api.member(&admin, Some(&team)).await;
    api.post(&member, "/secrets/openai_api_key/check", json!(null)).await.problem(403, "role_too_low");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_key_is_checked_once_in_five_seconds(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    for name in ["openai_api_key", "groq_api_key"] {
        api.put(&admin, &format!("/secrets/{name}"), json!({"value": "good-key"})).await.expect(201);
    }
    let at_once =
        futures::future::join_all((0..6).map(|_| api.post(&admin, "/secrets/openai_api_key/check", json!(null))));
    let (done, refused): (Vec<_>, Vec<_>) = at_once.await.into_iter().partition(|reply| reply.status == 200);
    assert_eq!((done.len(), refused.len()), (1, 5));
    for reply in refused {
        assert_eq!(reply.header("retry-after"), Some("5"));
        reply.problem(429, "checked_lately");
    }
    api.post(&admin, "/secrets/groq_api_key/check", json!(null)).await.expect(200);
    sqlx::query("update secret_locker set checked_at = checked_at - interval '5 seconds'")
        .execute(&root)
        .await
        .unwrap();
    api.post(&admin, "/secrets/openai_api_key/check", json!(null)).await.expect(200);
}

/// A recipe of nodes, each given as YAML.
async fn publish(api: &Api, who: &Person, slug: &str, version: &str, nodes: &[&str]) {
    let nodes = nodes.iter().fold(String::new(), |text, node| text + "      - " + node + "\n");
    let yaml = format!(
        "recipe:\n  id: {slug}\n  name: {slug}\n  version: \"{version}\"\n  inputs: []\n  workflow:\n    nodes:\n{nodes}"
    );
    let request = poem::Request::builder().method(poem::http::Method::POST).uri_str("/recipes");
    let request = request.header("authorization", format!("Bearer {}", who.token)).content_type("application/yaml");
    api.send(request.body(yaml)).await.expect(201);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn recipes_that_need_a_secret_are_listed(root: PgPool) {
    let api = Api::start(&root);
    let (admin, rival) = (api.agency("acme").await, api.agency("rival").await);
    sqlx::query(
        "insert into prices (id, provider, model, effective_from, input, output, source)
         values (gen_random_uuid(), 'openai', 'gpt-4o', '2025-01-01', 1, 1, 'a test')",
    )
    .execute(&root)
    .await
    .unwrap();
    let door = "{ id: door, component: DataFetcher, config: { url: \"https://x.example/\" }, secrets: { bearer_token: \"secret:door_key\" } }";
    let ask =
        |model: &str| format!("{{ id: ask, component: LLMProcessor, config: {{ {model} prompt_template: Hi }} }}");
    publish(&api, &admin, "doors", "1.0", &[door, &ask("model: gpt-4o,")]).await;
    publish(&api, &admin, "old-door", "1.0", &[door]).await;
    publish(&api, &admin, "old-door", "2.0", &[&ask("model: groq/x,")]).await;
    publish(&api, &admin, "chosen", "1.0", &[&ask("")]).await;
    publish(&api, &rival, "theirs", "1.0", &[door]).await;

    let needing = async |name: &str| {
        let found = api.get(&admin, &format!("/secrets/{name}/recipes")).await.expect(200);
        let slug = |item: &serde_json::Value| (item["recipe"].clone(), item["version"].clone(), item["nodes"].clone());
        found["items"].as_array().unwrap().iter().map(slug).collect::<Vec<_>>()
    };
    assert_eq!(needing("door_key").await, [(json!("doors"), json!("1.0"), json!(["door"]))]);
    assert_eq!(needing("openai_api_key").await, [(json!("doors"), json!("1.0"), json!(["ask"]))]);
    assert_eq!(needing("groq_api_key").await, [(json!("old-door"), json!("2.0"), json!(["ask"]))]);
    assert!(needing("nobodys_key").await.is_empty());
    api.patch(&admin, "/agency", json!({"settings": {"default_provider": "groq"}})).await.expect(200);
    let by_default = needing("groq_api_key").await;
    assert_eq!(by_default.iter().map(|(slug, ..)| slug).collect::<Vec<_>>(), ["chosen", "old-door"]);
    let own = api.get(&admin, "/secrets/door_key/recipes").await.expect(200);
    assert_eq!(own["items"][0]["agency_id"], json!(admin.agency_id));
}
