//! Keys that are checked, used and rotated while the installation runs.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::Customer,
    model::Model,
    site::Site,
    stack::{Stack, eventually},
};

const RECIPE: &str = r#"
recipe:
  id: ring
  name: Ring
  version: "1.0"
  inputs: [{ name: door, type: string, validation: url }]
  workflow:
    nodes:
      - id: ring
        component: HttpRequest
        config: { url: "{{ inputs.door }}", headers: { X-Key: "secret:key" } }
        secrets: { key: "secret:door_key" }
"#;

fn root_key(byte: u8) -> String {
    BASE64_STANDARD.encode([byte; 32])
}

/// Rings, and gives the key with which the door was opened.
async fn ring(acme: &Customer, door: &Site) -> String {
    acme.complete(acme.task("ring", json!({"door": door.url()}))).await;
    let visits = door.visits();
    visits.last().unwrap().headers.get("x-key").unwrap().to_str().unwrap().to_owned()
}

async fn door() -> Site {
    Site::pages(&[("/", "<title>Door</title>")]).await
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_new_value_is_used_by_the_next_run_and_its_use_is_noted(root: PgPool) {
    let door = door().await;
    let stack = Stack::start(&root, &[("TEAMAI_EGRESS__ALLOW", &door.allowed())]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    acme.secret_for("door_key", "the first key", &[&door.allowed()]).await;
    assert_eq!(acme.get("/secrets/door_key").await.expect(200)["last_used_at"], Value::Null);
    assert_eq!(ring(&acme, &door).await, "the first key");
    let used = acme.get("/secrets/door_key").await.expect(200);
    assert!(used["last_used_at"].as_str() > used["created_at"].as_str(), "{used}");
    acme.rotate("door_key", "the second key").await;
    // The worker believes what it read for one second.
    eventually("the worker uses the new key", async || (ring(&acme, &door).await == "the second key").then_some(()))
        .await;
    let needing = acme.get("/secrets/door_key/recipes").await.expect(200);
    assert_eq!((&needing["items"][0]["recipe"], &needing["items"][0]["nodes"]), (&json!("ring"), &json!(["ring"])));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_key_is_tried_on_the_provider_itself(root: PgPool) {
    let (model, nobody) = (Model::serve().await, door().await);
    let base = model.base_url();
    let gemini = base.replace("/v1", "/v1beta");
    let settings = [
        ("TEAMAI_PROVIDERS__OPENAI__BASE_URL", base.as_str()),
        ("TEAMAI_PROVIDERS__ANTHROPIC__BASE_URL", &base),
        ("TEAMAI_PROVIDERS__OPENROUTER__BASE_URL", &base),
        ("TEAMAI_PROVIDERS__GEMINI__BASE_URL", &gemini),
        ("TEAMAI_PROVIDERS__GROQ__BASE_URL", &nobody.url()),
    ];
    let stack = Stack::start(&root, &settings).await;
    let acme = Customer::new(&stack, "acme").await;
    for provider in ["openai", "anthropic", "gemini", "openrouter", "scripted"] {
        for (value, works) in [("sk-canary-good-key", true), ("bad-key", false)] {
            let path = format!("/secrets/{provider}_api_key");
            acme.post(&format!("{path}/rotate"), json!({"value": value})).await;
            if works {
                acme.secret(&format!("{provider}_api_key"), value).await;
            }
            stack
                .count("with c as (update secret_locker set checked_at = null returning 1) select count(*) from c")
                .await;
            let reply = acme.post(&format!("{path}/check"), json!(null)).await;
            assert!(!reply.text.contains(value), "{}", reply.text);
            let checked = reply.expect(200);
            assert_eq!((&checked["works"], &checked["provider"]), (&json!(works), &json!(provider)), "{checked}");
        }
    }
    acme.secret("groq_api_key", "a key").await;
    let untold = acme.post("/secrets/groq_api_key/check", json!(null)).await.problem(503, "key_not_checked");
    assert!(untold["detail"].as_str().unwrap().contains("providers.groq.base_url"), "{untold}");
    assert!(!stack.api.log().contains("canary"), "{}", stack.api.log());
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn keys_are_rotated_while_everything_runs(root: PgPool) {
    let door = door().await;
    let stack = Stack::start(&root, &[("TEAMAI_EGRESS__ALLOW", &door.allowed())]).await;
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    acme.secret_for("door_key", "the key", &[&door.allowed()]).await;
    let (old, new) = (root_key(7), root_key(8));
    let reads_both = [("TEAMAI_LOCKER__ROOT_KEY", old.as_str()), ("TEAMAI_LOCKER__PREVIOUS_ROOT_KEYS", &new)];
    let worker = stack.worker_with(&reads_both);
    assert_eq!(ring(&acme, &door).await, "the key");

    let rotated = stack.command(&["admin", "rotate-agency", &acme.agency, "--json"], &[]);
    let report: Value = serde_json::from_slice(&rotated.stdout).unwrap_or_else(|_| panic!("{rotated:?}"));
    let expected =
        json!({"agency_id": acme.agency, "key_version": 2, "resealed": 1, "unreadable": 0, "keys_dropped": 1});
    assert_eq!((report, rotated.status.code()), (expected, Some(0)));
    assert_eq!(ring(&acme, &door).await, "the key");
    let all = stack.command(&["admin", "rotate-agency", "--all"], &[]);
    assert!(String::from_utf8_lossy(&all.stdout).contains("key 3, 1 secrets sealed anew"), "{all:?}");

    let next = [("TEAMAI_LOCKER__ROOT_KEY", new.as_str()), ("TEAMAI_LOCKER__PREVIOUS_ROOT_KEYS", &old)];
    for rewrapped in [1, 0] {
        let rotated = stack.command(&["admin", "rotate-root", "--json"], &next);
        let report: Value = serde_json::from_slice(&rotated.stdout).unwrap_or_else(|_| panic!("{rotated:?}"));
        assert_eq!((&report["rewrapped"], &report["left"]), (&json!(rewrapped), &json!(0)), "{report}");
        assert_eq!(rotated.status.code(), Some(0));
    }
    assert_eq!(ring(&acme, &door).await, "the key");
    worker.kill();
    let _new_alone = stack.worker_with(&[("TEAMAI_LOCKER__ROOT_KEY", &new)]);
    stack.age_tickets().await;
    assert_eq!(ring(&acme, &door).await, "the key");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_wrong_root_key_stops_a_process_at_its_start_with_both_ids(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("door_key", "the key").await;
    let wrapped_with: String =
        sqlx::query_scalar("select root_key_id from agency_keys").fetch_one(&root).await.unwrap();
    let mut wrong = stack.worker_with(&[("TEAMAI_LOCKER__ROOT_KEY", &root_key(9))]);
    assert_eq!(wrong.ended().await, Some(2), "{}", wrong.log());
    let log = wrong.log();
    assert!(log.contains(&wrapped_with) && log.contains("TEAMAI_LOCKER__PREVIOUS_ROOT_KEYS"), "{log}");
    let configured = log.split("and ").filter_map(|rest| rest.split(" is configured").next()).find(|id| id.len() == 16);
    assert!(configured.is_some_and(|id| id != wrapped_with), "{log}");

    for (key, said) in [("", "TEAMAI_LOCKER__ROOT_KEY: not set"), ("c2hvcnQ=", "holds 5 bytes where 32 are needed")] {
        let mut refused = stack.worker_with(&[("TEAMAI_LOCKER__ROOT_KEY", key)]);
        assert_eq!(refused.ended().await, Some(2), "{}", refused.log());
        assert!(refused.log().contains(said), "{}", refused.log());
    }
    let left = stack.command(&["admin", "rotate-root", "--json"], &[("TEAMAI_LOCKER__ROOT_KEY", &root_key(9))]);
    assert_eq!(left.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&left.stdout).unwrap();
    assert_eq!((&report["left"], &report["failed"][0]["agency_id"]), (&json!(1), &json!(acme.agency)));
    let nobody = stack.command(&["admin", "rotate-agency", "01900000-0000-7000-8000-000000000000"], &[]);
    assert_eq!(nobody.status.code(), Some(2), "{nobody:?}");
}
