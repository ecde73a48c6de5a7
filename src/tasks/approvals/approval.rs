//! A question to people, and who may answer it.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::base::{Role, TenantScope};

/// A question of a task that waits.
#[derive(Debug, Clone)]
pub struct Approval {
    pub id: Uuid,
    pub team_id: Uuid,
    pub task_id: Uuid,
    pub node_id: String,
    pub occurrence: i32,
    /// `approval` or `lost_call`.
    pub kind: String,
    pub message: String,
    pub form: Option<Value>,
    pub approvers: Vec<String>,
    /// `open`, `approved`, `rejected`, `expired` or `closed`.
    pub status: String,
    pub payload: Option<Value>,
    pub decided_by: Option<Uuid>,
    pub decided_by_key: Option<Uuid>,
    pub decided_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// Who asks, as approvers are named.
#[derive(Debug, Clone)]
pub struct Asker {
    pub(super) scope: TenantScope,
    /// In small letters; none for an API key.
    pub(super) email: Option<String>,
}

impl Asker {
    /// Whether the one who asks is among the approvers.
    #[must_use]
    pub fn may_decide(&self, approvers: &[String]) -> bool {
        let role = match self.scope.role() {
            Role::AgencyAdmin => "agency_admin",
            Role::TeamMember => "team_member",
        };
        let is_named = |approver: &String| {
            approver == role
                || self.email.as_ref() == Some(approver)
                || self.scope.user_id().is_some_and(|id| approver.parse() == Ok(id.0))
        };
        approvers.is_empty() || approvers.iter().any(is_named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Actor, AgencyId, TeamId, UserId};

    #[test]
    fn who_is_named_may_decide_and_nobody_else() {
        let (user, agency) = (UserId(Uuid::from_u128(7)), AgencyId(Uuid::nil()));
        let scope = TenantScope::verified(agency, Actor::Person(user), Role::TeamMember, Some(TeamId(Uuid::nil())));
        let asker = Asker { scope, email: Some("mia@acme.example".into()) };
        let may = |approvers: &[&str]| asker.may_decide(&approvers.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(may(&[]) && may(&["team_member"]) && may(&["x@acme.example", "mia@acme.example"]));
        assert!(may(&[&user.to_string()]));
        assert!(!may(&["agency_admin"]) && !may(&["x@acme.example"]) && !may(&[&Uuid::from_u128(8).to_string()]));
    }
}
