//! Values that are easily found again are stored, used and thrown back; afterwards they stand nowhere.

use base64::{Engine, prelude::BASE64_STANDARD};
use poem::{Response, http::StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::{
    customer::{Customer, step},
    site::{Site, Visit},
    stack::Stack,
};

/// Each secret with the part of it that no encoding of text changes.
const DOOR: (&str, &str) = ("ke/y c4naryD00rKey +\"<&42", "c4naryD00rKey");
const QUERY: (&str, &str) = ("qu/c4naryQu3ryKey+&=?~end", "c4naryQu3ryKey");
const BEARER: (&str, &str) = ("tok-c4naryB3arerKey==/end", "c4naryB3arerKey");
const MODEL: (&str, &str) = ("sk-c4naryM0delKey+/=:end", "c4naryM0delKey");
const OWN_MODEL: (&str, &str) = ("sk-c4naryOwnM0delKey+/=:end", "c4naryOwnM0delKey");
const ALL: [(&str, &str); 5] = [DOOR, QUERY, BEARER, MODEL, OWN_MODEL];

const RECIPE: &str = r#"
recipe:
  id: canary
  name: Canary
  version: "1.0"
  inputs: [{ name: door, type: string, validation: url }]
  workflow:
    nodes:
      - id: echo
        component: HttpRequest
        config:
          method: POST
          url: "{{ inputs.door }}"
          headers: { X-Key: "secret:door" }
          query: { key: "secret:query" }
          json: { hello: world }
        secrets: { door: "secret:door_key", query: "secret:query_key" }
      - id: page
        component: HttpRequest
        config: { url: "{{ inputs.door }}page", headers: { X-Key: "secret:door" } }
        secrets: { door: "secret:door_key" }
      - id: fetch
        component: DataFetcher
        config: { url: "{{ inputs.door }}" }
        secrets: { bearer_token: "secret:team:bearer_key" }
      - id: refused
        component: DataFetcher
        config: { url: "{{ inputs.door }}refused", query: { key: "secret:query" } }
        secrets: { query: "secret:query_key" }
        retry: { max_attempts: 1 }
        allow_failure: true
      - id: broken
        component: HttpRequest
        config: { url: "{{ inputs.door }}broken", query: { key: "secret:query" } }
        secrets: { query: "secret:query_key" }
        retry: { max_attempts: 1 }
        allow_failure: true
      - id: ask
        component: LLMProcessor
        depends_on: [echo, page, fetch, refused, broken]
        config:
          model: echo/good
          prompt_template: "{{ echo }} {{ page.text }} {{ fetch }} {{ refused.error }} {{ broken.error }}"
      - id: own
        component: LLMProcessor
        config: { model: echo/good, prompt_template: Hello }
        secrets: { api_key: "secret:own_model_key" }
      - id: fallback
        component: LLMProcessor
        config: { model: echo/refuse, fallback_model: echo/garbled, prompt_template: Hello }
        retry: { max_attempts: 1 }
        allow_failure: true
      - id: report
        component: ReportGenerator
        config:
          format: html
          title: Canary
          template: "{{ echo }} {{ page.text }} {{ ask.content }} {{ own.content }} {{ fallback.error }}"
        depends_on: [ask, own, fallback]
    output: { type: report, format: html, source: report.output, filename: canary.html }
"#;

const FAILING: &str = r#"
recipe:
  id: failing
  name: Failing
  version: "1.0"
  inputs: [{ name: door, type: string, validation: url }]
  workflow:
    nodes:
      - id: refused
        component: LLMProcessor
        config: { model: echo/refuse, prompt_template: Hello }
"#;

/// A secret as servers of all kinds repeat it.
fn spelled(secret: &str) -> Vec<String> {
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let mut all = vec![form.to_lowercase(), form.replace('+', "%20"), form, html];
    all.extend(each_byte(secret));
    all.extend(["", "u:", "us:", "user:"].map(|before| BASE64_STANDARD.encode(format!("{before}{secret}"))));
    all.insert(0, secret.to_owned());
    all
}

/// In either case, and with every byte escaped in one way.
fn each_byte(text: &str) -> Vec<String> {
    let each = |sign: &dyn Fn(u8) -> String| text.bytes().map(sign).collect::<String>();
    vec![
        text.to_lowercase(),
        text.to_uppercase(),
        hex::encode(text),
        hex::encode_upper(text),
        each(&|byte| format!("%{byte:02x}")),
        each(&|byte| if byte % 2 == 0 { format!("%{byte:02X}") } else { format!("%{byte:02x}") }),
        each(&|byte| format!("%25{byte:02X}")),
        each(&|byte| format!("&#{byte};")),
        each(&|byte| format!("\\u{byte:04x}")),
    ]
}

/// What the visitor sent as secrets.
fn sent(visit: &Visit) -> Vec<String> {
    let header = |name: &str| visit.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let bearer = header("authorization").map(|value| value.trim_start_matches("Bearer ").to_owned());
    let query = url::form_urlencoded::parse(visit.query.as_bytes()).find(|(name, _)| name == "key");
    header("x-key").into_iter().chain(bearer).chain(query.map(|(_, value)| value.into_owned())).collect()
}

/// Repeats every secret in every spelling, in JSON, in a page, in headers, in a refusal, and with a broken answer.
fn echo(visit: &Visit) -> Response {
    let said: Vec<String> = sent(visit).iter().flat_map(|secret| spelled(secret)).collect();
    let first = sent(visit).first().map(|secret| BASE64_STANDARD.encode(secret)).unwrap_or_default();
    let builder = Response::builder().header("x-repeated", first.clone()).header("x-request-id", first);
    match visit.path.as_str() {
        "/page" => builder.content_type("text/html").body(format!("<p>{}</p>", said.join("</p><p>"))),
        "/refused" => builder.status(StatusCode::FORBIDDEN).content_type("text/plain").body(said.join(" ")),
        "/broken" => builder
            .status(StatusCode::FOUND)
            .header("location", format!("http://nowhere.invalid/?{}", visit.query))
            .finish(),
        _ => builder
            .content_type("application/json")
            .body(json!({"said": said, "key": {said[0].clone(): 1}}).to_string()),
    }
}

/// A model that repeats its key wherever an answer has room for it.
fn model(visit: &Visit) -> Response {
    let key = sent(visit).pop().unwrap_or_default();
    let said = spelled(&key).join(" ");
    let body: Value = serde_json::from_str(&visit.body).unwrap_or_default();
    let builder =
        Response::builder().header("x-request-id", BASE64_STANDARD.encode(&key)).content_type("application/json");
    let refusal = json!({"error": {"code": said, "type": key, "message": format!("Incorrect key {said}")}});
    match body["model"].as_str() {
        Some("garbled") => builder.body(format!("{{\"choices\": [{said}")),
        Some("good") => {
            let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "key": said, "of": {key.clone(): 1}});
            let message = json!({"role": "assistant", "content": said});
            let choices = json!([{"index": 0, "message": message, "finish_reason": said}]);
            builder.body(json!({"id": key, "model": said, "choices": choices, "usage": usage}).to_string())
        }
        // A model that refuses, and the list on which a key is checked.
        _ => builder.status(StatusCode::UNAUTHORIZED).body(refusal.to_string()),
    }
}

