//! Schedules whose time has come, and the writes of one time.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::{CronError, CronTimes, Job, Missed};
use crate::{
    base::{AgencyId, ScheduleId},
    tasks::submit::submission::Submission,
};

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
/// The database is unavailable.
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
/// The database is unavailable or refuses the row: nothing is written.
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
/// The database is unavailable.
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
