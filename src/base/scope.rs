//! The typed proof of who asks, or for whom a task runs: the first argument of every store function.

use uuid::Uuid;

use super::{AgencyId, ApiKeyId, ScheduleId, TeamId, UserId};

/// What a person or an API key may do in the agency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Role {
    AgencyAdmin,
    TeamMember,
}

/// Whose credential was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    Person(UserId),
    Key(ApiKeyId),
    /// An admin made it; the worker that fires it has no credential.
    Schedule(ScheduleId),
}

impl Actor {
    /// Whichever it is: no two have the same.
    #[must_use]
    pub fn id(self) -> Uuid {
        match self {
            Self::Person(id) => id.0,
            Self::Key(id) => id.0,
            Self::Schedule(id) => id.0,
        }
    }
}

/// A signed-in person or an API key in an agency. Its fields are private so that
/// holding one means that the auth layer checked a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantScope {
    agency_id: AgencyId,
    actor: Actor,
    role: Role,
    team_id: Option<TeamId>,
}

impl TenantScope {
    /// For the auth layer alone, after it checked the credential against the
    /// database; the architecture test refuses any other caller.
    #[must_use]
    pub fn verified(agency_id: AgencyId, actor: Actor, role: Role, team_id: Option<TeamId>) -> Self {
        Self { agency_id, actor, role, team_id }
    }

    /// For the firing of schedules alone, which has both from the schedule's row; the
    /// architecture test refuses any other caller. Admins make schedules, for any team.
    #[must_use]
    pub fn scheduled(agency_id: AgencyId, schedule: ScheduleId) -> Self {
        Self { agency_id, actor: Actor::Schedule(schedule), role: Role::AgencyAdmin, team_id: None }
    }

    #[must_use]
    pub fn agency_id(&self) -> AgencyId {
        self.agency_id
    }

    #[must_use]
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// The person who asks; `None` for an API key or a schedule.
    #[must_use]
    pub fn user_id(&self) -> Option<UserId> {
        match self.actor {
            Actor::Person(id) => Some(id),
            Actor::Key(_) | Actor::Schedule(_) => None,
        }
    }

    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The team to which the person or the key belongs. An admin may have one too, and still sees all.
    #[must_use]
    pub fn team_id(&self) -> Option<TeamId> {
        self.team_id
    }

    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.role == Role::AgencyAdmin
    }

    /// Whether rows of the team are shown. For a list use
    /// `($admin or team_id = $team)` with [`Self::is_admin`] and [`Self::team_id`].
    #[must_use]
    pub fn sees_team(&self, team_id: TeamId) -> bool {
        self.is_admin() || self.team_id == Some(team_id)
    }
}

/// A claimed task's agency and team: what its run may read. Its fields are private
/// so that holding one means that the database handed the task over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunScope {
    agency_id: AgencyId,
    team_id: TeamId,
}

impl RunScope {
    /// For the claim alone, which has both from the task's row; the architecture
    /// test refuses any other caller.
    #[must_use]
    pub fn claimed(agency_id: AgencyId, team_id: TeamId) -> Self {
        Self { agency_id, team_id }
    }

    #[must_use]
    pub fn agency_id(&self) -> AgencyId {
        self.agency_id
    }

    #[must_use]
    pub fn team_id(&self) -> TeamId {
        self.team_id
    }
}
