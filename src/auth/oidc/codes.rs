//! One-time codes: kept by their hash, used once.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::base::{AgencyId, UserId, ids::uuid_at};

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

pub async fn drop_codes(connection: &mut PgConnection, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from oidc_codes where user_id = $1", user.0).execute(connection).await?;
    Ok(())
}
