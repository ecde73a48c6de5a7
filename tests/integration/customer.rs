//! An agency that uses a running installation through its HTTP API.

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::{Method, RequestBuilder};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use teamai::base::{Clock, SystemClock};

use crate::{
    stack::{Stack, eventually},
    support::{PASSWORD, Reply},
};

/// Published where a test needs nothing but a task that runs.
pub const SMALL: &str = r#"
recipe:
  id: small
  name: Small
  version: "1.0"
  workflow:
    nodes: [{ id: only, component: Transform, config: { value: done } }]
"#;

/// An agency's admin, with one agent hired.
pub struct Customer {
    http: reqwest::Client,
    base: String,
    pub token: String,
    pub agency: String,
    pub team: String,
    pub agent: String,
}

impl Customer {
    /// Signs up, buys a seat and hires an SEO Specialist who works with the scripted model.
    pub async fn new(stack: &Stack, name: &str) -> Self {
        Self::with_model(stack, name, "scripted", "scripted-small").await
    }

    pub async fn with_model(stack: &Stack, name: &str, provider: &str, model: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let mut customer = Self {
            http,
            base: stack.base.clone(),
            token: String::new(),
            agency: String::new(),
            team: String::new(),
            agent: String::new(),
        };
        let sign_up = json!({"agency_name": name, "email": format!("admin@{name}.example"), "password": PASSWORD});
        let signed_in = customer.post("/auth/register", sign_up).await.expect(201);
        customer.token = text(&signed_in["access_token"]);
        customer.agency = text(&signed_in["agency"]["id"]);
        customer.team = text(&customer.post("/teams", json!({"name": "Search"})).await.expect(201)["id"]);
        let roles = customer.get("/agent-roles?limit=200").await.expect(200);
        let roles = roles["items"].as_array().unwrap();
        let role = text(&roles.iter().find(|role| role["name"] == "SEO Specialist").unwrap()["id"]);
        let seats = json!({"agent_role_id": role, "purchased_count": 1});
        customer.post("/subscriptions", seats).await.expect(201);
        let agent = json!({
            "agent_role_id": role, "team_id": customer.team, "custom_name": "Ada",
            "configuration": {"provider": provider, "model": model},
        });
        customer.agent = text(&customer.post("/agents", agent).await.expect(201)["id"]);
        customer
    }

