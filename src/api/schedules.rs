//! `/schedules`: tasks at the times of a cron expression.

use chrono::{DateTime, Utc};
use poem_openapi::{
    ApiResponse, Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::{Any, MaybeUndefined},
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    Admin, Problem, Result,
    http::{
        body::Body,
        page::{Listing, page},
        problem::FieldError,
        state::ApiState,
        tags::Tag,
    },
    need,
    tasks::new::{self, NewTaskBody},
};
use crate::{
    base::{ScheduleId, TenantScope},
    tasks::schedules::{self, CronError, CronTimes, Job, ScheduleError, Wanted, manage},
};

/// Coming times that are shown.
const SHOWN_TIMES: usize = 5;

/// What becomes of times that came while no worker ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum Missed {
    /// No task, if the last of them is more than 5 minutes ago.
    Skip,
    /// One task for all of them.
    RunOnce,
    /// One task for each of the last 100 of them.
    RunAll,
}

impl From<Missed> for schedules::Missed {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Skip => Self::Skip,
            Missed::RunOnce => Self::RunOnce,
            Missed::RunAll => Self::RunAll,
        }
    }
}

impl From<schedules::Missed> for Missed {
    fn from(missed: schedules::Missed) -> Self {
        match missed {
            schedules::Missed::Skip => Self::Skip,
            schedules::Missed::RunOnce => Self::RunOnce,
            schedules::Missed::RunAll => Self::RunAll,
        }
    }
}

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct NewScheduleBody {
    /// Minute, hour, day of month, month and day of week, as in `0 9 * * MON-FRI`.
    #[oai(validator(min_length = 1, max_length = 200))]
    cron: String,
    /// Of the IANA database, as in `Europe/Berlin`; UTC unless given.
    #[oai(validator(min_length = 1, max_length = 64))]
    time_zone: Option<String>,
    agent_instance_id: Uuid,
    /// A recipe's id or slug, looked up anew at each time.
    #[oai(validator(min_length = 1, max_length = 100))]
    recipe: String,
    /// A published version of the slug.
    #[oai(validator(max_length = 64))]
    version: Option<String>,
    /// As the recipe's `inputs` declare them. At most 256 KiB.
    inputs: Option<Any<Map<String, Value>>>,
    /// Of each task: 0 to 9, higher is sooner; 5 unless given.
    #[oai(validator(minimum(value = "0"), maximum(value = "9")))]
    priority: Option<i16>,
    /// Of each task. At most 255 characters.
    #[oai(validator(max_length = 255))]
    subject: Option<String>,
    /// Of each task. At most 20, each of at most 64 characters.
    #[oai(validator(max_items = 20, max_length = 64))]
    tags: Option<Vec<String>>,
    /// `run_once` unless given.
    missed: Option<Missed>,
    /// True unless given.
    enabled: Option<bool>,
}

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct ScheduleChangeBody {
    #[oai(validator(min_length = 1, max_length = 200))]
    cron: Option<String>,
    #[oai(validator(min_length = 1, max_length = 64))]
    time_zone: Option<String>,
    agent_instance_id: Option<Uuid>,
    #[oai(validator(min_length = 1, max_length = 100))]
    recipe: Option<String>,
    /// Null means the newest release.
    #[oai(validator(max_length = 64))]
    version: MaybeUndefined<String>,
    /// Replaces all of them. At most 256 KiB.
    inputs: Option<Any<Map<String, Value>>>,
    #[oai(validator(minimum(value = "0"), maximum(value = "9")))]
    priority: Option<i16>,
    /// Null clears it.
    #[oai(validator(max_length = 255))]
    subject: MaybeUndefined<String>,
    /// Replaces all of them.
    #[oai(validator(max_items = 20, max_length = 64))]
    tags: Option<Vec<String>>,
    missed: Option<Missed>,
    enabled: Option<bool>,
}

