//! What people read and change of schedules.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use super::{Job, MAX_SCHEDULES, Missed, Schedule, ScheduleError, Wanted};
use crate::{
    base::{Page, Paged, ScheduleId, TenantScope},
    db,
};

/// Newest first.
///
/// # Errors
/// The database is unavailable.
pub async fn list(scope: &TenantScope, pool: &PgPool, page: Page) -> Result<Paged<Schedule>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let schedules = sqlx::query_as!(
        Schedule,
        r#"select id, agent_instance_id, recipe, version, inputs, priority, subject, tags, cron, time_zone,
                  missed as "missed: Missed", enabled, next_run_at, last_run_at, last_task_id, last_error, failures,
                  created_at, updated_at
             from schedules where $1::uuid is null or id < $1 order by id desc limit $2"#,
        page.before,
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(schedules, |schedule| schedule.id))
}

/// # Errors
/// The database is unavailable.
pub async fn get(scope: &TenantScope, pool: &PgPool, id: ScheduleId) -> Result<Option<Schedule>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let schedule = find(&mut tx, id).await?;
    tx.commit().await?;
    Ok(schedule)
}

async fn find(tx: &mut PgConnection, id: ScheduleId) -> Result<Option<Schedule>, sqlx::Error> {
    sqlx::query_as!(
        Schedule,
        r#"select id, agent_instance_id, recipe, version, inputs, priority, subject, tags, cron, time_zone,
                  missed as "missed: Missed", enabled, next_run_at, last_run_at, last_task_id, last_error, failures,
                  created_at, updated_at
             from schedules where id = $1"#,
        id.0,
    )
    .fetch_optional(tx)
    .await
}

/// # Errors
/// The agent is not there or not active; the agency has too many schedules.
pub async fn create(
    scope: &TenantScope,
    pool: &PgPool,
    wanted: &Wanted,
    now: DateTime<Utc>,
) -> Result<Schedule, ScheduleError> {
    let Wanted { job, times, missed, enabled } = wanted;
    let id = ScheduleId::at(now);
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    require_active(&mut tx, job).await?;
    let made = sqlx::query!(
        "insert into schedules (id, agency_id, agent_instance_id, created_by, recipe, version, inputs, priority, subject,
                                tags, cron, time_zone, missed, enabled, next_run_at)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15
          where (select count(*) from schedules) < $16",
        id.0,
        scope.agency_id().0,
        job.agent_instance_id.0,
        scope.user_id().map(|id| id.0),
        job.recipe,
        job.version,
        Value::Object(job.inputs.clone()),
        job.priority,
        job.subject,
        &job.tags,
        times.expression(),
        times.time_zone(),
        *missed as Missed,
        enabled,
        next_run_at(wanted, now),
        MAX_SCHEDULES,
    )
    .execute(&mut *tx)
    .await?;
    if made.rows_affected() == 0 {
        return Err(ScheduleError::TooMany);
    }
    let schedule = find(&mut tx, id).await?.ok_or(sqlx::Error::RowNotFound)?;
    tx.commit().await?;
    Ok(schedule)
}

/// Replaces what a caller decides. `from_now` counts the times anew, as for one that was
/// just made: after a change of the times, or when it is enabled. `None` if there is none.
///
/// # Errors
/// The agent is not there or not active.
pub async fn change(
    scope: &TenantScope,
    pool: &PgPool,
    id: ScheduleId,
    wanted: &Wanted,
    (from_now, now): (bool, DateTime<Utc>),
) -> Result<Option<Schedule>, ScheduleError> {
    let Wanted { job, times, missed, enabled } = wanted;
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    require_active(&mut tx, job).await?;
    sqlx::query!(
        "update schedules
            set agent_instance_id = $2, recipe = $3, version = $4, inputs = $5, priority = $6, subject = $7, tags = $8,
                cron = $9, time_zone = $10, missed = $11, enabled = $12, failures = 0, last_error = null,
                held_until = null, updated_at = clock_timestamp(),
                next_run_at = case when not $12 then null when $14 or next_run_at is null then $13 else next_run_at end
          where id = $1",
        id.0,
        job.agent_instance_id.0,
        job.recipe,
        job.version,
        Value::Object(job.inputs.clone()),
        job.priority,
        job.subject,
        &job.tags,
        times.expression(),
        times.time_zone(),
        *missed as Missed,
        enabled,
        next_run_at(wanted, now),
        from_now,
    )
    .execute(&mut *tx)
    .await?;
    let schedule = find(&mut tx, id).await?;
    tx.commit().await?;
    Ok(schedule)
}

/// Says whether there was such a schedule. Its tasks stay.
///
/// # Errors
/// The database is unavailable.
pub async fn delete(scope: &TenantScope, pool: &PgPool, id: ScheduleId) -> Result<bool, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let deleted = sqlx::query!("delete from schedules where id = $1", id.0).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(deleted.rows_affected() == 1)
}

async fn require_active(tx: &mut PgConnection, job: &Job) -> Result<(), ScheduleError> {
    let active = sqlx::query_scalar!(
        r#"select true as "active!" from agent_instances where id = $1 and status = 'active'"#,
        job.agent_instance_id.0,
    )
    .fetch_optional(tx)
    .await?;
    active.map(drop).ok_or(ScheduleError::AgentUnknown)
}

fn next_run_at(wanted: &Wanted, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    wanted.enabled.then(|| wanted.times.next_after(now)).flatten()
}