    /// A request to be sent in some way of one's own.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        if self.token.is_empty() { request } else { request.bearer_auth(&self.token) }
    }

    pub async fn get(&self, path: &str) -> Reply {
        reply(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        reply(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        reply(self.request(Method::PATCH, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        reply(self.request(Method::DELETE, path)).await
    }

    pub async fn post_keyed(&self, path: &str, key: &str, body: &Value) -> Reply {
        reply(self.request(Method::POST, path).header("Idempotency-Key", key).json(body)).await
    }

    /// Without a body.
    pub async fn post_empty(&self, path: &str) -> Reply {
        reply(self.request(Method::POST, path)).await
    }

    pub async fn post_yaml(&self, path: &str, yaml: &str) -> Reply {
        reply(self.request(Method::POST, path).header("content-type", "application/yaml").body(yaml.to_owned())).await
    }

    pub async fn secret(&self, name: &str, value: &str) {
        let request = self.request(Method::PUT, &format!("/secrets/{name}"));
        reply(request.json(&json!({"value": value}))).await.expect(201);
    }

    /// A secret that may be sent to these hosts alone.
    pub async fn secret_for(&self, name: &str, value: &str, hosts: &[&str]) {
        let request = self.request(Method::PUT, &format!("/secrets/{name}"));
        reply(request.json(&json!({"value": value, "hosts": hosts}))).await.expect(201);
    }

    /// A person of the agency's without rights to change anything of it.
    pub async fn member(&self, email: &str) -> Self {
        let invite = self.post("/invites", json!({"email": email, "role": "team_member", "team_id": self.team})).await;
        let acceptance = json!({"token": invite.expect(201)["token"], "password": PASSWORD, "full_name": "Mia"});
        let accepted = self.post("/invites/accept", acceptance).await.expect(201);
        self.with_token(text(&accepted["access_token"]))
    }

    /// An API key of the agency's with these scopes.
    pub async fn key(&self, scopes: &[&str]) -> Self {
        let made = self.post("/api-keys", json!({"name": "a machine", "scopes": scopes})).await.expect(201);
        self.with_token(text(&made["key"]))
    }

    fn with_token(&self, token: String) -> Self {
        let (agency, team, agent) = (self.agency.clone(), self.team.clone(), self.agent.clone());
        Self { http: self.http.clone(), base: self.base.clone(), token, agency, team, agent }
    }

    /// The next version of a secret that is there.
    pub async fn rotate(&self, name: &str, value: &str) {
        self.post(&format!("/secrets/{name}/rotate"), json!({"value": value})).await.expect(200);
    }

    pub async fn publish(&self, yaml: &str) -> Value {
        self.post_yaml("/recipes", yaml).await.expect(201)
    }

    /// The body of `POST /tasks` for this customer's agent.
    pub fn task(&self, recipe: &str, inputs: Value) -> Value {
        let mut task = json!({"agent_instance_id": self.agent, "recipe": recipe});
        task["inputs"] = inputs;
        task
    }

    /// Submits a task and gives its id.
    pub async fn submit(&self, task: Value) -> String {
        text(&self.post("/tasks", task).await.expect(202)["id"])
    }

    /// Submits a task, waits, and gives it as it ended.
    pub async fn run(&self, task: Value) -> Value {
        self.finished(&self.submit(task).await).await
    }

    /// As `run`, for a task that has to complete.
    pub async fn complete(&self, task: Value) -> Value {
        let task = self.run(task).await;
        assert_eq!(task["status"], "completed", "{}", task["error"]);
        task
    }

    /// Cancels a task that may be over, whoever is down meanwhile.
    pub async fn cancel(&self, task: &str) {
        for _ in 0..300 {
            let answer = self.request(Method::POST, &format!("/tasks/{task}/cancel")).send().await;
            if answer.is_ok_and(|answer| [200, 409].contains(&answer.status().as_u16())) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("the task {task} cannot be cancelled for a minute");
    }

    pub async fn find(&self, task: &str) -> Value {
        self.get(&format!("/tasks/{task}")).await.expect(200)
    }

    /// Waits until the task is over, however it ends.
    pub async fn finished(&self, task: &str) -> Value {
        eventually("the task is over", async || {
            let found = self.find(task).await;
            let over = ["completed", "failed", "cancelled", "dead"].contains(&found["status"].as_str().unwrap());
            over.then_some(found)
        })
        .await
    }

    /// The task's steps in the order in which they finished.
    pub async fn steps(&self, task: &str) -> Vec<Value> {
        items(&self.get(&format!("/tasks/{task}/steps")).await.expect(200))
    }

    /// The task's ledger lines, oldest first.
    pub async fn lines(&self, task: &str) -> Vec<Value> {
        let mut lines = items(&self.get(&format!("/audit-logs?limit=200&task_id={task}")).await.expect(200));
        lines.reverse();
        lines
    }

    pub async fn output(&self, task: &str) -> Reply {
        self.get(&format!("/tasks/{task}/output")).await
    }
}

async fn reply(request: RequestBuilder) -> Reply {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Reply { status, headers, body, text }
}

/// For `run_at`.
pub fn days_from_now(days: i64) -> Value {
    json!(SystemClock.now() + TimeDelta::days(days))
}

pub fn items(list: &Value) -> Vec<Value> {
    list["items"].as_array().unwrap().clone()
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// The step of a node that runs once.
#[track_caller]
pub fn step<'a>(steps: &'a [Value], node: &str) -> &'a Value {
    steps.iter().find(|step| step["node_id"] == node).unwrap_or_else(|| panic!("no step of {node} in {steps:?}"))
}

/// The lines of one kind.
pub fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

pub fn usd(value: &Value) -> Decimal {
    text(value).parse().unwrap()
}

/// Asserts that a task's totals are the sums over its lines, and gives them.
#[track_caller]
pub fn add_up(task: &Value, lines: &[Value]) -> (u64, Decimal) {
    let tokens = lines.iter().map(|line| line["tokens_used"].as_u64().unwrap()).sum();
    let cost = lines.iter().filter(|line| !line["cost_usd"].is_null()).map(|line| usd(&line["cost_usd"])).sum();
    assert_eq!((task["tokens_used"].as_u64(), usd(&task["cost_usd"])), (Some(tokens), cost), "{lines:#?}");
    (tokens, cost)
}
