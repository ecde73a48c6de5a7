//! Why a change to an agency's people, teams, seats or agents was refused.

use crate::{base::random::NoRandomness, db};

#[derive(Debug, thiserror::Error)]
pub enum TenancyError {
    #[error("an account with this e-mail address exists already; sign in, or use another address")]
    EmailTaken,
    #[error("this address belongs to one of the agency's people already; change their role or team instead")]
    AlreadyHere,
    #[error("an invite to this address waits to be accepted; revoke it first to make a new one")]
    InvitePending,
    #[error(
        "this is the agency's last active admin, who cannot be demoted or deactivated; make somebody else an admin first"
    )]
    LastAdmin,
    #[error("another team of the agency has this name; choose a different one")]
    TeamNameTaken,
    #[error(
        "agents belong or belonged to this team, and their runs and costs belong to it; move its agents elsewhere or keep the team"
    )]
    TeamInUse,
    #[error("no such team")]
    TeamUnknown,
    #[error("no such agent role")]
    RoleUnknown,
    #[error("the role {role} is {status} and cannot be bought or hired; choose one that is available")]
    RoleUnavailable { role: String, status: String },
    #[error(
        "no free seat for the role {role}: raise purchased_count with POST /subscriptions, or retire an agent of this role"
    )]
    SeatsExhausted { role: String },
    #[error("{allocated} agents of this role are hired; retire some before lowering purchased_count below that")]
    SeatsInUse { allocated: i32 },
    #[error("the agent is retired; hire a new one")]
    AgentRetired,
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for TenancyError {
    fn from(error: sqlx::Error) -> Self {
        match db::violated_constraint(&error) {
            Some("users_email_taken") => Self::EmailTaken,
            Some("teams_name_taken") => Self::TeamNameTaken,
            Some("invites_email_pending") => Self::InvitePending,
            Some(
                "agent_instances_team_unknown"
                | "users_team_unknown"
                | "invites_team_unknown"
                | "api_keys_team_unknown",
            ) => Self::TeamUnknown,
            _ => Self::Database(error),
        }
    }
}
