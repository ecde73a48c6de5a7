//! SQL for identities at providers, sign-ins that came back, and one-time codes.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::identity::{Identity, LinkedIdentity};
use crate::{
    base::{AgencyId, IdentityId, Page, UserId, ids::uuid_at},
    tenancy::Email,
};

/// Whether this call was the first with this state. Drops some that are past.
pub async fn claim_flow(
    pool: &PgPool,
    state_hash: &[u8],
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let claimed = sqlx::query!(
        "with past as (
           delete from oidc_flows where state_hash in (
             select state_hash from oidc_flows where expires_at <= $2 and state_hash <> $1
              order by expires_at limit 10 for update skip locked)
         )
         insert into oidc_flows (state_hash, expires_at) values ($1, $3) on conflict do nothing",
        state_hash,
        now,
        expires_at,
    )
    .execute(pool)
    .await?;
    Ok(claimed.rows_affected() == 1)
}

/// The user whom the identity is linked to. Looks in all agencies: it alone says who comes.
pub async fn user_of(pool: &PgPool, who: &Identity) -> Result<Option<(AgencyId, UserId)>, sqlx::Error> {
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
pub async fn came_by_invite(connection: &mut PgConnection, email: &Email) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(select from invites where email = $1 and accepted_at is not null) as "came!""#,
        email.as_str(),
    )
    .fetch_one(connection)
    .await
}

pub async fn add_identity(
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

/// Keeps a code's hash; the agency's codes that are past go.
pub async fn add_code(
    connection: &mut PgConnection,
    agency: AgencyId,
    user: UserId,
    code_hash: &[u8],
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with past as (delete from oidc_codes where expires_at <= $5)
         insert into oidc_codes (id, agency_id, user_id, code_hash, expires_at) values ($1, $2, $3, $4, $6)",
        uuid_at(now),
        agency.0,
        user.0,
        code_hash,
        now,
        expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub struct Code {
    pub id: Uuid,
    pub agency_id: AgencyId,
    pub user_id: UserId,
}

/// Looks in all agencies: the code alone says who comes. Whether it is good, [`use_code`] tells.
pub async fn code(pool: &PgPool, code_hash: &[u8]) -> Result<Option<Code>, sqlx::Error> {
    sqlx::query_as!(
        Code,
        r#"select id as "id!", agency_id as "agency_id!: AgencyId", user_id as "user_id!: UserId"
             from app.oidc_code_by_hash($1)"#,
        code_hash,
    )
    .fetch_optional(pool)
    .await
}

/// Whether this call was the one to use the code, in its time.
pub async fn use_code(connection: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<bool, sqlx::Error> {
    let used = sqlx::query!(
        "update oidc_codes set used_at = $2 where id = $1 and used_at is null and expires_at > $2",
        id,
        now,
    )
    .execute(connection)
    .await?;
    Ok(used.rows_affected() == 1)
}

/// The user's identities, newest first, and one more than the page has.
pub async fn identities(
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
pub async fn hold_user(connection: &mut PgConnection, user: UserId) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"select password_hash is not null as "has!" from users where id = $1 for no key update"#,
        user.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.unwrap_or(false))
}

/// Whether the user had it.
pub async fn remove_identity(connection: &mut PgConnection, user: UserId, id: IdentityId) -> Result<bool, sqlx::Error> {
    let removed = sqlx::query!("delete from oidc_identities where id = $1 and user_id = $2", id.0, user.0)
        .execute(connection)
        .await?;
    Ok(removed.rows_affected() == 1)
}

pub async fn has_identity(connection: &mut PgConnection, user: UserId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select exists(select from oidc_identities where user_id = $1) as "has!""#, user.0)
        .fetch_one(connection)
        .await
}

pub async fn drop_codes(connection: &mut PgConnection, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from oidc_codes where user_id = $1", user.0).execute(connection).await?;
    Ok(())
}
