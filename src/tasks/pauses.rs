//! Work that an admin holds back: an agent's, a team's, or all of the agency.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    base::{AgentId, TeamId, ids::uuid_at},
    db,
    tenancy::TenantScope,
};

/// What is held back. A task that runs already goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseScope {
    Agency,
    Team(TeamId),
    Agent(AgentId),
}

impl PauseScope {
    fn columns(self) -> (Option<Uuid>, Option<Uuid>) {
        match self {
            Self::Agency => (None, None),
            Self::Team(team) => (Some(team.0), None),
            Self::Agent(agent) => (None, Some(agent.0)),
        }
    }
}

/// A pause in force.
#[derive(Debug, Clone)]
pub struct Pause {
    pub scope: PauseScope,
    pub reason: Option<String>,
    /// The person; none for an API key.
    pub created_by: Option<Uuid>,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    #[error("there is no such team: GET /teams lists them")]
    TeamUnknown,
    #[error("there is no such agent: GET /agents lists them")]
    AgentUnknown,
    #[error(transparent)]
    Database(sqlx::Error),
}

struct Row {
    team_id: Option<Uuid>,
    agent_instance_id: Option<Uuid>,
    reason: Option<String>,
    created_by: Option<Uuid>,
    created_at: DateTime<Utc>,
}

impl From<Row> for Pause {
    fn from(row: Row) -> Self {
        let scope = match (row.team_id, row.agent_instance_id) {
            (Some(team), _) => PauseScope::Team(team.into()),
            (None, Some(agent)) => PauseScope::Agent(agent.into()),
            (None, None) => PauseScope::Agency,
        };
        Self { scope, reason: row.reason, created_by: row.created_by, created_at: row.created_at }
    }
}

/// Holds work back. What is paused already stays so, with the new reason.
///
/// # Errors
/// There is no such team or agent in the agency; the database is unavailable.
pub async fn pause(
    scope: &TenantScope,
    pool: &PgPool,
    what: PauseScope,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Pause, PauseError> {
    let (team, agent) = what.columns();
    let mut tx = db::tenant(pool, scope.agency_id()).await.map_err(PauseError::Database)?;
    let row = sqlx::query_as!(
        Row,
        "insert into queue_pauses (id, agency_id, team_id, agent_instance_id, reason, created_by)
         values ($1, $2, $3, $4, $5, $6)
         on conflict on constraint queue_pauses_scope_key do update
           set reason = excluded.reason, created_by = excluded.created_by
         returning team_id, agent_instance_id, reason, created_by, created_at",
        uuid_at(now),
        scope.agency_id().0,
        team,
        agent,
        reason,
        scope.user_id().map(|id| id.0),
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(refused)?;
    tx.commit().await.map_err(PauseError::Database)?;
    Ok(row.into())
}

/// Ends a pause. Says whether there was one.
///
/// # Errors
/// The database is unavailable.
pub async fn resume(scope: &TenantScope, pool: &PgPool, what: PauseScope) -> Result<bool, sqlx::Error> {
    let (team, agent) = what.columns();
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let ended = sqlx::query!(
        "delete from queue_pauses
          where team_id is not distinct from $1 and agent_instance_id is not distinct from $2",
        team,
        agent,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(ended.rows_affected() == 1)
}

/// The agency's pauses, oldest first.
///
/// # Errors
/// The database is unavailable.
pub async fn list(scope: &TenantScope, pool: &PgPool) -> Result<Vec<Pause>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query_as!(
        Row,
        "select team_id, agent_instance_id, reason, created_by, created_at from queue_pauses order by created_at, id"
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(Pause::from).collect())
}

fn refused(error: sqlx::Error) -> PauseError {
    match db::violated_constraint(&error) {
        Some("queue_pauses_team_unknown") => PauseError::TeamUnknown,
        Some("queue_pauses_agent_unknown") => PauseError::AgentUnknown,
        _ => PauseError::Database(error),
    }
}
