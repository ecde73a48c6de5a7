//! A task through the HTTP API, from the submission to the lines of the ledger.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{api_client::ApiClient, progress::Progress};

/// A local model on a slow machine takes minutes.
const PATIENCE: Duration = Duration::from_mins(20);

/// What a task left behind.
#[derive(Debug)]
pub struct Outcome {
    pub task: Value,
    /// Its output, where it has one.
    pub output: String,
    pub steps: Vec<Value>,
    /// Oldest first.
    pub ledger: Vec<Value>,
}

/// Waits for the task, and gives what came of it.
///
/// # Errors
/// The server refuses, or the task does not end. A task that fails is an outcome.
pub async fn follow(api: &mut ApiClient, task: &Value, progress: &mut Progress) -> anyhow::Result<Outcome> {
    let id = id_of(task)?;
    let task = wait(api, &id, progress).await?;
    let output = match task["status"].as_str() {
        Some("completed") => api.text(&format!("/tasks/{id}/output")).await?.1,
        _ => String::new(),
    };
    let steps = all(api, &format!("/tasks/{id}/steps?limit=1000")).await?;
    let mut ledger = all(api, &format!("/audit-logs?task_id={id}&limit=200")).await?;
    ledger.reverse();
    Ok(Outcome { task, output, steps, ledger })
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

/// # Errors
/// The object has none.
pub fn id_of(object: &Value) -> anyhow::Result<String> {
    object["id"].as_str().map(str::to_owned).context("the server's answer does not contain an id")
}

/// The rows of all pages of a list, whose path has a query.
async fn all(api: &mut ApiClient, path: &str) -> anyhow::Result<Vec<Value>> {
    let (mut rows, mut next) = (Vec::new(), path.to_owned());
    loop {
        let page = api.get(&next).await?;
        let cursor = page["next_cursor"].as_str().map(|cursor| format!("{path}&cursor={cursor}"));
        rows.extend(items(page)?);
        match cursor {
            Some(path) => next = path,
            None => return Ok(rows),
        }
    }
}

/// The rows of a list, paged or bare.
///
/// # Errors
/// The answer is no list.
pub fn items(answer: Value) -> anyhow::Result<Vec<Value>> {
    match answer {
        Value::Array(items) => Ok(items),
        Value::Object(mut page) => match page.remove("items") {
            Some(Value::Array(items)) => Ok(items),
            _ => bail!("the server's answer is not a list"),
        },
        _ => bail!("the server's answer is not a list"),
    }
}
