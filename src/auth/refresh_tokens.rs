//! Sessions and their refresh tokens: opened, used and ended.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::{
    base::{AgencyId, SessionId, UserId, ids::uuid_at},
    db,
};

pub struct NewSession<'a> {
    pub id: SessionId,
    pub agency_id: AgencyId,
    pub user_id: UserId,
    pub user_agent: Option<&'a str>,
    pub expires_at: DateTime<Utc>,
}

/// Sessions of one person that are in force at a time.
pub const MAX_SESSIONS: i64 = 50;

/// Opens a session, and ends the oldest where a person has more than [`MAX_SESSIONS`] of them.
pub async fn open_session(
    connection: &mut PgConnection,
    new: &NewSession<'_>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    // Of two that begin at once the second waits, and sees the first.
    sqlx::query!("select id from users where id = $1 for no key update", new.user_id.0)
        .fetch_optional(&mut *connection)
        .await?;
    sqlx::query!(
        "insert into sessions (id, agency_id, user_id, user_agent, expires_at) values ($1, $2, $3, $4, $5)",
        new.id.0,
        new.agency_id.0,
        new.user_id.0,
        new.user_agent,
        new.expires_at,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update sessions set revoked_at = $3
          where id in (select id from sessions
                        where agency_id = $5 and user_id = $2 and id <> $1 and revoked_at is null and expires_at > $3
                        order by id desc offset $4)",
        new.id.0,
        new.user_id.0,
        now,
        MAX_SESSIONS - 1,
        new.agency_id.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds a token to the session's family.
pub async fn add_refresh_token(
    connection: &mut PgConnection,
    agency: AgencyId,
    session: SessionId,
    hash: &[u8],
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into refresh_tokens (id, agency_id, session_id, token_hash, expires_at) values ($1, $2, $3, $4, $5)",
        uuid_at(now),
        agency.0,
        session.0,
        hash,
        expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub struct RefreshToken {
    pub id: uuid::Uuid,
    pub agency_id: AgencyId,
    pub session_id: SessionId,
    pub user_id: UserId,
    pub used: bool,
    pub expires_at: DateTime<Utc>,
    pub session_expires_at: DateTime<Utc>,
    pub session_revoked: bool,
}

/// Looks in all agencies: a refresh token alone says who asks.
pub async fn refresh_token(pool: &PgPool, hash: &[u8]) -> Result<Option<RefreshToken>, sqlx::Error> {
    sqlx::query_as!(
        RefreshToken,
        r#"select id as "id!", agency_id as "agency_id!: AgencyId", session_id as "session_id!: SessionId",
                  user_id as "user_id!: UserId", used_at is not null as "used!", expires_at as "expires_at!",
                  session_expires_at as "session_expires_at!", session_revoked_at is not null as "session_revoked!"
             from app.refresh_token_by_hash($1)"#,
        hash,
    )
    .fetch_optional(pool)
    .await
}

/// Whether this call was the one to use the token.
pub async fn use_refresh_token(
    connection: &mut PgConnection,
    id: uuid::Uuid,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let used = sqlx::query!("update refresh_tokens set used_at = $2 where id = $1 and used_at is null", id, now)
        .execute(connection)
        .await?;
    Ok(used.rows_affected() == 1)
}

/// Ends a session and with it the family of its refresh tokens.
pub async fn end_session(
    pool: &PgPool,
    agency: AgencyId,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let mut tx = db::tenant(pool, agency).await?;
    sqlx::query!("update sessions set revoked_at = $2 where id = $1 and revoked_at is null", session.0, now)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}
