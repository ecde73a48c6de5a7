//! What a password signs in with: addresses and hashes, kept and changed.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::base::{AgencyId, SessionId, UserId};

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
