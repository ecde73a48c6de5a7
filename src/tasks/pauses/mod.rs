//! Work that an admin holds back: an agent's, a team's, or all of the agency.

pub mod store;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::base::{AgentId, TeamId};

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
