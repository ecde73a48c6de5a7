//! The processes that run tasks, as they say themselves every few seconds.

pub mod standstill;

pub use standstill::Standstill;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::{db, tenancy::TenantScope};

/// A worker that was not heard of for longer counts as gone.
pub const GONE_AFTER_SECONDS: i32 = 15;

/// A worker as an agency sees it.
#[derive(Debug)]
pub struct Worker {
    pub name: String,
    /// Tasks that it can have in flight.
    pub concurrency: i32,
    pub started_at: DateTime<Utc>,
    pub seen_at: DateTime<Utc>,
    /// Whether it was heard of lately.
    pub alive: bool,
    /// The agency's own tasks that it runs.
    pub running: i64,
}

/// A worker that was not heard of for so long is not shown any more.
const FORGOTTEN_AFTER_SECONDS: i32 = 3600;

/// Says that the worker is there and how many tasks of all agencies it runs. Gives how
/// many tasks all workers together can have in flight.
///
/// # Errors
/// The database is unavailable.
pub async fn beat(pool: &PgPool, name: &str, concurrency: i32, running: i32) -> Result<i64, sqlx::Error> {
    sqlx::query!(
        "delete from workers where seen_at < clock_timestamp() - make_interval(secs => $1)",
        f64::from(FORGOTTEN_AFTER_SECONDS)
    )
    .execute(pool)
    .await?;
    sqlx::query!(
        "insert into workers (name, concurrency, running) values ($1, $2, $3)
         on conflict (name) do update
           set concurrency = excluded.concurrency, running = excluded.running, seen_at = clock_timestamp()",
        name,
        concurrency,
        running,
    )
    .execute(pool)
    .await?;
    sqlx::query_scalar!(
        r#"select coalesce(sum(concurrency), 0) as "total!" from workers
            where seen_at >= clock_timestamp() - make_interval(secs => $1)"#,
        f64::from(GONE_AFTER_SECONDS),
    )
    .fetch_one(pool)
    .await
}

/// Takes a worker off the list that stops in good order.
///
/// # Errors
/// The database is unavailable.
pub async fn leave(pool: &PgPool, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from workers where name = $1", name).execute(pool).await?;
    Ok(())
}

/// Whether tasks that could run have waited for more than `seconds`, and in that time no
/// worker claimed any.
///
/// # Errors
/// The database is unavailable.
pub async fn work_stands(pool: &PgPool, seconds: i32) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select app.work_stands($1, $2) as "stands!""#, seconds, GONE_AFTER_SECONDS)
        .fetch_one(pool)
        .await
}

/// The workers, and how many of the agency's own tasks each runs; the newest first.
///
/// # Errors
/// The database is unavailable.
pub async fn list(scope: &TenantScope, pool: &PgPool) -> Result<Vec<Worker>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let workers = sqlx::query_as!(
        Worker,
        r#"select w.name, w.concurrency, w.started_at, w.seen_at,
                  w.seen_at >= clock_timestamp() - make_interval(secs => $2) as "alive!",
                  coalesce(own.running, 0) as "running!"
             from workers w
             left join (select t.worker, count(*) as running from task_queue t
                         where t.agency_id = $1 and t.dispatched_at < 'infinity' and t.finished_at is null
                           and t.status = 'running'
                         group by t.worker) own on own.worker = w.name
            order by w.started_at desc, w.name"#,
        scope.agency_id().0,
        f64::from(GONE_AFTER_SECONDS),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(workers)
}
