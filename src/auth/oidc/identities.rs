//! A person's accounts at providers: linked, listed, and unlinked.

pub use super::identity::LinkedIdentity;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::{codes, error::OidcError, identity::Identity};
use crate::{
    auth::Session,
    base::{AgencyId, IdentityId, Page, Paged, UserId, ids::uuid_at},
    db,
    tenancy::Email,
};

/// The accounts of the session's user, newest first.
///
/// # Errors
/// The database is unavailable.
pub async fn list(session: &Session, pool: &PgPool, page: Page) -> Result<Paged<LinkedIdentity>, sqlx::Error> {
    let mut tx = db::tenant(pool, session.scope().agency_id()).await?;
    let found = identities(&mut tx, session.user_id(), page).await?;
    tx.commit().await?;
    Ok(page.cut(found, |identity| identity.id.0))
}

/// Takes an account away from the session's user: it signs nobody in any more, nor does a
/// code that is on its way. Whether the user had it. Sessions go on: they are ended by themselves.
///
/// # Errors
/// [`OidcError::LastWayIn`]; the database is unavailable.
pub async fn unlink(session: &Session, pool: &PgPool, id: IdentityId) -> Result<bool, OidcError> {
    let user = session.user_id();
    let mut tx = db::tenant(pool, session.scope().agency_id()).await?;
    // Of two that are unlinked at once the second waits, and sees that it is the last.
    let has_password = hold_user(&mut tx, user).await?;
    if !remove_identity(&mut tx, user, id).await? {
        return Ok(false);
    }
    if !has_password && !has_identity(&mut tx, user).await? {
        return Err(OidcError::LastWayIn);
    }
    codes::drop_codes(&mut tx, user).await?;
    tx.commit().await?;
    Ok(true)
}

/// The user whom the identity is linked to. Looks in all agencies: it alone says who comes.
pub(super) async fn user_of(pool: &PgPool, who: &Identity) -> Result<Option<(AgencyId, UserId)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select agency_id as "agency_id!: AgencyId", user_id as "user_id!: UserId" from app.user_by_oidc($1, $2)"#,
        who.issuer,
        who.subject,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.agency_id, row.user_id)))
}

/// Whether the agency's user with this address was made by accepting an invite to it.
pub(super) async fn came_by_invite(connection: &mut PgConnection, email: &Email) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(select from invites where email = $1 and accepted_at is not null) as "came!""#,
        email.as_str(),
    )
    .fetch_one(connection)
    .await
}

pub(super) async fn add_identity(
    connection: &mut PgConnection,
    agency: AgencyId,
    user: UserId,
    who: &Identity,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into oidc_identities (id, agency_id, user_id, issuer, subject) values ($1, $2, $3, $4, $5)",
        uuid_at(now),
        agency.0,
        user.0,
        who.issuer,
        who.subject,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The user's identities, newest first, and one more than the page has.
async fn identities(
    connection: &mut PgConnection,
    user: UserId,
    page: Page,
) -> Result<Vec<LinkedIdentity>, sqlx::Error> {
    sqlx::query_as!(
        LinkedIdentity,
        r#"select id as "id: IdentityId", issuer, subject, created_at from oidc_identities
            where user_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3"#,
        user.0,
        page.before,
        page.fetch(),
    )
    .fetch_all(connection)
    .await
}

/// Holds the user's row to the end of the transaction. Whether there is a password.
async fn hold_user(connection: &mut PgConnection, user: UserId) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"select password_hash is not null as "has!" from users where id = $1 for no key update"#,
        user.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.unwrap_or(false))
}

/// Whether the user had it.
async fn remove_identity(connection: &mut PgConnection, user: UserId, id: IdentityId) -> Result<bool, sqlx::Error> {
    let removed = sqlx::query!("delete from oidc_identities where id = $1 and user_id = $2", id.0, user.0)
        .execute(connection)
        .await?;
    Ok(removed.rows_affected() == 1)
}

async fn has_identity(connection: &mut PgConnection, user: UserId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select exists(select from oidc_identities where user_id = $1) as "has!""#, user.0)
        .fetch_one(connection)
        .await
}
