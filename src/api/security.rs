//! Who may call: the role check is the type of a handler's argument.

use poem::Request;
use poem_openapi::{SecurityScheme, auth::Bearer};

use super::{ApiState, gate, problem::Problem};
use crate::{auth::Session, tenancy::TenantScope};

/// An access token of POST /auth/login. As an argument: any signed-in person.
#[derive(SecurityScheme)]
#[oai(ty = "bearer", rename = "bearer", bearer_format = "JWT", checker = "member")]
pub struct Member(Session);

/// An access token of POST /auth/login. As an argument: an admin; others get 403.
#[derive(SecurityScheme)]
#[oai(ty = "bearer", rename = "bearer", bearer_format = "JWT", checker = "admin")]
pub struct Admin(Session);

impl Member {
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.0.scope
    }

    #[must_use]
    pub fn session(&self) -> &Session {
        &self.0
    }
}

impl Admin {
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.0.scope
    }
}

async fn member(request: &Request, bearer: Bearer) -> poem::Result<Session> {
    let state: &ApiState =
        request.data().ok_or_else(|| Problem::internal(&"the API's state is not attached to its routes"))?;
    let session = state.auth.authenticate(&bearer.token).await.map_err(Problem::from)?;
    gate::admit(request, state, &session.scope).await?;
    Ok(session)
}

async fn admin(request: &Request, bearer: Bearer) -> poem::Result<Session> {
    let session = member(request, bearer).await?;
    if !session.scope.is_admin() {
        return Err(Problem::forbidden("role_too_low", "Only an admin of the agency may do this.").into());
    }
    Ok(session)
}
