//! SQL for sessions, refresh tokens, password hashes and failed sign-ins.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::{
    base::{AgencyId, SessionId, UserId, ids::uuid_at},
    db,
};

pub struct Credentials {
    pub user_id: UserId,
    pub agency_id: AgencyId,
    /// `None` for who signs in through a provider alone.
    pub password_hash: Option<String>,
    pub active: bool,
}

/// Looks in all agencies: sign-in knows no tenant yet.
pub async fn credentials(pool: &PgPool, email: &str) -> Result<Option<Credentials>, sqlx::Error> {
    sqlx::query_as!(
        Credentials,
        r#"select id as "user_id!: UserId", agency_id as "agency_id!: AgencyId", password_hash,
                  status = 'active' as "active!"
             from app.user_by_email($1)"#,
        email,
    )
    .fetch_optional(pool)
    .await
}

/// Notes a sign-in, with a new hash if the old one had parameters of the past.
pub async fn note_sign_in(
    connection: &mut PgConnection,
    user: UserId,
    new_hash: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update users set last_login_at = $2, password_hash = coalesce($3, password_hash) where id = $1",
        user.0,
        now,
        new_hash,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Sets a password if the hash is still the one that was verified, and ends all
/// sessions but the one that asks. Whether it was.
pub async fn change_password(
    connection: &mut PgConnection,
    user: UserId,
    keep: SessionId,
    hashes: (&str, &str),
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let (old, new) = hashes;
    let changed =
        sqlx::query!("update users set password_hash = $3 where id = $1 and password_hash = $2", user.0, old, new)
            .execute(&mut *connection)
            .await?;
    sqlx::query!(
        "update sessions set revoked_at = $3 where user_id = $1 and id <> $2 and revoked_at is null",
        user.0,
        keep.0,
        now,
    )
    .execute(connection)
    .await?;
    Ok(changed.rows_affected() == 1)
}

pub struct NewSession<'a> {
    pub id: SessionId,
    pub agency_id: AgencyId,
    pub user_id: UserId,
    pub user_agent: Option<&'a str>,
    pub expires_at: DateTime<Utc>,
}

pub async fn open_session(connection: &mut PgConnection, new: &NewSession<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into sessions (id, agency_id, user_id, user_agent, expires_at) values ($1, $2, $3, $4, $5)",
        new.id.0,
        new.agency_id.0,
        new.user_id.0,
        new.user_agent,
        new.expires_at,
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

pub async fn blocked_until(pool: &PgPool, key: &[u8]) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let until = sqlx::query_scalar!("select blocked_until from login_throttle where key = $1", key)
        .fetch_optional(pool)
        .await?;
    Ok(until.flatten())
}

/// Counts a failure: five are free, the next costs a second, each further one
/// twice as much, up to 15 minutes. A day without failures starts the count anew.
pub async fn count_failure(pool: &PgPool, key: &[u8], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with old as (
           delete from login_throttle where key in (
             select key from login_throttle where updated_at < $2::timestamptz - interval '1 day' and key <> $1
              order by updated_at limit 10 for update skip locked)
         )
         insert into login_throttle as t (key, failures, updated_at) values ($1, 1, $2)
         on conflict (key) do update set
           failures = case when t.updated_at < $2 - interval '1 day' then 1 else least(t.failures + 1, 1000) end,
           blocked_until = case when t.updated_at >= $2 - interval '1 day' and t.failures >= 5
             then $2 + make_interval(secs => least(900, power(2, least(t.failures - 5, 10)))) end,
           updated_at = $2",
        key,
        now,
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub async fn forget_failures(pool: &PgPool, key: &[u8]) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from login_throttle where key = $1", key).execute(pool).await?;
    Ok(())
}
