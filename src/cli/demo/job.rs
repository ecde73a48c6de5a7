//! The main job through the HTTP API: from signing up to the ledger.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::model::Choice;
use crate::{
    base::random,
    cli::{api_client::ApiClient, progress::Progress},
};

const ROLE: &str = "SEO Specialist";
const RECIPE: &str = "site-audit";
const MAX_PAGES: u32 = 25;
/// A local model on a slow machine takes minutes.
const PATIENCE: Duration = Duration::from_mins(20);

/// What the job left behind.
#[derive(Debug)]
pub struct Outcome {
    pub task: Value,
    /// The report, where the task has one.
    pub report: String,
    pub steps: Vec<Value>,
    pub ledger: Vec<Value>,
}

/// Signs an agency up, stores the key, hires an agent and lets it audit the site.
///
/// # Errors
/// The server refuses a step or the task does not end. A task that fails is an outcome.
pub async fn run(api: &mut ApiClient, model: &Choice, site: &str, progress: &mut Progress) -> anyhow::Result<Outcome> {
    let agent = hire(api, model, progress).await?;
    let task = enqueue(api, &agent, site, progress).await?;
    let id = id_of(&task)?;
    let task = wait(api, &id, progress).await?;
    let report = match task["status"].as_str() {
        Some("completed") => api.text(&format!("/tasks/{id}/output")).await?.1,
        _ => String::new(),
    };
    let steps = items(api.get(&format!("/tasks/{id}/steps")).await?)?;
    let mut ledger = items(api.get("/audit-logs?limit=200").await?)?;
    ledger.retain(|line| line["task_id"].as_str() == Some(&id));
    ledger.reverse();
    Ok(Outcome { task, report, steps, ledger })
}

async fn hire(api: &mut ApiClient, model: &Choice, progress: &Progress) -> anyhow::Result<String> {
    let tag = hex::encode(random::bytes::<4>()?);
    let email = format!("owner-{tag}@northwind.example");
    let sign_up = json!({
        "agency_name": format!("Northwind Digital {tag}"), "email": email,
        "password": hex::encode(random::bytes::<16>()?), "full_name": "Robin Field",
    });
    api.sign_in("/auth/register", &sign_up).await?;
    progress.done(&format!("signed up the agency Northwind Digital {tag}, with {email} as its admin"));

    let secret = format!("{}_api_key", model.provider);
    api.put(&format!("/secrets/{secret}"), &json!({"value": model.key})).await?;
    progress.done(&format!("put {secret} in the locker"));

    let team = id_of(&api.post("/teams", &json!({"name": "Search"})).await?)?;
    let roles = items(api.get("/agent-roles?limit=200").await?)?;
    let role =
        roles.iter().find(|role| role["name"] == ROLE).with_context(|| format!("the catalogue has no {ROLE}"))?;
    let role = id_of(role)?;
    api.post("/subscriptions", &json!({"agent_role_id": role, "purchased_count": 1})).await?;
    let configuration = json!({"provider": model.provider, "model": model.model});
    let agent = json!({"agent_role_id": role, "team_id": team, "custom_name": "Ada", "configuration": configuration});
    let agent = id_of(&api.post("/agents", &agent).await?)?;
    progress.done(&format!("hired an {ROLE}, Ada, who works with {}/{}", model.provider, model.model));
    Ok(agent)
}

async fn enqueue(api: &mut ApiClient, agent: &str, site: &str, progress: &Progress) -> anyhow::Result<Value> {
    let inputs = json!({"website_url": site, "max_pages": MAX_PAGES});
    let task = json!({"agent_instance_id": agent, "recipe": RECIPE, "inputs": inputs});
    let task = api.post("/tasks", &task).await?;
    progress.done(&format!("enqueued {RECIPE} for {site}: task {}", id_of(&task)?));
    Ok(task)
}

/// Waits until the task is over, telling how far it is.
async fn wait(api: &mut ApiClient, id: &str, progress: &mut Progress) -> anyhow::Result<Value> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let task = api.get(&format!("/tasks/{id}")).await?;
        let status = task["status"].as_str().context("the task has no status")?;
        match status {
            "completed" | "failed" | "cancelled" | "dead" => {
                progress.done(&format!("the task is {status}"));
                return Ok(task);
            }
            "parked" | "waiting" => bail!("the task is {status} and waits for a person: {}", task["error"]),
            _ => {
                let (done, total) = (&task["progress"]["done"], &task["progress"]["total"]);
                progress.now(&format!("{status}: {done} of {total} steps"));
            }
        }
        if Instant::now() >= give_up {
            bail!("the task is still {status} after {} min; is a worker running?", PATIENCE.as_secs() / 60);
        }
        sleep(Duration::from_millis(250)).await;
    }
}

fn id_of(object: &Value) -> anyhow::Result<String> {
    object["id"].as_str().map(str::to_owned).context("the server's answer holds no id")
}

/// The rows of a list, paged or bare.
fn items(answer: Value) -> anyhow::Result<Vec<Value>> {
    match answer {
        Value::Array(items) => Ok(items),
        Value::Object(mut page) => match page.remove("items") {
            Some(Value::Array(items)) => Ok(items),
            _ => bail!("the server's answer is no list"),
        },
        _ => bail!("the server's answer is no list"),
    }
}
