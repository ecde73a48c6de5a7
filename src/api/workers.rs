//! `/queue/workers`

use chrono::{DateTime, Utc};
use poem_openapi::{Object, OpenApi, payload::Json};

use super::{Admin, Result, http::tags::Tag, need};
use crate::tasks::workers;

/// A process that runs tasks, of all agencies.
#[derive(Debug, Object)]
struct Worker {
    /// New at each start.
    name: String,
    /// Whether it was heard of in the last 15 seconds. One that is not keeps its tasks until their leases run out.
    alive: bool,
    started_at: DateTime<Utc>,
    last_heartbeat_at: DateTime<Utc>,
    /// Tasks that it can run at once.
    concurrency: i32,
    /// Your agency's tasks that it runs.
    running: i64,
}

#[derive(Debug, Object)]
struct Workers {
    items: Vec<Worker>,
    /// Always null: all fit.
    next_cursor: Option<String>,
}

impl From<workers::Worker> for Worker {
    fn from(worker: workers::Worker) -> Self {
        let workers::Worker { name, concurrency, started_at, seen_at, alive, running } = worker;
        Self { name, alive, started_at, last_heartbeat_at: seen_at, concurrency, running }
    }
}

#[derive(Clone)]
pub struct WorkersApi;

#[OpenApi(prefix_path = "/queue", tag = "Tag::Queue")]
impl WorkersApi {
    /// The workers of the installation, the newest first, and what they run of yours.
    #[oai(path = "/workers", method = "get", operation_id = "list_workers")]
    async fn list_workers(&self, admin: Admin<need::QueueRead>) -> Result<Json<Workers>> {
        let workers = workers::list(admin.scope(), &admin.state.pool).await?;
        Ok(Json(Workers { items: workers.into_iter().map(Worker::from).collect(), next_cursor: None }))
    }
}
