//! Webhooks as people have them: made with a secret, read, changed, and given a new one.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::{Change, Description, Endpoint, NewWebhook, Secret, Subscriptions, Webhook, WebhookError};
use crate::{
    base::{Page, Paged, TenantScope, WebhookId},
    db,
    locker::{Locker, LockerError, SecretValue},
};

/// How long the secret before a rotation signs as well.
pub const OVERLAP_HOURS: i32 = 24;

/// Makes a webhook with a new secret, which nothing gives again.
///
/// # Errors
/// The team is not the agency's; there are too many; the database is unavailable.
pub async fn create(
    scope: &TenantScope,
    pool: &PgPool,
    locker: &Locker,
    new: &NewWebhook,
    now: DateTime<Utc>,
) -> Result<(Webhook, Secret), WebhookError> {
    let (id, (secret, value)) = (WebhookId::at(now), generate()?);
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let webhook = insert(&mut tx, scope, id, new).await?.ok_or(WebhookError::TooMany)?;
    locker.keep_signing_secret(&mut tx, scope.agency_id(), (id, 1), &value, now).await?;
    tx.commit().await?;
    Ok((webhook, secret))
}

/// Gives the webhook a new secret; deliveries are signed with both for [`OVERLAP_HOURS`].
/// `None` if there is no such webhook.
///
/// # Errors
/// The database is unavailable.
pub async fn rotate_secret(
    scope: &TenantScope,
    pool: &PgPool,
    locker: &Locker,
    id: WebhookId,
    now: DateTime<Utc>,
) -> Result<Option<(Webhook, Secret)>, WebhookError> {
    let (secret, value) = generate()?;
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let Some((generation, webhook)) = next_secret(&mut tx, id, OVERLAP_HOURS).await? else { return Ok(None) };
    locker.keep_signing_secret(&mut tx, scope.agency_id(), (id, generation), &value, now).await?;
    tx.commit().await?;
    Ok(Some((webhook, secret)))
}

fn generate() -> Result<(Secret, SecretValue), WebhookError> {
    let secret = Secret::generate().map_err(LockerError::from)?;
    let value = SecretValue::parse(secret.expose()).map_err(|_| LockerError::Tampered)?;
    Ok((secret, value))
}

/// Every event of the agency is held against each of them.
const MAX_WEBHOOKS: i64 = 50;

/// Newest first.
///
/// # Errors
/// The database is unavailable.
pub async fn list(scope: &TenantScope, pool: &PgPool, page: Page) -> Result<Paged<Webhook>, WebhookError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query_as!(
        Webhook,
        r#"select id as "id: _", team_id as "team_id: _", url, description, events, enabled, disabled_reason,
                  failing_since, previous_secret_expires_at, created_at, updated_at
             from webhooks where $1::uuid is null or id < $1 order by id desc limit $2"#,
        page.before,
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(rows, |webhook| webhook.id.0))
}

/// # Errors
/// The database is unavailable.
pub async fn get(scope: &TenantScope, pool: &PgPool, id: WebhookId) -> Result<Option<Webhook>, WebhookError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let webhook = sqlx::query_as!(
        Webhook,
        r#"select id as "id: _", team_id as "team_id: _", url, description, events, enabled, disabled_reason,
                  failing_since, previous_secret_expires_at, created_at, updated_at
             from webhooks where id = $1"#,
        id.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(webhook)
}

/// `None` if the agency has too many.
pub(super) async fn insert(
    tx: &mut PgConnection,
    scope: &TenantScope,
    id: WebhookId,
    new: &NewWebhook,
) -> Result<Option<Webhook>, WebhookError> {
    let webhook = sqlx::query_as!(
        Webhook,
        r#"insert into webhooks (id, agency_id, team_id, url, description, events, enabled)
           select $1, $2, $3, $4, $5, $6, $7 where (select count(*) from webhooks) < $8
           returning id as "id: _", team_id as "team_id: _", url, description, events, enabled, disabled_reason,
                     failing_since, previous_secret_expires_at, created_at, updated_at"#,
        id.0,
        scope.agency_id().0,
        new.team_id.map(|team| team.0),
        new.endpoint.as_str(),
        new.description.as_ref().map(Description::as_str),
        &new.events.names(),
        new.enabled,
        MAX_WEBHOOKS,
    )
    .fetch_optional(tx)
    .await?;
    Ok(webhook)
}

/// Changes a webhook. One that is switched on begins anew: why it was off is forgotten.
///
/// # Errors
/// The database is unavailable.
pub async fn change(
    scope: &TenantScope,
    pool: &PgPool,
    id: WebhookId,
    change: &Change,
) -> Result<Option<Webhook>, WebhookError> {
    let events = change.events.as_ref().map(Subscriptions::names);
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let webhook = sqlx::query_as!(
        Webhook,
        r#"update webhooks
              set url = coalesce($2, url), events = coalesce($3, events),
                  description = case when $4 then $5 else description end,
                  enabled = coalesce($6, enabled),
                  disabled_reason = case when $6 is null then disabled_reason end,
                  failing_since = case when $6 or $2 is not null then null else failing_since end
            where id = $1
           returning id as "id: _", team_id as "team_id: _", url, description, events, enabled, disabled_reason,
                     failing_since, previous_secret_expires_at, created_at, updated_at"#,
        id.0,
        change.endpoint.as_ref().map(Endpoint::as_str),
        events.as_deref(),
        change.description.is_some(),
        change.description.as_ref().and_then(Option::as_ref).map(Description::as_str),
        change.enabled,
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(webhook)
}

/// The next generation of the secret begins; the one before goes on for some hours.
/// Gives the generation.
pub(super) async fn next_secret(
    tx: &mut PgConnection,
    id: WebhookId,
    overlap_hours: i32,
) -> Result<Option<(i32, Webhook)>, WebhookError> {
    let row = sqlx::query!(
        r#"update webhooks
              set secret_version = secret_version + 1,
                  previous_secret_expires_at = clock_timestamp() + make_interval(hours => $2)
            where id = $1 returning secret_version"#,
        id.0,
        overlap_hours,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let webhook = sqlx::query_as!(
        Webhook,
        r#"select id as "id: _", team_id as "team_id: _", url, description, events, enabled, disabled_reason,
                  failing_since, previous_secret_expires_at, created_at, updated_at
             from webhooks where id = $1"#,
        id.0,
    )
    .fetch_one(tx)
    .await?;
    Ok(Some((row.secret_version, webhook)))
}

/// Whether there was such a webhook. Its secrets go with it, and what is still to be sent.
///
/// # Errors
/// The database is unavailable.
pub async fn delete(scope: &TenantScope, pool: &PgPool, id: WebhookId) -> Result<bool, WebhookError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let deleted = sqlx::query!("delete from webhooks where id = $1", id.0).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(deleted.rows_affected() == 1)
}
