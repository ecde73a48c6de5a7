//! Agencies that go on submitting whatever is down, and remember what was accepted.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::random::Random;
use crate::{customer::Customer, stack::Stack};

/// A prompt names its task and node: by its hash the provider's log can be compared.
const RECIPE: &str = r#"
recipe:
  id: chain
  name: A chain of two questions
  version: "1.0"
  inputs:
    - { name: n, type: string }
    - { name: model, type: string }
    - { name: patience, type: string }
  workflow:
    nodes:
      - id: first
        component: LLMProcessor
        retry: { max_attempts: 3, initial_delay: 100ms, max_delay: 500ms }
        config: { model: openai/scripted-small, prompt_template: "{{ runtime.task_id }}/first", max_tokens: 20, timeout: 3s }
      - id: second
        component: LLMProcessor
        depends_on: [first]
        retry: { max_attempts: 2, initial_delay: 100ms, max_delay: 500ms }
        config: { model: "openai/{{ inputs.model }}", prompt_template: "{{ runtime.task_id }}/second", max_tokens: 20, timeout: "{{ inputs.patience }}" }
      - { id: end, component: Transform, depends_on: [second], config: { value: "{{ second.content }}" } }
  compliance: { cost_per_unit: 0.01 }
"#;

/// How long an agency goes on trying to get one task accepted.
const PATIENCE: Duration = Duration::from_mins(2);

/// Cheap to clone: all clones are the same agencies.
#[derive(Clone)]
pub struct Load(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    base: String,
    agencies: Vec<Agency>,
    next: AtomicU64,
    accepted: Mutex<Vec<String>>,
    /// Answers other than 202 and 503, which nobody should get.
    odd: Mutex<BTreeMap<String, u32>>,
}

struct Agency {
    key: String,
    agent: String,
}

impl Load {
    pub async fn new(stack: &Stack, agencies: usize) -> Self {
        let mut all = Vec::new();
        for n in 1..=agencies {
            let customer = Customer::with_model(stack, &format!("agency-{n}"), "openai", "scripted-small").await;
            // The first one's provider limits its rate.
            let key = if n == 1 { "rate-5-a-second" } else { "sk-test-1234567890" };
            customer.secret("openai_api_key", key).await;
            customer.publish(RECIPE).await;
            let key = json!({"name": "a machine", "scopes": ["tasks:write", "tasks:read"]});
            let key = customer.post("/api-keys", key).await.expect(201)["key"].as_str().unwrap().to_owned();
            all.push(Agency { key, agent: customer.agent.clone() });
        }
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        Self(Arc::new(Inner {
            http,
            base: stack.base.clone(),
            agencies: all,
            next: AtomicU64::new(0),
            accepted: Mutex::default(),
            odd: Mutex::default(),
        }))
    }

    /// Submits until it is answered 202, under one key, as a careful client does. Gives the task's id.
    pub async fn submit(&self, model: &str) -> String {
        self.submit_patient(model, "3s").await
    }

    /// As [`submit`](Self::submit), with a second question that waits for its answer for so long.
    pub async fn submit_patient(&self, model: &str, patience: &str) -> String {
        let n = self.0.next.fetch_add(1, Ordering::Relaxed);
        let agency = &self.0.agencies[usize::try_from(n).unwrap() % self.0.agencies.len()];
        let body = json!({
            "agent_instance_id": agency.agent, "recipe": "chain",
            "inputs": {"n": n.to_string(), "model": model, "patience": patience},
        });
        let give_up = Instant::now() + PATIENCE;
        loop {
            let request = self.0.http.post(format!("{}/tasks", self.0.base)).bearer_auth(&agency.key);
            let request = request.header("Idempotency-Key", format!("task-{n}")).json(&body);
            match request.send().await {
                Ok(answer) if answer.status() == 202 => {
                    if let Ok(task) = answer.json::<Value>().await {
                        let id = task["id"].as_str().unwrap().to_owned();
                        self.0.accepted.lock().unwrap().push(id.clone());
                        return id;
                    }
                }
                Ok(answer) if answer.status() == 503 => {}
                Ok(answer) => self.odd(format!("{} {}", answer.status(), answer.text().await.unwrap_or_default())),
                // Nobody there, or the answer was lost.
                Err(_) => {}
            }
            assert!(Instant::now() < give_up, "no task was accepted for {} s", PATIENCE.as_secs());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub async fn submit_all(&self, models: &[&str]) -> Vec<String> {
        futures::future::join_all(models.iter().map(|model| self.submit(model))).await
    }

    pub async fn submit_many(&self, count: usize, model: &str) -> Vec<String> {
        self.submit_all(&vec![model; count]).await
    }

    /// Submits one after the other, with a pause, until told to stop.
    pub async fn keep_going(
        self,
        models: Vec<&'static str>,
        pause: Duration,
        mut random: Random,
        stop: Arc<AtomicU64>,
    ) {
        while stop.load(Ordering::Relaxed) == 0 {
            let model = *random.pick::<&str>(&models);
            self.submit(model).await;
            tokio::time::sleep(pause).await;
        }
    }

    pub fn accepted(&self) -> Vec<String> {
        self.0.accepted.lock().unwrap().clone()
    }

    /// A task that was accepted of another agency.
    pub fn also_accepted(&self, task: &str) {
        self.0.accepted.lock().unwrap().push(task.to_owned());
    }

    /// An answer that nobody should get.
    pub fn odd(&self, said: String) {
        *self.0.odd.lock().unwrap().entry(said).or_default() += 1;
    }

    pub fn odd_answers(&self) -> BTreeMap<String, u32> {
        self.0.odd.lock().unwrap().clone()
    }
}
