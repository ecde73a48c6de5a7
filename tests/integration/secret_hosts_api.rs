//! Hosts of secrets through the API: set with the value, shown, and bound by publishing.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Api, Person, Reply};

async fn publish(api: &Api, who: &Person, slug: &str, nodes: &[Value]) -> Reply {
    let recipe = json!({"recipe": {"id": slug, "name": slug, "version": "1.0",
        "inputs": [{"name": "url", "type": "string", "required": false}], "workflow": {"nodes": nodes}}});
    api.post(who, "/recipes", recipe).await
}

fn rings(id: &str, url: &str, secret: &str) -> Value {
    json!({"id": id, "component": "HttpRequest", "config": {"url": url, "headers": {"x-key": "secret:k"}},
        "secrets": {"k": secret}})
}

async fn hosts(api: &Api, who: &Person, name: &str) -> Value {
    api.get(who, &format!("/secrets/{name}")).await.expect(200)["hosts"].clone()
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn hosts_are_set_with_the_value_and_shown(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let put = async |body: Value| api.put(&admin, "/secrets/key", body).await;
    let given = ["API.example.com", "api.example.com:443", "api.example.com:8443", "bücher.example"];
    let made = put(json!({"value": "the value", "hosts": given})).await.expect(201);
    let kept = json!(["api.example.com", "api.example.com:8443", "xn--bcher-kva.example"]);
    assert_eq!((&made["hosts"], &made["provider"]), (&kept, &Value::Null));
    assert_eq!(put(json!({"value": "another"})).await.expect(200)["hosts"], kept, "left out, they stay");
    let rotated = api.post(&admin, "/secrets/key/rotate", json!({"value": "a third"})).await.expect(200);
    assert_eq!(rotated["hosts"], kept);
    assert_eq!(api.get(&admin, "/secrets").await.expect(200)["items"][0]["hosts"], kept);
    // Whoever does not know the value cannot have it sent elsewhere.
    put(json!({"hosts": ["evil.example"]})).await.invalid(&["value"]);
    api.post(&admin, "/secrets/key/rotate", json!({"value": "x", "hosts": ["evil.example"]})).await.invalid(&["hosts"]);
    assert_eq!(hosts(&api, &admin, "key").await, kept);
    assert_eq!(
        put(json!({"value": "a fourth", "hosts": ["b.example"]})).await.expect(200)["hosts"],
        json!(["b.example"])
    );
    assert_eq!(put(json!({"value": "a fifth", "hosts": []})).await.expect(200)["hosts"], json!([]));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_is_no_host_is_named_with_its_place(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let put = async |hosts: Value| api.put(&admin, "/secrets/key", json!({"value": "x", "hosts": hosts})).await;
    for wrong in [
        "",
        "*",
        "*.example.com",
        "https://a.example",
        "a.example/",
        "a.example/x",
        "a.example?x",
        "a.example#x",
        "a@b",
        "a.example:99999",
        "a b.example",
        " a.example",
        "a.example\n",
        "{{ inputs.host }}",
        "a.example,b.example",
        "a.example\\b",
        ":443",
        "-a.com",
        "a-.com",
        "x:0",
        "example..com",
        ".example.com",
        "a_b.example.-x",
        "example.com..",
    ] {
        let refused = put(json!(["ok.example", wrong])).await.invalid(&["hosts[1]"]);
        assert!(refused["detail"].as_str().unwrap().contains("api.example.com:8443"), "{wrong}: {refused}");
    }
    let many: Vec<String> = (0..21).map(|nth| format!("h{nth}.example")).collect();
    put(json!(many)).await.invalid(&["hosts"]);
    put(json!("a.example")).await.invalid(&["hosts"]);
    put(json!([["a.example"]])).await.invalid(&["hosts[0]"]);
    api.get(&admin, "/secrets/key").await.problem(404, "not_found");
    put(json!(many[..20])).await.expect(201);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_providers_key_is_the_providers(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let body = json!({"value": "sk-1234", "hosts": ["evil.example"]});
    let refused = api.put(&admin, "/secrets/openai_api_key", body).await.invalid(&["hosts"]);
    assert!(refused["detail"].as_str().unwrap().contains("api.openai.example"), "{refused}");
    let made = api.put(&admin, "/secrets/openai_api_key", json!({"value": "sk-1234"})).await.expect(201);
    assert_eq!((&made["hosts"], &made["provider"]), (&json!(["api.openai.example"]), &json!("openai")));
    // Publishing does not change that.
    let elsewhere = [rings("a", "https://evil.example/", "secret:openai_api_key")];
    let published = publish(&api, &admin, "elsewhere", &elsewhere).await.expect(201);
    assert_eq!(published["bound_secrets"], json!([]));
    assert!(published["warnings"][0]["message"].as_str().unwrap().contains("evil.example"), "{published}");
    assert_eq!(hosts(&api, &admin, "openai_api_key").await, json!(["api.openai.example"]));
    // A name that is like one of a provider's is bound as every other.
    api.put(&admin, "/secrets/semrush_api_key", json!({"value": "x", "hosts": ["api.semrush.example"]}))
        .await
        .expect(201);
    assert_eq!(hosts(&api, &admin, "semrush_api_key").await, json!(["api.semrush.example"]));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn publishing_binds_what_has_no_hosts_to_what_is_written_out(root: PgPool) {
    let api = Api::start(&root);
    let (admin, rival) = (api.agency("acme").await, api.agency("rival").await);
    let team = api.team(&admin, "north").await;
    for (path, who) in [("/secrets/key", &admin), ("/secrets/other", &admin), ("/secrets/key", &rival)] {
        api.put(who, path, json!({"value": "x"})).await.expect(201);
    }
    for name in ["key", "of_team"] {
        api.put(&admin, &format!("/secrets/{name}?team_id={team}"), json!({"value": "x"})).await.expect(201);
    }
    api.put(&admin, "/secrets/of_team", json!({"value": "x"})).await.expect(201);
    let nodes = [
        rings("a", "https://A.example/{{ inputs.url }}", "secret:key"),
        rings("b", "https://b.example:8443/", "secret:key"),
        rings("c", "https://c.example/", "secret:team:of_team"),
        rings("d", "{{ inputs.url }}", "secret:other"),
        rings("e", "https://e.example/", "secret:nobodys"),
    ];
    let published = publish(&api, &admin, "binds", &nodes).await.expect(201);
    let both = json!(["a.example", "b.example:8443"]);
    let mut bound = published["bound_secrets"].as_array().unwrap().clone();
    bound.sort_by_key(ToString::to_string);
    let mut expected = vec![
        json!({"key_name": "key", "team_id": null, "hosts": both}),
        json!({"key_name": "key", "team_id": team, "hosts": both}),
        json!({"key_name": "of_team", "team_id": team, "hosts": ["c.example"]}),
    ];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(bound, expected);
    let of_other: Vec<_> = published["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|warning| warning.to_string().contains("PUT /secrets/other"))
        .collect();
    assert_eq!(of_other.len(), 1, "{published}");
    assert_eq!(of_other[0]["path"], "recipe.workflow.nodes[3].secrets.k");
    assert_eq!(hosts(&api, &admin, "key").await, both);
    assert_eq!(hosts(&api, &admin, "of_team").await, json!([]), "the agency's is not named");
    assert_eq!(hosts(&api, &rival, "key").await, json!([]));
    // Bound once: another recipe adds nothing, and is told.
    let more = publish(&api, &admin, "more", &[rings("a", "https://z.example/", "secret:key")]).await.expect(201);
    assert_eq!(more["bound_secrets"], json!([]));
    let warned = more["warnings"].as_array().unwrap();
    assert!(warned.len() == 1 && warned[0].to_string().contains("z.example"), "{more}");
    assert_eq!(hosts(&api, &admin, "key").await, both);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_recipe_that_is_refused_binds_nothing(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    api.put(&admin, "/secrets/key", json!({"value": "x"})).await.expect(201);
    let nodes = [rings("a", "https://a.example/", "secret:key")];
    let key = api.key(&admin, None, &["recipes:write"]).await;
    let refused = publish(&api, &key, "ring", &nodes).await.problem(422, "secret_unbound");
    assert!(refused["detail"].as_str().unwrap().contains("secrets:write"), "{refused}");
    // Checking one stores nothing at all.
    let recipe = json!({"recipe": {"id": "ring", "name": "ring", "version": "1.0", "workflow": {"nodes": nodes}}});
    api.post(&admin, "/recipes/validate", recipe).await.expect(200);
    assert_eq!(hosts(&api, &admin, "key").await, json!([]));
    assert_eq!(api.get(&admin, "/recipes").await.expect(200)["items"], json!([]));
    let may = api.key(&admin, None, &["recipes:write", "secrets:write"]).await;
    let published = publish(&api, &may, "ring", &nodes).await.expect(201);
    assert_eq!(published["bound_secrets"][0]["hosts"], json!(["a.example"]));
    // Other content under the version that stands: refused, and what it names stays unbound.
    api.put(&admin, "/secrets/second", json!({"value": "x"})).await.expect(201);
    let other = [rings("a", "https://b.example/", "secret:second")];
    publish(&api, &admin, "ring", &other).await.problem(409, "version_taken");
    assert_eq!(hosts(&api, &admin, "second").await, json!([]));
}
