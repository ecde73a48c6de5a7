//! What every worker does for the schedules that are due: one task for each time,
//! whoever else is at it and whoever is killed.
//!
//! A schedule is held for a moment, its task prepared outside of any transaction, and
//! the task and the schedule's next time are written in one. That write is only for who
//! still finds the schedule at the time it was read with.

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    due::{self, Due, Fired},
    plan::Plan,
};
use crate::{
    base::TenantScope,
    db,
    tasks::submit::{SubmitError, Submitter, submission::Submission},
};

/// Schedules taken in one look.
const BATCH: i32 = 100;
/// A worker that dies leaves its schedules to the others after this.
const HOLD_SECONDS: i32 = 10;

/// Sees to every schedule that is due, until `stop`. Gives how many tasks were made.
///
/// # Errors
/// The database is unavailable. What was not seen to stays due.
pub async fn fire_due(pool: &PgPool, submitter: &Submitter, stop: &CancellationToken) -> Result<usize, sqlx::Error> {
    let mut made = 0;
    loop {
        let due = due::due(pool, BATCH, HOLD_SECONDS).await?;
        if due.is_empty() {
            return Ok(made);
        }
        for schedule in due {
            if stop.is_cancelled() {
                return Ok(made);
            }
            made += usize::from(fire(pool, submitter, &schedule).await?);
        }
    }
}

/// Whether a task was made.
async fn fire(pool: &PgPool, submitter: &Submitter, due: &Due) -> Result<bool, sqlx::Error> {
    let times = match due.times() {
        Ok(times) => times,
        // It was checked when it was stored: the time zone database has changed.
        Err(error) => {
            let reason = format!("the schedule's times cannot be read any more: {error}");
            return failed(pool, due, due.due_at, None, &reason).await;
        }
    };
    let plan = Plan::new(&times, due.missed, due.due_at, due.now);
    let Some(fire_at) = plan.fire_at else {
        due::pass(pool, due, due.due_at, plan.next, None).await?;
        return Ok(false);
    };
    let scope = TenantScope::scheduled(due.agency_id, due.id);
    let task = match prepare(submitter, &scope, due).await {
        Ok(task) => task,
        Err(SubmitError::Unavailable) => return Err(sqlx::Error::PoolClosed),
        Err(SubmitError::Database(error)) if db::is_unavailable(&error) => return Err(error),
        Err(error) => return failed(pool, due, fire_at, plan.next, &words(&error)).await,
    };
    match due::fire(pool, due, fire_at, plan.next, &task).await {
        Ok(Fired::Created) => {
            info!(schedule_id = %due.id, task_id = %task.id, %fire_at, "a schedule made its task");
            Ok(true)
        }
        Ok(Fired::Gone) => Ok(false),
        Ok(Fired::Refused(outcome)) => failed(pool, due, fire_at, plan.next, &outcome).await,
        Err(error) if db::is_unavailable(&error) => Err(error),
        Err(error) => {
            warn!(%error, schedule_id = %due.id, "the task of a schedule could not be written");
            failed(pool, due, fire_at, plan.next, "the task could not be written").await
        }
    }
}

/// The task of a time, which the queue has a place for.
async fn prepare(submitter: &Submitter, scope: &TenantScope, due: &Due) -> Result<Submission, SubmitError> {
    let prepared = submitter.prepare(scope, &due.job.task()).await?;
    submitter.take_places(scope, 1).await?;
    Ok(due::task_of(prepared.submission, due))
}

/// Notes it on the schedule, which goes on with its next time.
async fn failed(
    pool: &PgPool,
    due: &Due,
    fire_at: chrono::DateTime<chrono::Utc>,
    next: Option<chrono::DateTime<chrono::Utc>>,
    reason: &str,
) -> Result<bool, sqlx::Error> {
    warn!(schedule_id = %due.id, agency_id = %due.agency_id, %fire_at, reason, "a schedule made no task");
    due::pass(pool, due, fire_at, next, Some(reason)).await?;
    Ok(false)
}

/// With every input that no longer fits.
fn words(error: &SubmitError) -> String {
    match error {
        SubmitError::Inputs(problems) => {
            let each: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
            format!("{error}: {}", each.join("; "))
        }
        error => error.to_string(),
    }
}
