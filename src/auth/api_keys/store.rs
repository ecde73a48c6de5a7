//! SQL for API keys.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{ApiKey, MadeApiKey, NewApiKey, generate};
use crate::{
    auth::{AuthError, Session},
    base::{ApiKeyId, Page, Paged, TeamId, TenantScope, UserId},
    db,
    tenancy::TenancyError,
};

/// Only a person makes keys: a key that could would make itself one with more scopes.
///
/// # Errors
/// There is no such team; the database is away.
pub async fn create(
    session: &Session,
    pool: &PgPool,
    new: &NewApiKey,
    now: DateTime<Utc>,
) -> Result<MadeApiKey, AuthError> {
    let id = ApiKeyId::at(now);
    let (secret, hash) = generate(id)?;
    let scopes: Vec<String> = new.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    let agency = session.scope().agency_id();
    let mut tx = db::tenant(pool, agency).await?;
    let key = sqlx::query_as!(
        ApiKey,
        r#"insert into api_keys (id, agency_id, team_id, name, secret_hash, scopes, created_by, expires_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8)
           returning id as "id: ApiKeyId", name, team_id as "team_id: TeamId", scopes, created_by as "created_by: UserId",
                     created_at, expires_at, last_used_at"#,
        id.0,
        agency.0,
        new.team_id.map(|id| id.0),
        new.name.as_str(),
        &hash,
        &scopes,
        session.user_id().0,
        new.expires_at,
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(TenancyError::from)?;
    tx.commit().await?;
    Ok(MadeApiKey { key, secret })
}

/// The agency's keys that are not revoked, newest first; the expired ones too.
pub async fn list(scope: &TenantScope, pool: &PgPool, page: Page) -> Result<Paged<ApiKey>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let keys = sqlx::query_as!(
        ApiKey,
        r#"select id as "id: ApiKeyId", name, team_id as "team_id: TeamId", scopes, created_by as "created_by: UserId",
                  created_at, expires_at, last_used_at
             from api_keys where revoked_at is null and ($1::uuid is null or id < $1)
            order by id desc limit $2"#,
        page.before,
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(keys, |key| key.id.0))
}

/// Whether there was such a key, not yet revoked.
pub async fn revoke(scope: &TenantScope, pool: &PgPool, id: ApiKeyId, now: DateTime<Utc>) -> Result<bool, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let revoked = sqlx::query!("update api_keys set revoked_at = $2 where id = $1 and revoked_at is null", id.0, now)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(revoked.rows_affected() == 1)
}
