//! An agency that publishes and runs, all the time, what is made to stop a process or to fill it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::load::Load;
use crate::{
    customer::{Customer, text},
    stack::Stack,
};

/// For a publication or a task that does not get through.
const PATIENCE: Duration = Duration::from_mins(2);
/// So much of it at once.
const AT_ONCE: u64 = 3;
const PAUSE: Duration = Duration::from_millis(200);
/// Nodes with an output of 8 MB each.
const LARGE: usize = 20;

/// Templates of a node's value. Some are refused, the others run.
fn values() -> Vec<(&'static str, String)> {
    let twice = |times: usize, text: &str| text.repeat(times);
    vec![
        ("signs", format!("{{{{ {}1 }}}}", twice(20_000, "-"))),
        ("names", format!("{{{{ inputs{} }}}}", twice(30_000, ".x"))),
        ("filters", format!("{{{{ 'a'{} }}}}", twice(10_000, "|upper"))),
        ("brackets", format!("{{{{ {}1{} }}}}", twice(9_000, "("), twice(9_000, ")"))),
        ("arms", format!("{{% if 0 %}}{}{{% endif %}}", twice(5_000, "{% elif 0 %}"))),
        ("loops", twice(500, "{% for x in [1] %}") + &twice(500, "{% endfor %}")),
        ("hidden", format!("{{#}} {{% raw %}} #}}{{% set a = 'x' %}}{}{{{{ a ~ '' }}}}", twice(30, "{% set a = [a, a] %}"))),
        ("doubled", format!("{{% set a = [1] %}}{}{{{{ a|length }}}}", twice(40, "{% set a = a + a %}"))),
        (
            "grown",
            "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s|length }}"
                .to_owned(),
        ),
        ("endless", "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}".to_owned()),
        ("indented", "{{ range(100000)|list|tojson(indent=8000) }}".to_owned()),
        ("sorted", "{{ range(99999)|list|sort|reverse|join(', ')|upper|indent(9999) }}".to_owned()),
        ("filled", "{{ '%999999d'|format(7) ~ 'a'|center(99999999) }}".to_owned()),
        ("written", "{% for i in range(45) %}{{ inputs.text }}{% endfor %}".to_owned()),
    ]
}

/// Nodes of recipes that are hostile as a whole.
fn workflows() -> Vec<(&'static str, Value)> {
    let each = |id: &str, after: &[&str]| {
        json!({"id": id, "component": "Transform", "depends_on": after, "for_each": "range(10000) | list",
               "config": {"value": "{{ inputs.text[:1500] }}{{ index }}"}})
    };
    let large: Vec<Value> = (0..LARGE)
        .map(|n| {
            let value = "{% for i in range(40) %}{{ inputs.text }}{% endfor %}";
            json!({"id": format!("n{n}"), "component": "Transform", "config": {"value": value}})
        })
        .collect();
    let page = "<p {% for i in range(60000) %}a{{ i }} {% endfor %}>{% for i in range(30000) %}<b><p>{% endfor %}";
    vec![
        (
            "schema",
            json!([{"id": "ask", "component": "Approval", "config": {"message": "x", "form": multiplying(34)}}]),
        ),
        (
            "pattern",
            json!([{"id": "ask", "component": "Approval", "config": {"message": "x", "form": {
            "type": "object", "properties": {"a": {"type": "string", "pattern": "((a{999}){999}){999}"}}}}}]),
        ),
        (
            "when",
            json!([{"id": "n", "component": "Transform", "when": "not ".repeat(10_000) + "true", "config": {"value": 1}}]),
        ),
        ("items", json!([each("a", &[]), each("b", &["a"])])),
        ("large", Value::Array(large)),
        ("html", json!([{"id": "n", "component": "ReportGenerator", "config": {"format": "html", "template": page}}])),
    ]
}

/// A schema that is twice as large with each level once its references are followed.
fn multiplying(levels: usize) -> Value {
    let mut defs = json!({"l0": {"type": "object"}});
    for n in 1..=levels {
        let below = json!({"$ref": format!("#/$defs/l{}", n - 1)});
        defs[format!("l{n}")] = json!({"allOf": [below, below]});
    }
    json!({"$defs": defs, "$ref": format!("#/$defs/l{levels}")})
}

