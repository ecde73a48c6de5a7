//! Making a webhook and rotating its secret: the row and the sealed secret in one transaction.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{NewWebhook, Secret, Webhook, WebhookError, store};
use crate::{
    base::{TenantScope, WebhookId},
    db,
    locker::{Locker, LockerError, SecretValue},
};

/// How long the secret before a rotation signs as well.
pub const OVERLAP_HOURS: i32 = 24;

/// Makes a webhook with a new secret, which nothing gives again.
///
/// # Errors
/// The team is not the agency's; there are too many; the database is away.
pub async fn create(
    scope: &TenantScope,
    pool: &PgPool,
    locker: &Locker,
    new: &NewWebhook,
    now: DateTime<Utc>,
) -> Result<(Webhook, Secret), WebhookError> {
    let (id, (secret, value)) = (WebhookId::at(now), generate()?);
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let webhook = store::insert(&mut tx, scope, id, new).await?.ok_or(WebhookError::TooMany)?;
    locker.keep_signing_secret(&mut tx, scope.agency_id(), (id, 1), &value, now).await?;
    tx.commit().await?;
    Ok((webhook, secret))
}

/// Gives the webhook a new secret; deliveries are signed with both for [`OVERLAP_HOURS`].
/// `None` if there is no such webhook.
///
/// # Errors
/// The database is away.
pub async fn rotate_secret(
    scope: &TenantScope,
    pool: &PgPool,
    locker: &Locker,
    id: WebhookId,
    now: DateTime<Utc>,
) -> Result<Option<(Webhook, Secret)>, WebhookError> {
    let (secret, value) = generate()?;
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let Some((generation, webhook)) = store::next_secret(&mut tx, id, OVERLAP_HOURS).await? else { return Ok(None) };
    locker.keep_signing_secret(&mut tx, scope.agency_id(), (id, generation), &value, now).await?;
    tx.commit().await?;
    Ok(Some((webhook, secret)))
}

fn generate() -> Result<(Secret, SecretValue), WebhookError> {
    let secret = Secret::generate().map_err(LockerError::from)?;
    let value = SecretValue::parse(secret.expose()).map_err(|_| LockerError::Tampered)?;
    Ok((secret, value))
}