/// How the unchanging part of a secret looks in a text that holds the secret in any encoding.
fn needles(core: &str) -> Vec<String> {
    let mut needles = each_byte(core);
    needles.push(core.to_owned());
    for before in 0..3 {
        let encoded = BASE64_STANDARD.encode(format!("{}{core}", &"###"[..before]));
        // Without the characters that share bits with what stands around.
        let inner = encoded.trim_end_matches('=');
        needles.push(inner[4..inner.len() - 2].to_owned());
    }
    needles
}

#[track_caller]
fn clean(place: &str, text: &str) {
    for (_, core) in ALL {
        for needle in needles(core) {
            let around = text.find(&needle).map(|at| {
                text[text.floor_char_boundary(at.saturating_sub(300))..].chars().take(700).collect::<String>()
            });
            assert_eq!(around, None, "{needle}, of {core}, stands in {place}");
        }
    }
}

/// Every row of every table, bytes in hexadecimal.
async fn dump(root: &PgPool) -> String {
    let tables: Vec<String> = sqlx::query_scalar("select format('%I.%I', schemaname, tablename) from pg_tables where schemaname not in ('pg_catalog', 'information_schema')")
        .fetch_all(root)
        .await
        .unwrap();
    assert!(tables.len() > 20, "{tables:?}");
    let mut dump = String::new();
    for table in tables {
        let query = format!("select coalesce(string_agg(t::text, E'\\n'), '') from {table} t");
        dump += &sqlx::query_scalar::<_, String>(AssertSqlSafe(query)).fetch_one(root).await.unwrap();
    }
    dump
}