#[derive(Debug, Object)]
struct Schedule {
    id: Uuid,
    cron: String,
    time_zone: String,
    agent_instance_id: Uuid,
    recipe: String,
    version: Option<String>,
    inputs: Any<Value>,
    priority: i16,
    subject: Option<String>,
    tags: Vec<String>,
    missed: Missed,
    enabled: bool,
    /// Null while disabled.
    next_run_at: Option<DateTime<Utc>>,
    /// The next five times, `next_run_at` first; none while disabled.
    next_runs: Vec<DateTime<Utc>>,
    /// The last time that made a task.
    last_run_at: Option<DateTime<Utc>>,
    last_task_id: Option<Uuid>,
    /// Why the last time made no task; null after one that did.
    last_error: Option<String>,
    /// Times in a row that made no task.
    failures: i32,
    /// Three times in a row made no task: the schedule goes on trying, and somebody should look.
    failing: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<schedules::Schedule> for Schedule {
    fn from(schedule: schedules::Schedule) -> Self {
        let next_runs = next_runs(&schedule);
        Self {
            failing: schedule.is_failing(),
            id: schedule.id,
            cron: schedule.cron,
            time_zone: schedule.time_zone,
            agent_instance_id: schedule.agent_instance_id,
            recipe: schedule.recipe,
            version: schedule.version,
            inputs: Any(schedule.inputs),
            priority: schedule.priority,
            subject: schedule.subject,
            tags: schedule.tags,
            missed: schedule.missed.into(),
            enabled: schedule.enabled,
            next_run_at: schedule.next_run_at,
            next_runs,
            last_run_at: schedule.last_run_at,
            last_task_id: schedule.last_task_id,
            last_error: schedule.last_error,
            failures: schedule.failures,
            created_at: schedule.created_at,
            updated_at: schedule.updated_at,
        }
    }
}

fn next_runs(schedule: &schedules::Schedule) -> Vec<DateTime<Utc>> {
    let (Some(next), Ok(times)) = (schedule.next_run_at, CronTimes::parse(&schedule.cron, &schedule.time_zone)) else {
        return Vec::new();
    };
    std::iter::once(next).chain(times.upcoming(next, SHOWN_TIMES - 1)).collect()
}

#[derive(ApiResponse)]
enum Created {
    #[oai(status = 201)]
    Schedule(Json<Schedule>, #[oai(header = "Location")] String),
}

#[derive(ApiResponse)]
enum Deleted {
    #[oai(status = 204)]
    Done,
}

#[derive(Clone)]
pub struct SchedulesApi;

#[OpenApi(prefix_path = "/schedules", tag = "Tag::Tasks")]
impl SchedulesApi {
    /// List the agency's schedules.
    #[oai(path = "/", method = "get", operation_id = "list_schedules")]
    async fn list_schedules(
        &self,
        admin: Admin<need::TasksRead>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Schedule>>> {
        Ok(Json(Listing::of(manage::list(admin.scope(), &admin.state.pool, page(limit, cursor)?).await?)))
    }

    /// Run a recipe again and again.
    ///
    /// Each time makes exactly one task, by whichever worker. An expression with fixed hours
    /// and minutes runs once a day also where the clocks change: in an hour that does not
    /// exist at the first moment after it, in one that comes twice the first time. One with
    /// `*` runs whenever the clock shows it. A time for which no task can be made, as the
    /// recipe or the agent is gone, is noted in `last_error`.
    #[oai(path = "/", method = "post", operation_id = "create_schedule")]
    async fn create_schedule(&self, admin: Admin<need::TasksWrite>, body: Body<NewScheduleBody>) -> Result<Created> {
        let wanted = wanted(body.0)?;
        check_job(&admin.state, admin.scope(), &wanted.job).await?;
        let made = manage::create(admin.scope(), &admin.state.pool, &wanted, admin.state.clock.now()).await?;
        let location = format!("/schedules/{}", made.id);
        Ok(Created::Schedule(Json(made.into()), location))
    }

    /// Get a schedule.
    #[oai(path = "/:id", method = "get", operation_id = "get_schedule")]
    async fn get_schedule(&self, admin: Admin<need::TasksRead>, id: Path<Uuid>) -> Result<Json<Schedule>> {
        Ok(Json(found(&admin.state, admin.scope(), id.0).await?.into()))
    }

    /// Change a schedule. What is left out stays as it is.
    ///
    /// A change of the times, or enabling it again, counts from now: nothing is made good.
    #[oai(path = "/:id", method = "patch", operation_id = "change_schedule")]
    async fn change_schedule(
        &self,
        admin: Admin<need::TasksWrite>,
        id: Path<Uuid>,
        body: Body<ScheduleChangeBody>,
    ) -> Result<Json<Schedule>> {
        let present = found(&admin.state, admin.scope(), id.0).await?;
        let from_now = body.0.cron.is_some() || body.0.time_zone.is_some() || !present.enabled;
        let wanted = wanted(changed(present, body.0))?;
        check_job(&admin.state, admin.scope(), &wanted.job).await?;
        let at = (from_now, admin.state.clock.now());
        let changed = manage::change(admin.scope(), &admin.state.pool, ScheduleId(id.0), &wanted, at).await?;
        changed.map(|schedule| Json(schedule.into())).ok_or_else(Problem::not_found)
    }

    /// Delete a schedule. Its tasks stay.
    #[oai(path = "/:id", method = "delete", operation_id = "delete_schedule")]
    async fn delete_schedule(&self, admin: Admin<need::TasksWrite>, id: Path<Uuid>) -> Result<Deleted> {
        let deleted = manage::delete(admin.scope(), &admin.state.pool, ScheduleId(id.0)).await?;
        if deleted { Ok(Deleted::Done) } else { Err(Problem::not_found()) }
    }
}

async fn found(state: &ApiState, scope: &TenantScope, id: Uuid) -> Result<schedules::Schedule> {
    manage::get(scope, &state.pool, ScheduleId(id)).await?.ok_or_else(Problem::not_found)
}

/// Whether a task could be made of it now, as POST /tasks would see it.
async fn check_job(state: &ApiState, scope: &TenantScope, job: &Job) -> Result<()> {
    Ok(state.submitter.check(scope, &job.task()).await?)
}

/// The whole schedule with the changes in it.
fn changed(present: schedules::Schedule, change: ScheduleChangeBody) -> NewScheduleBody {
    let or = |given: MaybeUndefined<String>, present: Option<String>| match given {
        MaybeUndefined::Undefined => present,
        MaybeUndefined::Null => None,
        MaybeUndefined::Value(text) => Some(text),
    };
    NewScheduleBody {
        cron: change.cron.unwrap_or(present.cron),
        time_zone: Some(change.time_zone.unwrap_or(present.time_zone)),
        agent_instance_id: change.agent_instance_id.unwrap_or(present.agent_instance_id),
        recipe: change.recipe.unwrap_or(present.recipe),
        version: or(change.version, present.version),
        inputs: change.inputs.or_else(|| present.inputs.as_object().cloned().map(Any)),
        priority: Some(change.priority.unwrap_or(present.priority)),
        subject: or(change.subject, present.subject),
        tags: Some(change.tags.unwrap_or(present.tags)),
        missed: Some(change.missed.unwrap_or_else(|| present.missed.into())),
        enabled: Some(change.enabled.unwrap_or(present.enabled)),
    }
}

fn wanted(body: NewScheduleBody) -> Result<Wanted> {
    let times = CronTimes::parse(&body.cron, body.time_zone.as_deref().unwrap_or("UTC")).map_err(|error| {
        let field = if error == CronError::Zone { "time_zone" } else { "cron" };
        Problem::validation(vec![FieldError::new(field, error.to_string())])
    })?;
    let task = NewTaskBody {
        agent_instance_id: body.agent_instance_id,
        recipe: body.recipe,
        version: body.version,
        inputs: body.inputs,
        priority: body.priority,
        run_at: None,
        subject: body.subject,
        tags: body.tags,
    };
    let task = new::parse(task, None)?;
    let job = Job {
        agent_instance_id: task.agent_instance_id,
        recipe: task.recipe,
        version: task.version,
        inputs: task.inputs,
        priority: task.priority,
        subject: task.subject,
        tags: task.tags,
    };
    let missed = body.missed.unwrap_or(Missed::RunOnce).into();
    Ok(Wanted { job, times, missed, enabled: body.enabled.unwrap_or(true) })
}

impl From<ScheduleError> for Problem {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::AgentUnknown => Self::invalid("agent_instance_id", error.to_string()),
            ScheduleError::TooMany => Self::conflict("too_many_schedules", error.to_string()),
            ScheduleError::Database(error) => error.into(),
        }
    }
}
