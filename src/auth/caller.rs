//! Who asks, before and after a credential was checked.

use std::net::IpAddr;

use super::{Scope, Scopes};
use crate::base::{Actor, AgencyId, ApiKeyId, Role, SessionId, TeamId, TenantScope, UserId};

/// Who is at the other end of a sign-in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Client<'a> {
    /// As it calls itself; kept with the session.
    pub user_agent: Option<&'a str>,
    /// Where it comes from, as far as it can be told; its share is by this.
    pub address: Option<IpAddr>,
}

/// A person with an access token of one of their sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    scope: TenantScope,
    user_id: UserId,
    id: SessionId,
}

impl Session {
    pub(super) fn verified(agency: AgencyId, user: UserId, id: SessionId, role: Role, team: Option<TeamId>) -> Self {
        Self { scope: TenantScope::verified(agency, Actor::Person(user), role, team), user_id: user, id }
    }

    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.scope
    }

    #[must_use]
    pub fn user_id(&self) -> UserId {
        self.user_id
    }

    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }
}

/// Whoever sent a request with a good credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    Person(Session),
    /// A machine: an admin without a team, else a member of its team, within its scopes.
    Key {
        scope: TenantScope,
        scopes: Scopes,
    },
}

impl Caller {
    pub(super) fn key(agency: AgencyId, id: ApiKeyId, team: Option<TeamId>, scopes: Scopes) -> Self {
        let role = if team.is_some() { Role::TeamMember } else { Role::AgencyAdmin };
        Self::Key { scope: TenantScope::verified(agency, Actor::Key(id), role, team), scopes }
    }

    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        match self {
            Self::Person(session) => session.scope(),
            Self::Key { scope, .. } => scope,
        }
    }

    /// Whether the credential may be used for this at all; the role decides beside it.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        match self {
            Self::Person(_) => true,
            Self::Key { scopes, .. } => scopes.has(scope),
        }
    }

    /// `None` for an API key.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::Person(session) => Some(session),
            Self::Key { .. } => None,
        }
    }
}
