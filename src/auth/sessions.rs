//! A person's sign-ins: listed, and ended one by one.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::{
    base::{Page, Paged, SessionId, TenantScope, UserId},
    db,
};

/// A sign-in that is still in force.
#[derive(Debug, Clone)]
pub struct SignIn {
    pub id: SessionId,
    pub user_agent: Option<String>,
    pub created_at: DateTime<Utc>,
    /// When its tokens were last renewed.
    pub renewed_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// The user's sessions in force, newest first; `None` if the agency has no such user.
///
/// # Errors
/// The database is unavailable.
pub async fn list(
    scope: &TenantScope,
    pool: &PgPool,
    user: UserId,
    page: Page,
    now: DateTime<Utc>,
) -> Result<Option<Paged<SignIn>>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let known = sqlx::query_scalar!(r#"select true as "known!" from users where id = $1"#, user.0)
        .fetch_optional(&mut *tx)
        .await?;
    if known.is_none() {
        return Ok(None);
    }
    let sessions = sqlx::query_as!(
        SignIn,
        r#"select s.id as "id: SessionId", s.user_agent, s.created_at, s.expires_at,
                  coalesce(t.renewed_at, s.created_at) as "renewed_at!"
             from sessions s,
                  lateral (select max(created_at) as renewed_at from refresh_tokens
                            where agency_id = s.agency_id and session_id = s.id) t
            where s.user_id = $1 and s.revoked_at is null and s.expires_at > $2 and ($3::uuid is null or s.id < $3)
            order by s.id desc limit $4"#,
        user.0,
        now,
        page.before,
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(page.cut(sessions, |session| session.id.0)))
}

/// Ends a session and with it the family of its refresh tokens. Whether the user
/// had such a session in force.
///
/// # Errors
/// The database is unavailable.
pub async fn end(
    scope: &TenantScope,
    pool: &PgPool,
    user: UserId,
    id: SessionId,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let ended = sqlx::query!(
        "update sessions set revoked_at = $3
          where id = $1 and user_id = $2 and revoked_at is null and expires_at > $3",
        id.0,
        user.0,
        now,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(ended.rows_affected() == 1)
}