/// Cheap to clone: all clones are the same agency.
#[derive(Clone)]
pub struct HostileAgency(Arc<Inner>);

struct Inner {
    customer: Customer,
    load: Load,
    recipes: Vec<(&'static str, Value)>,
    next: AtomicU64,
}

impl HostileAgency {
    pub async fn new(stack: &Stack, load: &Load) -> Self {
        let mut customer = Customer::new(stack, "hostile").await;
        let key = json!({"name": "a machine", "scopes": ["recipes:write", "tasks:write", "tasks:read"]});
        customer.token = text(&customer.post("/api-keys", key).await.expect(201)["key"]);
        let one = |value| json!([{"id": "n", "component": "Transform", "config": {"value": value}}]);
        let recipes = values().into_iter().map(|(name, value)| (name, one(value))).chain(workflows()).collect();
        Self(Arc::new(Inner { customer, load: load.clone(), recipes, next: AtomicU64::new(0) }))
    }

    /// Goes on until it is told to stop, and leaves no task open.
    pub async fn keep_going(self, stop: Arc<AtomicU64>) {
        let one = || async {
            while stop.load(Ordering::Relaxed) == 0 {
                let n = self.0.next.fetch_add(1, Ordering::Relaxed);
                if let Some(recipe) = self.publish(n).await {
                    self.run(n, &recipe, &stop).await;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        futures::future::join_all((0..AT_ONCE).map(|_| one())).await;
    }

    /// Publishes the next recipe. `None`: it was refused, or nobody is there.
    async fn publish(&self, n: u64) -> Option<String> {
        let (name, nodes) = &self.0.recipes[usize::try_from(n).unwrap() % self.0.recipes.len()];
        let inputs = json!([{"name": "n", "type": "string"}, {"name": "text", "type": "string"}]);
        let recipe = json!({"recipe": {"id": name, "name": name, "version": format!("1.{n}"), "inputs": inputs,
                                       "workflow": {"nodes": nodes}}});
        let request = self.0.customer.request(Method::POST, "/recipes").header("content-type", "application/yaml");
        let answer = self.answer(name, request.body(recipe.to_string())).await?;
        (answer.status() == 201).then(|| (*name).to_owned())
    }

    async fn run(&self, n: u64, recipe: &str, stop: &AtomicU64) {
        let inputs = json!({"n": format!("hostile-{n}"), "text": "a".repeat(200_000)});
        let task = self.0.customer.task(recipe, inputs);
        let give_up = Instant::now() + PATIENCE;
        let id = loop {
            let request =
                self.0.customer.request(Method::POST, "/tasks").header("Idempotency-Key", format!("hostile-{n}"));
            if let Some(answer) = self.answer(recipe, request.json(&task)).await
                && let Ok(task) = answer.json::<Value>().await
                && let Some(id) = task["id"].as_str()
            {
                break id.to_owned();
            }
            if Instant::now() > give_up {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        };
        self.0.load.also_accepted(&id);
        while stop.load(Ordering::Relaxed) == 0 && Instant::now() < give_up {
            let request = self.0.customer.request(Method::GET, &format!("/tasks/{id}"));
            let Some(answer) = self.answer(recipe, request).await else { continue };
            let task = answer.json::<Value>().await.unwrap_or_default();
            if !task["finished_at"].is_null() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.0.customer.cancel(&id).await;
    }

    /// Refusals are right, and so is that nobody is there; anything else is no answer to have.
    async fn answer(&self, recipe: &str, request: reqwest::RequestBuilder) -> Option<Response> {
        let Ok(answer) = request.send().await else {
            tokio::time::sleep(PAUSE).await;
            return None;
        };
        let status = answer.status().as_u16();
        if ![200, 201, 202, 409, 422, 503].contains(&status) {
            let said = answer.text().await.unwrap_or_default();
            self.0.load.odd(format!("{status} to the hostile recipe {recipe}: {said}"));
            return None;
        }
        (status < 300).then_some(answer)
    }
}
