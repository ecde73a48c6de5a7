//! Where a secret may go is bound to the secret: each way of choosing another place is tried
//! against a listener that must see no request.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, items, step, text},
    model::Model,
    site::{Site, Visit, html_page},
    stack::Stack,
};

const KEY: &str = "canary door key 42";

/// Sends the secret to `URL`, in a header and in the query.
const SENDS: &str = r#"
recipe:
  id: NAME
  name: NAME
  version: "1.0"
  inputs: [{ name: url, type: string, validation: url, required: false }]
  workflow:
    nodes:
      - id: ring
        component: HttpRequest
        config: { url: "URL", headers: { X-Key: "secret:key" }, query: { k: "secret:key" } }
        secrets: { key: "secret:door_key" }
        retry: { max_attempts: 1 }
    output: { source: ring.output }
"#;

/// Hands what a page says to a recipe that sends the secret.
const PARENT: &str = r#"
recipe:
  id: parent
  name: parent
  version: "1.0"
  inputs: [{ name: say, type: string }]
  workflow:
    nodes:
      - { id: page, component: DataFetcher, config: { url: "PAGE", query: { say: "{{ inputs.say }}" } } }
      - { id: sub, component: SubRecipe, depends_on: [page], config: { recipe: child, inputs: { url: "{{ page.json.target }}" } } }
"#;

fn sends(name: &str, url: &str) -> String {
    SENDS.replace("NAME", name).replace("URL", url)
}

/// The door that the key is for, a page that says what its query asks, a listener of somebody
/// else's, and an agency.
struct Scene {
    page: Site,
    door: Site,
    evil: Site,
    stack: Stack,
    acme: Customer,
}

impl Scene {
    async fn set(root: &PgPool) -> Self {
        let door = Site::serve(|visit| match visit.path.as_str() {
            "/away" => poem::Response::builder()
                .status(poem::http::StatusCode::FOUND)
                .header("location", visit.query_of("to"))
                .finish(),
            _ => html_page(poem::http::StatusCode::OK, "open"),
        })
        .await;
        let page = Site::serve(|visit| {
            let said = json!({"target": visit.query_of("say")});
            poem::Response::builder().content_type("application/json").body(said.to_string())
        })
        .await;
        let evil = Site::pages(&[("/", "mine")]).await;
        let allowed = format!("{},{},{}", door.allowed(), page.allowed(), evil.allowed());
        let stack = Stack::start(root, &[("TEAMAI_EGRESS__ALLOW", &allowed)]).await;
        let acme = Customer::new(&stack, "acme").await;
        Self { page, door, evil, stack, acme }
    }

    /// The task failed because the secret may not go there, says so, and nothing left.
    fn assert_refused(&self, task: &Value, key_name: &str) {
        let error = &task["error"];
        assert_eq!((&task["status"], &error["code"]), (&json!("failed"), &json!("secret_host")), "{task}");
        let message = error["message"].as_str().unwrap();
        for said in [key_name, &self.evil.allowed(), &format!("PUT /secrets/{key_name}")] {
            assert!(message.contains(said), "{said} in {message}");
        }
        assert!(!task.to_string().contains("canary"), "{task}");
        assert!(self.evil.visits().is_empty(), "{:?}", self.evil.visits());
    }
}

