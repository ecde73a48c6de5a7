//! (module under construction)
use crate::base::{AgencyId, TeamId, UserId};
#[derive(Debug, Clone)]
pub struct TenantScope { agency: AgencyId, team: Option<TeamId>, user: UserId }
impl TenantScope {
    pub fn agency_id(&self) -> AgencyId { self.agency }
    pub fn user_id(&self) -> UserId { self.user }
    pub fn visible_team(&self) -> Option<TeamId> { self.team }
}
