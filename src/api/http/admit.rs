//! Counts the requests of those who signed in, once their token has been checked.

use poem::{Request, http::Method};

use super::{problem::Problem, state::ApiState};
use crate::{
    base::TenantScope,
    limits::{Access, Refused},
};

/// Counts a request.
///
/// # Errors
/// 429: the caller or the agency has none left.
pub async fn request(request: &Request, state: &ApiState, scope: &TenantScope) -> Result<(), Problem> {
    let access = if [Method::GET, Method::HEAD].contains(request.method()) { Access::Read } else { Access::Write };
    Ok(state.limiter.admit(scope.agency_id().0, scope.actor().id(), access, 1).await?)
}

/// Counts what a request holds beyond one: the items of a batch.
///
/// # Errors
/// 429: the caller or the agency has not so many left.
pub async fn more(state: &ApiState, scope: &TenantScope, more: usize) -> Result<(), Problem> {
    let Some(more) = u32::try_from(more).ok().filter(|more| *more > 0) else { return Ok(()) };
    Ok(state.limiter.admit(scope.agency_id().0, scope.actor().id(), Access::Write, more).await?)
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let seconds = refused.retry_after.as_secs();
        let detail = format!("Too many requests in the last minute; try again in {seconds} s.");
        Self::too_many_requests("rate_limited", detail, seconds)
    }
}
