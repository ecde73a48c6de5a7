//! The SQL of schedules: what people read and change, and the writes of one time.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{CronError, CronTimes, Job, MAX_SCHEDULES, Missed, Schedule, ScheduleError, Wanted};
use crate::{
    base::{AgencyId, Page, Paged, ScheduleId, TenantScope},
    db,
    tasks::submit::store::Submission,
};

/// Newest first.
///
/// # Errors
/// The database is away.
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
/// The database is away.
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
/// The database is away.
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

/// A schedule whose time has come, held for its reader.
#[derive(Debug, Clone)]
pub struct Due {
    pub id: ScheduleId,
    pub agency_id: AgencyId,
    created_by: Option<Uuid>,
    pub job: Job,
    cron: String,
    time_zone: String,
    pub missed: Missed,
    /// The first time that was not seen to: the fence of what is written for it.
    pub due_at: DateTime<Utc>,
    /// The database's time.
    pub now: DateTime<Utc>,
}

impl Due {
    /// # Errors
    /// The expression or its zone is none any more.
    pub fn times(&self) -> Result<CronTimes, CronError> {
        CronTimes::parse(&self.cron, &self.time_zone)
    }
}

/// Takes schedules that are due; others pass over them for so long.
///
/// # Errors
/// The database is away.
pub async fn due(pool: &PgPool, limit: i32, hold_seconds: i32) -> Result<Vec<Due>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id as "id!", agency_id as "agency_id!", agent_instance_id as "agent_instance_id!", created_by,
                  recipe as "recipe!", version, inputs as "inputs!", priority as "priority!", subject, tags as "tags!",
                  cron as "cron!", time_zone as "time_zone!", missed as "missed!: Missed", due_at as "due_at!",
                  now as "now!"
             from app.due_schedules($1, $2)"#,
        limit,
        hold_seconds,
    )
    .fetch_all(pool)
    .await?;
    let due = rows.into_iter().map(|row| Due {
        id: row.id.into(),
        agency_id: row.agency_id.into(),
        created_by: row.created_by,
        job: Job {
            agent_instance_id: row.agent_instance_id.into(),
            recipe: row.recipe,
            version: row.version,
            inputs: row.inputs.as_object().cloned().unwrap_or_default(),
            priority: row.priority,
            subject: row.subject,
            tags: row.tags,
        },
        cron: row.cron,
        time_zone: row.time_zone,
        missed: row.missed,
        due_at: row.due_at,
        now: row.now,
    });
    Ok(due.collect())
}

/// The task of a schedule is its maker's.
#[must_use]
pub fn task_of(task: Submission, due: &Due) -> Submission {
    Submission { created_by: due.created_by, dispatch_id: None, ..task }
}

/// What became of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fired {
    Created,
    /// Somebody else saw to it, or changed the schedule meanwhile.
    Gone,
    /// The submission was not taken; says why.
    Refused(String),
}

/// Writes the task of a time, and the schedule's next time, in one transaction.
///
/// # Errors
/// The database is away or refuses the row: nothing is written.
pub async fn fire(
    pool: &PgPool,
    due: &Due,
    fire_at: DateTime<Utc>,
    next: Option<DateTime<Utc>>,
    task: &Submission,
) -> Result<Fired, sqlx::Error> {
    let outcome = sqlx::query_scalar!(
        r#"select app.fire_schedule($1, $2, $3, $4, $5) as "outcome!""#,
        due.id.0,
        due.due_at,
        fire_at,
        next,
        task as &Submission,
    )
    .fetch_one(pool)
    .await?;
    Ok(match outcome.as_str() {
        "created" => Fired::Created,
        "gone" => Fired::Gone,
        "agent_unknown" => Fired::Refused("the agent is not there any more, or not active".to_owned()),
        "recipe_unknown" => Fired::Refused("the recipe is not published any more".to_owned()),
        other => Fired::Refused(format!("no task could be made: {other}")),
    })
}

/// Moves a schedule on without a task; `error` says why there is none, if one was wanted.
/// Gives whether it was still at its time.
///
/// # Errors
/// The database is away.
pub async fn pass(
    pool: &PgPool,
    due: &Due,
    fire_at: DateTime<Utc>,
    next: Option<DateTime<Utc>>,
    error: Option<&str>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select app.pass_schedule($1, $2, $3, $4, $5) as "moved!""#,
        due.id.0,
        due.due_at,
        fire_at,
        next,
        error,
    )
    .fetch_one(pool)
    .await
}
