//! Agents: roles hired for a team, each on a seat.

mod configuration;
mod store;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

pub use configuration::Configuration;
pub use store::{change, get, hire, list, retire};

use super::Name;
use crate::base::{AgentId, AgentRoleId, TeamId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum AgentStatus {
    Active,
    /// Takes no new tasks, and keeps its seat.
    Paused,
    /// Gone for good; its runs and their costs stay.
    Retired,
}

#[derive(Debug, Clone)]
pub struct Agent {
    pub id: AgentId,
    pub team_id: TeamId,
    pub agent_role_id: AgentRoleId,
    pub custom_name: String,
    pub avatar_icon: Option<String>,
    pub configuration: Map<String, Value>,
    pub status: AgentStatus,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Debug)]
pub struct NewAgent {
    pub agent_role_id: AgentRoleId,
    pub team_id: TeamId,
    pub custom_name: Name,
    pub avatar_icon: Option<Name>,
    pub configuration: Configuration,
}

/// What to change; `None` leaves as is, `Some(None)` clears.
#[derive(Debug, Default)]
pub struct AgentChange {
    pub team_id: Option<TeamId>,
    pub custom_name: Option<Name>,
    pub avatar_icon: Option<Option<Name>>,
    pub configuration: Option<Configuration>,
    /// Never [`AgentStatus::Retired`]: that is [`retire`].
    pub status: Option<AgentStatus>,
}

/// Which agents to list; without a status all but the retired ones.
#[derive(Debug, Default, Clone, Copy)]
pub struct Filter {
    pub team_id: Option<TeamId>,
    pub agent_role_id: Option<AgentRoleId>,
    pub status: Option<AgentStatus>,
}
