//! `/queue/pause` and `/queue/resume`.

use chrono::{DateTime, Utc};
use poem_openapi::{Enum, Object, OpenApi, payload::Json};
use uuid::Uuid;

use super::{
    Admin, Problem, Result,
    http::{
        body::Body,
        check::{Check, checked},
        problem::FieldError,
        tags::Tag,
    },
    need,
};
use crate::tasks::pauses::{self, PauseError, PauseScope};

const MAX_REASON_CHARS: usize = 500;

/// What a pause holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum PausedScope {
    Agency,
    Team,
    Agent,
}

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct PauseBody {
    scope: PausedScope,
    /// The team's or the agent's id; left out for the agency.
    scope_id: Option<Uuid>,
    /// Why, for those who wonder. 1 to 500 characters.
    #[oai(validator(max_length = 500))]
    reason: Option<String>,
}

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct ResumeBody {
    scope: PausedScope,
    /// The team's or the agent's id; left out for the agency.
    scope_id: Option<Uuid>,
}

/// Work that is held back: neither dispatched nor claimed. What runs goes on.
#[derive(Debug, Object)]
pub struct Pause {
    scope: PausedScope,
    /// Null for the agency.
    scope_id: Option<Uuid>,
    reason: Option<String>,
    /// The person; null where an API key did it.
    created_by: Option<Uuid>,
    created_at: DateTime<Utc>,
}

impl From<pauses::Pause> for Pause {
    fn from(pause: pauses::Pause) -> Self {
        let (scope, scope_id) = match pause.scope {
            PauseScope::Agency => (PausedScope::Agency, None),
            PauseScope::Team(team) => (PausedScope::Team, Some(team.0)),
            PauseScope::Agent(agent) => (PausedScope::Agent, Some(agent.0)),
        };
        let pauses::Pause { reason, created_by, created_at, .. } = pause;
        Self { scope, scope_id, reason, created_by, created_at }
    }
}

/// The pauses that are still in force.
#[derive(Debug, Object)]
struct Pauses {
    pauses: Vec<Pause>,
}

#[derive(Clone)]
pub struct PausesApi;

#[OpenApi(prefix_path = "/queue", tag = "Tag::Queue")]
impl PausesApi {
    /// Hold back the work of an agent, a team or the agency. Tasks are taken in as ever,
    /// and wait; those that run go on. Pausing again replaces the reason.
    #[oai(path = "/pause", method = "post", operation_id = "pause_queue")]
    async fn pause_queue(&self, admin: Admin<need::QueueWrite>, body: Body<PauseBody>) -> Result<Json<Pause>> {
        let PauseBody { scope, scope_id, reason } = body.0;
        let mut check = Check::default();
        let what = check.noted(what(scope, scope_id));
        let reason = check.optional("reason", reason.as_ref(), parse_reason);
        check.finish()?;
        let now = admin.state.clock.now();
        let pause = pauses::pause(admin.scope(), &admin.state.pool, checked(what)?, reason.as_deref(), now).await?;
        Ok(Json(pause.into()))
    }

    /// Let work go on that was paused. Gives the pauses that are left: an agent's work
    /// waits as long as the agent, its team or the agency is paused.
    #[oai(path = "/resume", method = "post", operation_id = "resume_queue")]
    async fn resume_queue(&self, admin: Admin<need::QueueWrite>, body: Body<ResumeBody>) -> Result<Json<Pauses>> {
        let mut check = Check::default();
        let what = check.noted(what(body.0.scope, body.0.scope_id));
        check.finish()?;
        if !pauses::resume(admin.scope(), &admin.state.pool, checked(what)?).await? {
            return Err(Problem::conflict("not_paused", "This is not paused; GET /queue lists what is."));
        }
        let left = pauses::list(admin.scope(), &admin.state.pool).await?;
        Ok(Json(Pauses { pauses: left.into_iter().map(Pause::from).collect() }))
    }
}

fn what(scope: PausedScope, id: Option<Uuid>) -> std::result::Result<PauseScope, FieldError> {
    match (scope, id) {
        (PausedScope::Agency, None) => Ok(PauseScope::Agency),
        (PausedScope::Team, Some(id)) => Ok(PauseScope::Team(id.into())),
        (PausedScope::Agent, Some(id)) => Ok(PauseScope::Agent(id.into())),
        (PausedScope::Agency, Some(_)) => Err(FieldError::new("scope_id", "must be left out for the agency")),
        (PausedScope::Team, None) => Err(FieldError::new("scope_id", "must be the team's id")),
        (PausedScope::Agent, None) => Err(FieldError::new("scope_id", "must be the agent's id")),
    }
}

fn parse_reason(text: &str) -> std::result::Result<String, String> {
    let text = text.trim();
    if (1..=MAX_REASON_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!("must have 1 to {MAX_REASON_CHARS} printable characters, or be left out"))
}

impl From<PauseError> for Problem {
    fn from(error: PauseError) -> Self {
        match error {
            PauseError::TeamUnknown => Self::no_such("scope_id", "team"),
            PauseError::AgentUnknown => Self::no_such("scope_id", "agent"),
            PauseError::Database(error) => error.into(),
        }
    }
}
