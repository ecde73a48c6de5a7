//! A person's accounts at providers: listed, and unlinked.

use sqlx::PgPool;

pub use super::identity::LinkedIdentity;
use super::{error::OidcError, store};
use crate::{
    auth::Session,
    base::{IdentityId, Page, Paged},
    db,
};

/// The accounts of the session's user, newest first.
///
/// # Errors
/// The database is away.
pub async fn list(session: &Session, pool: &PgPool, page: Page) -> Result<Paged<LinkedIdentity>, sqlx::Error> {
    let mut tx = db::tenant(pool, session.scope().agency_id()).await?;
    let found = store::identities(&mut tx, session.user_id(), page).await?;
    tx.commit().await?;
    Ok(page.cut(found, |identity| identity.id.0))
}

/// Takes an account away from the session's user: it signs nobody in any more, nor does a
/// code that is on its way. Whether the user had it. Sessions go on: they are ended by themselves.
///
/// # Errors
/// [`OidcError::LastWayIn`]; the database is away.
pub async fn unlink(session: &Session, pool: &PgPool, id: IdentityId) -> Result<bool, OidcError> {
    let user = session.user_id();
    let mut tx = db::tenant(pool, session.scope().agency_id()).await?;
    // Of two that are unlinked at once the second waits, and sees that it is the last.
    let has_password = store::hold_user(&mut tx, user).await?;
    if !store::remove_identity(&mut tx, user, id).await? {
        return Ok(false);
    }
    if !has_password && !store::has_identity(&mut tx, user).await? {
        return Err(OidcError::LastWayIn);
    }
    store::drop_codes(&mut tx, user).await?;
    tx.commit().await?;
    Ok(true)
}