impl Visit {
    fn query_of(&self, name: &str) -> String {
        let mut pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(own, _)| own == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_page_that_names_the_host_through_a_sub_recipe_gets_nothing(root: PgPool) {
    let scene = Scene::set(&root).await;
    let _worker = scene.stack.worker();
    let acme = &scene.acme;
    acme.secret_for("door_key", KEY, &[&scene.door.allowed()]).await;
    acme.publish(&sends("child", "{{ inputs.url }}")).await;
    acme.publish(&PARENT.replace("PAGE", &scene.page.url())).await;
    let task = acme.run(acme.task("parent", json!({"say": scene.evil.url()}))).await;
    scene.assert_refused(&task, "door_key");
    assert_eq!(task["error"]["node_id"], "sub");
    acme.complete(acme.task("parent", json!({"say": scene.door.url()}))).await;
    assert_eq!(scene.page.visits().len(), 2, "the page said where");
    assert_eq!(scene.door.visits()[0].headers.get("x-key").unwrap(), KEY);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_member_whose_input_names_the_host_gets_nothing(root: PgPool) {
    let scene = Scene::set(&root).await;
    let _worker = scene.stack.worker();
    let acme = &scene.acme;
    acme.secret_for("door_key", KEY, &[&scene.door.allowed()]).await;
    for (name, url) in [("whole", "{{ inputs.url }}"), ("prefix", "{{ inputs.url | replace('/', '/', 1) }}x")] {
        acme.publish(&sends(name, url)).await;
    }
    let mia = acme.member("mia@acme.example").await;
    let door = scene.door.allowed();
    for (recipe, url) in [
        ("whole", scene.evil.url()),
        ("prefix", scene.evil.url()),
        ("whole", format!("{}?{door}", scene.evil.url())),
        ("whole", format!("{}#@{door}/", scene.evil.url())),
    ] {
        scene.assert_refused(&mia.run(mia.task(recipe, json!({"url": url}))).await, "door_key");
    }
    mia.complete(mia.task("whole", json!({"url": scene.door.url()}))).await;
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_key_that_may_publish_and_run_alone_gets_nothing(root: PgPool) {
    let scene = Scene::set(&root).await;
    let _worker = scene.stack.worker();
    let acme = &scene.acme;
    acme.secret("door_key", KEY).await;
    acme.secret("openai_api_key", "canary provider key").await;
    let key = acme.key(&["recipes:write", "tasks:write", "tasks:read"]).await;
    key.post("/secrets/door_key/rotate", json!({"value": "x"})).await.problem(403, "scope_missing");

    // Bound to nothing: neither published nor bound.
    let listed = "\n        secret_hosts: [\"HOST\"]\n        retry".replace("HOST", &scene.evil.allowed());
    for recipe in [
        sends("own", &scene.evil.url()),
        sends("own", "{{ inputs.url }}"),
        sends("own", "{{ inputs.url }}").replace("\n        retry", &listed),
    ] {
        let refused = key.post_yaml("/recipes", &recipe).await.problem(422, "secret_unbound");
        assert_eq!(refused["errors"][0]["path"], "recipe.workflow.nodes[0].secrets.key", "{refused}");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("door_key") && detail.contains("secrets:write"), "{detail}");
        key.post("/tasks", key.task("own", json!({"url": scene.evil.url()}))).await.invalid(&["recipe"]);
    }
    assert_eq!(acme.get("/secrets/door_key").await.expect(200)["hosts"], json!([]));

    // Bound to the door: published, with a warning, and refused when it runs.
    acme.post("/secrets/door_key/rotate", json!({"value": KEY})).await.expect(200);
    let bound = acme.post_yaml("/recipes", &sends("door", &scene.door.url())).await.expect(201);
    assert_eq!(
        bound["bound_secrets"],
        json!([{"key_name": "door_key", "team_id": null, "hosts": [scene.door.allowed()]}])
    );
    for (nth, recipe) in [
        sends("NTH", &scene.evil.url()),
        sends("NTH", &scene.evil.url()).replace("secret:door_key", "secret:openai_api_key"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("own-{nth}");
        let published = key.post_yaml("/recipes", &recipe.replace("NTH", &name)).await.expect(201);
        assert_eq!(published["bound_secrets"], json!([]));
        let warning = published["warnings"][0]["message"].as_str().unwrap();
        assert!(warning.contains(&scene.evil.allowed()), "{warning}");
        let secret = if nth == 0 { "door_key" } else { "openai_api_key" };
        let task = key.run(key.task(&name, json!({}))).await;
        assert_eq!(task["error"]["code"], "secret_host", "{task}");
        assert!(task["error"]["message"].as_str().unwrap().contains(secret), "{task}");
        assert!(!task.to_string().contains("canary") && scene.evil.visits().is_empty(), "{task}");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_secret_without_hosts_goes_nowhere_until_it_is_bound(root: PgPool) {
    let scene = Scene::set(&root).await;
    let _worker = scene.stack.worker();
    let acme = &scene.acme;
    // Published before there was a secret that could be bound.
    acme.publish(&sends("early", &scene.door.url())).await;
    acme.secret("door_key", KEY).await;
    let task = acme.run(acme.task("early", json!({}))).await;
    assert_eq!(task["error"]["code"], "secret_host", "{task}");
    assert!(task["error"]["message"].as_str().unwrap().contains("bound to no host yet"), "{task}");
    assert!(scene.door.visits().is_empty());
    // The same again binds it, and the next run may use it.
    let again = acme.post_yaml("/recipes", &sends("early", &scene.door.url())).await.expect(200);
    assert_eq!(again["bound_secrets"][0]["hosts"], json!([scene.door.allowed()]));
    acme.complete(acme.task("early", json!({}))).await;
    assert_eq!(scene.door.visits().len(), 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_redirect_takes_no_secret_along(root: PgPool) {
    let scene = Scene::set(&root).await;
    let _worker = scene.stack.worker();
    let acme = &scene.acme;
    acme.secret_for("door_key", KEY, &[&scene.door.allowed()]).await;
    acme.publish(&sends("away", &format!("{}away?to={{{{ inputs.url | urlencode }}}}", scene.door.url()))).await;
    acme.complete(acme.task("away", json!({"url": scene.evil.url()}))).await;
    let visits = scene.evil.visits();
    assert_eq!(visits.len(), 1);
    assert!(!format!("{visits:?}").contains("canary") && visits[0].query.is_empty(), "{visits:?}");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_models_own_key_goes_to_the_provider_that_it_is_bound_to(root: PgPool) {
    let model = Model::serve().await;
    let settings = [
        ("TEAMAI_PROVIDERS__OPENAI__BASE_URL", model.base_url()),
        ("TEAMAI_PROVIDERS__GROQ__BASE_URL", model.base_url().replace("127.0.0.1", "localhost")),
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let stack = Stack::start(&root, &settings).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    for name in ["own_key", "openai_api_key"] {
        acme.secret(name, "canary-1234567890").await;
    }
    let ask = |id: &str, model: &str, secret: &str| {
        format!(
            "recipe:\n  id: {id}\n  name: {id}\n  version: '1.0'\n  inputs: [{{ name: model, type: string, required: false }}]\n  workflow:\n    nodes:\n      \
             - {{ id: ask, component: LLMProcessor, config: {{ model: \"{model}\", prompt_template: Hello }}, secrets: {{ api_key: \"secret:{secret}\" }} }}\n"
        )
    };
    // Another provider's key is not groq's to have, nor is one that is bound elsewhere or nowhere.
    let other = acme.post_yaml("/recipes", &ask("other", "groq/scripted-small", "openai_api_key")).await.expect(201);
    assert_eq!(other["warnings"].as_array().unwrap().len(), 1, "{other}");
    let open = acme.post_yaml("/recipes", &ask("open", "{{ inputs.model }}", "own_key")).await.expect(201);
    assert!(open["warnings"].to_string().contains("PUT /secrets/own_key"), "{open}");
    for (recipe, inputs) in [("other", json!({})), ("open", json!({"model": "openai/scripted-small"}))] {
        let task = acme.run(acme.task(recipe, inputs)).await;
        assert_eq!((&task["status"], &task["error"]["code"]), (&json!("failed"), &json!("secret_host")), "{task}");
    }
    let bound = acme.post_yaml("/recipes", &ask("mine", "openai/scripted-small", "own_key")).await.expect(201);
    let host = model.base_url().trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    assert_eq!(bound["bound_secrets"][0]["hosts"], json!([host]), "{bound}");
    let task = acme.run(acme.task("open", json!({"model": "groq/scripted-small"}))).await;
    assert_eq!(task["error"]["code"], "secret_host", "{task}");
    assert!(model.requests().is_empty());
    acme.complete(acme.task("mine", json!({}))).await;
    acme.complete(acme.task("open", json!({"model": "openai/scripted-small"}))).await;
    assert_eq!(model.requests().len(), 2);
    let steps = acme.steps(&text(&items(&acme.get("/tasks").await.expect(200))[0]["id"])).await;
    assert_eq!(step(&steps, "ask")["status"], "completed");
}