#[test]
fn the_search_finds_a_secret_in_every_spelling() {
    for (secret, core) in ALL {
        for text in spelled(secret) {
            let text = format!("<{text}>");
            assert!(needles(core).iter().any(|needle| text.contains(needle)), "{text}");
        }
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_stored_value_stands_nowhere_after_it_was_used_and_thrown_back(root: PgPool) {
    let (door, echo_model) = (Site::serve(echo).await, Site::serve(model).await);
    let base = format!("{}v1", echo_model.url());
    let settings = [
        ("TEAMAI_EGRESS__ALLOW", door.allowed()),
        ("TEAMAI_PROVIDERS__ECHO__BASE_URL", base),
        ("TEAMAI_PROVIDERS__ECHO__PROTOCOL", "openai".to_owned()),
        ("RUST_LOG", "debug".to_owned()),
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let stack = Stack::start(&root, &settings).await;
    let worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    let door_of = [door.allowed()];
    let door_of = door_of.each_ref().map(String::as_str);
    for (name, (value, _)) in [("door_key", DOOR), ("query_key", QUERY)] {
        acme.secret_for(name, value, &door_of).await;
    }
    acme.secret("echo_api_key", MODEL.0).await;
    acme.secret_for("own_model_key", OWN_MODEL.0, &[&echo_model.allowed()]).await;
    acme.secret_for(&format!("bearer_key?team_id={}", acme.team), BEARER.0, &door_of).await;
    for recipe in [RECIPE, FAILING] {
        acme.publish(recipe).await;
    }

    let task = acme.complete(acme.task("canary", json!({"door": door.url()}))).await;
    let failed = acme.run(acme.task("failing", json!({"door": door.url()}))).await;
    assert_eq!((&failed["status"], &failed["error"]["node_id"]), (&json!("failed"), &json!("refused")));
    let checked = acme.post("/secrets/echo_api_key/check", json!(null)).await;
    assert_eq!(checked.body["works"], false, "{}", checked.text);

    // It did leave, and it did come back.
    let (doors, prompts) = (door.visits(), echo_model.visits());
    for (secret, core) in ALL {
        let arrived = doors.iter().chain(&prompts).any(|visit| sent(visit).iter().any(|sent| sent == secret));
        assert!(arrived, "{core} was never sent");
    }
    let id = task["id"].as_str().unwrap();
    let steps = acme.steps(id).await;
    for node in ["echo", "page", "fetch", "ask", "own"] {
        assert!(step(&steps, node)["output"].to_string().contains("[redacted]"), "{}", step(&steps, node));
    }
    let asked = prompts.iter().find(|visit| visit.body.contains("world") || visit.body.contains("[redacted]")).unwrap();
    assert!(asked.body.contains("[redacted]"), "{}", asked.body);

    let used = "select count(*) from secret_locker where last_used_at is not null";
    assert_eq!(stack.count(used).await, 5);
    for visit in &prompts {
        clean("a prompt", &visit.body);
    }
    clean("what a key's check answers", &checked.text);
    clean("Postgres", &dump(&root).await);
    clean("Redis", &stack.redis.dump().await);
    for path in [
        format!("/tasks/{id}"),
        format!("/tasks/{id}/steps"),
        format!("/tasks/{id}/output"),
        format!("/tasks/{}", failed["id"].as_str().unwrap()),
        format!("/tasks/{}/steps", failed["id"].as_str().unwrap()),
        "/tasks".to_owned(),
        "/audit-logs?limit=200".to_owned(),
        "/secrets".to_owned(),
        "/queue".to_owned(),
        "/openapi.json".to_owned(),
        "/metrics".to_owned(),
    ] {
        let reply = acme.get(&path).await;
        assert!(reply.status == 200, "{path}: {}", reply.text);
        clean(&path, &reply.text);
    }
    for (place, log) in [("the API's log", stack.api.log()), ("the worker's log", worker.log())] {
        assert!(log.contains("DEBUG"), "{place} is not at debug level");
        clean(place, &log);
    }
}
