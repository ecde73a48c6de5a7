//! An agency that does as it should, and the times that it meets beside a hostile one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinHandle;

use super::{bench::Bench, hostile_agency::HostileAgency, load::Load, stranger::Stranger};
use crate::{
    customer::{Customer, text},
    stack::Stack,
};

/// Of a hundred tasks, from the submission to the end, all but one take less.
const TASKS_WITHIN: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 5 });
/// Of a hundred `GET /healthz` all but one. A debug build on a machine that compiles has more.
const HEALTH_WITHIN: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 100 });
/// Resident memory at its highest, by kind of process.
const MEMORY_MIB: [(&str, u64); 2] = [("API", 300), ("worker", 300)];
/// Until things are as they were before the last fault.
const UP_WITHIN: Duration = Duration::from_mins(1);
const GIVES_UP_AFTER: Duration = Duration::from_mins(1);
const EVERY: Duration = Duration::from_millis(50);

const RECIPE: &str = r#"
recipe:
  id: honest
  name: Honest work
  version: "1.0"
  inputs: [{ name: n, type: string }]
  workflow:
    nodes:
      - { id: list, component: Transform, config: { value: [a, b, c] } }
      - { id: each, component: Transform, depends_on: [list], for_each: list.output, config: { value: "{{ item|upper }}" } }
      - { id: end, component: Transform, depends_on: [each], config: { value: "{{ each.output|join }} {{ inputs.n }}" } }
"#;

pub struct Honest {
    customer: Customer,
    load: Load,
    http: reqwest::Client,
    base: String,
    next: AtomicU64,
    pub tasks: Vec<Duration>,
    pub health: Vec<Duration>,
}

/// All but the hundredth part are shorter.
pub fn p99(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let nth = (sorted.len() * 99).div_ceil(100).max(1) - 1;
    sorted.get(nth).copied().unwrap_or_default()
}

impl Honest {
    pub async fn new(stack: &Stack, load: &Load) -> Self {
        let mut customer = Customer::new(stack, "honest").await;
        customer.publish(RECIPE).await;
        let key = json!({"name": "a machine", "scopes": ["tasks:write", "tasks:read"]});
        customer.token = text(&customer.post("/api-keys", key).await.expect(201)["key"]);
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        let (load, base) = (load.clone(), stack.base.clone());
        Self { customer, load, http, base, next: AtomicU64::new(0), tasks: Vec::new(), health: Vec::new() }
    }

    /// How long one task takes, as its customer sees it.
    async fn task(&self) -> Duration {
        let n = format!("honest-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let task = self.customer.task("honest", json!({"n": n}));
        let (started, mut id) = (Instant::now(), None::<String>);
        while started.elapsed() < GIVES_UP_AFTER {
            let request = match &id {
                Some(id) => self.customer.request(Method::GET, &format!("/tasks/{id}")),
                None => self.customer.request(Method::POST, "/tasks").header("Idempotency-Key", &n).json(&task),
            };
            let answer = match request.send().await {
                Ok(answer) if answer.status().is_success() => answer.json::<Value>().await.unwrap_or_default(),
                _ => Value::Null,
            };
            if !answer["finished_at"].is_null() {
                break;
            }
            if id.is_none()
                && let Some(accepted) = answer["id"].as_str()
            {
                self.load.also_accepted(accepted);
                id = Some(accepted.to_owned());
            }
            tokio::time::sleep(EVERY).await;
        }
        started.elapsed()
    }

    /// Whether a process answers at all is for the other faults: what nobody answers took long.
    async fn health(&self) -> Duration {
        let started = Instant::now();
        let answer = self.http.get(format!("{}/healthz", self.base)).send().await;
        if answer.is_ok_and(|answer| answer.status() == 200) { started.elapsed() } else { GIVES_UP_AFTER }
    }

    /// Takes both times for so long. Before that it waits until a task runs through quickly,
    /// as whatever was away is up again a little later.
    async fn measure(&mut self, time: Duration) {
        let give_up = Instant::now() + UP_WITHIN;
        while (self.task().await > TASKS_WITHIN || self.health().await > HEALTH_WITHIN) && Instant::now() < give_up {}
        let end = Instant::now() + time;
        let tasks = async {
            let mut taken = Vec::new();
            while Instant::now() < end {
                taken.push(self.task().await);
            }
            taken
        };
        let health = async {
            let mut taken = Vec::new();
            while Instant::now() < end {
                taken.push(self.health().await);
                tokio::time::sleep(EVERY).await;
            }
            taken
        };
        let (tasks, health) = tokio::join!(tasks, health);
        self.tasks.extend(tasks);
        self.health.extend(health);
    }
}

/// The hostile agency and the stranger, until they are told to stop.
pub async fn hostile_ones(stack: &Stack, load: &Load, stop: &Arc<AtomicU64>) -> Vec<JoinHandle<()>> {
    let (agency, stranger) = (HostileAgency::new(stack, load).await, Stranger::new(stack, load).await);
    vec![tokio::spawn(agency.keep_going(Arc::clone(stop))), tokio::spawn(stranger.keep_going(Arc::clone(stop)))]
}

/// Nothing else is wrong meanwhile.
pub async fn measured(bench: &mut Bench) {
    if let Some(mut honest) = bench.honest.take() {
        honest.measure(bench.calm).await;
        bench.honest = Some(honest);
    }
}

/// The promises about times and memory that were broken.
pub fn broken(bench: &Bench) -> Vec<String> {
    let Some(honest) = &bench.honest else { return Vec::new() };
    let mut broken = Vec::new();
    for (what, times, within) in
        [("tasks", &honest.tasks, TASKS_WITHIN), ("answers of /healthz", &honest.health, HEALTH_WITHIN)]
    {
        if times.is_empty() || p99(times) > within {
            broken.push(format!("{} {what} have a p99 of {:?}, not {within:?}", times.len(), p99(times)));
        }
    }
    for (what, most) in MEMORY_MIB {
        let mib = bench.peaks.get(what).copied().unwrap_or_default();
        if mib > most {
            broken.push(format!("a process ({what}) had {mib} MiB, not {most}"));
        }
    }
    broken
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn meets_its_times_beside_hostile_ones(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    // So that each recipe has its turn.
    bench.calm = Duration::from_secs(20);
    bench.honest = Some(Honest::new(&bench.stack, &bench.load).await);
    let stop = Arc::new(AtomicU64::new(0));
    let hostile = hostile_ones(&bench.stack, &bench.load, &stop).await;
    bench.load.submit_many(4, "scripted-small").await;
    measured(&mut bench).await;
    stop.store(1, Ordering::Relaxed);
    for one in hostile {
        one.await.unwrap();
    }
    bench.note_memory();
    let findings = bench.holds().await;
    assert_eq!(findings.ended.get("dead"), None, "{findings}");
    let times = bench.honest.as_ref().map(|honest| (p99(&honest.tasks), p99(&honest.health)));
    assert_eq!(broken(&bench), Vec::<String>::new(), "{times:?} {:?}", bench.peaks);
    assert!(findings.ended["failed"] > 3, "the hostile ones did run: {findings}");
    let again = "select count(*) from task_queue where attempt > 1";
    assert_eq!(bench.stack.count(again).await, 0, "no process ended");
}
