//! `/queue`: what is open, how old it is, how fast it goes.

use chrono::{DateTime, TimeDelta, Utc};
use poem_openapi::{Object, OpenApi, payload::Json};
use tracing::warn;
use uuid::Uuid;

use super::{Admin, Result, need, pauses::Pause, tags::Tag};
use crate::tasks::{pauses, store};

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
        let depth = store::depth(admin.scope(), &admin.state.pool).await?;
        let since = now - TimeDelta::minutes(RATE_MINUTES);
        let finished = store::finished_since(admin.scope(), &admin.state.pool, since).await?;
        let submitted = store::submitted_since(admin.scope(), &admin.state.pool, since).await?;
        let pauses = pauses::store::list(admin.scope(), &admin.state.pool).await?;
        let redis = match admin.state.tickets.depth().await {
            Ok(depth) => Some(Redis { tickets_waiting: depth.waiting, workers: depth.workers }),
            Err(error) => {
                warn!(%error, "Redis is away");
                None
            }
        };
        let waits = |d: &&store::Depth| d.status == "queued" && d.oldest_run_at <= now;
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
}

fn rate(status: String, count: i64) -> Finished {
    Finished { status, count, per_minute: per_minute(count) }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_minute(count: i64) -> f64 {
    count as f64 / RATE_MINUTES as f64
}

impl From<store::Depth> for Depth {
    fn from(depth: store::Depth) -> Self {
        Self { team_id: depth.team_id, status: depth.status, count: depth.count, oldest_run_at: depth.oldest_run_at }
    }
}
