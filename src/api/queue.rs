//! `/queue`: what is open, how old it is, how fast it goes.

use chrono::{DateTime, TimeDelta, Utc};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use tracing::warn;
use uuid::Uuid;

use super::{
    Admin, Problem, Result,
    http::{
        json_answer::JsonAnswer,
        page::{Listing, page},
        tags::Tag,
    },
    need,
    pauses::Pause,
    tasks::shown::Task,
};
use crate::{
    base::TaskId,
    tasks::{TaskStatus, backlog, control, pauses, read::Filter},
};

/// Rates are counted over this many minutes.
const RATE_MINUTES: i64 = 5;

#[derive(Debug, Object)]
struct Depth {
    team_id: Uuid,
    status: String,
    count: i64,
    /// When the oldest of them became due.
    oldest_run_at: DateTime<Utc>,
}

#[derive(Debug, Object)]
struct Finished {
    status: String,
    /// In the last five minutes.
    count: i64,
    per_minute: f64,
}

/// Tickets in Redis, over all agencies. They are hints: Postgres holds the queue.
#[derive(Debug, Object)]
struct Redis {
    tickets_waiting: u64,
    workers: u64,
}

#[derive(Debug, Object)]
struct Queue {
    /// Open tasks of the agency.
    open: i64,
    depth: Vec<Depth>,
    /// Age of the oldest task that is due and waits, in seconds.
    oldest_age_seconds: Option<i64>,
    /// Tasks taken in a minute, over the last five.
    submitted_per_minute: f64,
    finished: Vec<Finished>,
    /// What is held back by POST /queue/pause.
    pauses: Vec<Pause>,
    /// Null while Redis is away: tasks are accepted all the same.
    redis: Option<Redis>,
}

#[derive(Clone)]
pub struct QueueApi;

#[OpenApi(prefix_path = "/queue", tag = "Tag::Queue")]
impl QueueApi {
    /// Depth by status and team, the oldest age, rates, pauses.
    #[oai(path = "/", method = "get", operation_id = "get_queue")]
    async fn get_queue(&self, admin: Admin<need::QueueRead>) -> Result<Json<Queue>> {
        let now = admin.state.clock.now();
        let depth = backlog::depth(admin.scope(), &admin.state.pool).await?;
        let since = now - TimeDelta::minutes(RATE_MINUTES);
        let finished = backlog::finished_since(admin.scope(), &admin.state.pool, since).await?;
        let submitted = backlog::submitted_since(admin.scope(), &admin.state.pool, since).await?;
        let pauses = pauses::list(admin.scope(), &admin.state.pool).await?;
        let redis = match admin.state.tickets.depth().await {
            Ok(depth) => Some(Redis { tickets_waiting: depth.waiting, workers: depth.workers }),
            Err(error) => {
                warn!(%error, "Redis is away");
                None
            }
        };
        let waits = |d: &&backlog::Depth| d.status == "queued" && d.oldest_run_at <= now;
        Ok(Json(Queue {
            open: depth.iter().map(|d| d.count).sum(),
            oldest_age_seconds: depth.iter().filter(waits).map(|d| (now - d.oldest_run_at).num_seconds()).max(),
            depth: depth.into_iter().map(Depth::from).collect(),
            finished: finished.into_iter().map(|(status, count)| rate(status, count)).collect(),
            submitted_per_minute: per_minute(submitted),
            pauses: pauses.into_iter().map(Pause::from).collect(),
            redis,
        }))
    }

    /// List the tasks that are dead: claimed too often without finishing.
    #[oai(path = "/dead", method = "get", operation_id = "list_dead_tasks")]
    async fn list_dead_tasks(
        &self,
        admin: Admin<need::QueueRead>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<JsonAnswer<Listing<Task>>> {
        let dead = Filter { status: Some(TaskStatus::Dead), ..Filter::default() };
        Ok(JsonAnswer(Listing::of(admin.state.tasks.list(admin.scope(), &dead, page(limit, cursor)?).await?)))
    }

    /// Put a dead task back into the queue. It keeps its finished steps, and its attempts
    /// count anew. Its next end has a line of its own in the ledger.
    #[oai(path = "/dead/:id/requeue", method = "post", operation_id = "requeue_task")]
    async fn requeue_task(&self, admin: Admin<need::TasksWrite>, id: Path<Uuid>) -> Result<JsonAnswer<Task>> {
        let id = TaskId(id.0);
        let put_back = control::requeue(admin.scope(), &admin.state.pool, id).await?;
        let task = admin.state.tasks.get(admin.scope(), id).await?.ok_or_else(Problem::not_found)?;
        if !put_back {
            let detail =
                format!("The task is {}, not dead; POST /tasks/{id}/retry runs a finished one again.", task.status);
            return Err(Problem::conflict("not_dead", detail));
        }
        Ok(JsonAnswer(task.into()))
    }
}

fn rate(status: String, count: i64) -> Finished {
    Finished { status, count, per_minute: per_minute(count) }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_minute(count: i64) -> f64 {
    count as f64 / RATE_MINUTES as f64
}

impl From<backlog::Depth> for Depth {
    fn from(depth: backlog::Depth) -> Self {
        Self { team_id: depth.team_id, status: depth.status, count: depth.count, oldest_run_at: depth.oldest_run_at }
    }
}
