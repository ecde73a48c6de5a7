//! A webhook's deliveries, as people see them and ask for them again.

use sqlx::{PgConnection, PgPool};

use super::{Delivery, TEST_EVENT, WebhookError};
use crate::{
    base::{DeliveryId, Page, Paged, TenantScope, WebhookId},
    db,
};

/// A webhook's deliveries, newest first; `None` if there is no such webhook.
///
/// # Errors
/// The database is unavailable.
pub async fn deliveries(
    scope: &TenantScope,
    pool: &PgPool,
    webhook: WebhookId,
    page: Page,
) -> Result<Option<Paged<Delivery>>, WebhookError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let known = sqlx::query_scalar!(r#"select true as "known!" from webhooks where id = $1"#, webhook.0)
        .fetch_optional(&mut *tx)
        .await?;
    if known.is_none() {
        return Ok(None);
    }
    let rows = sqlx::query_as!(
        Delivery,
        r#"select id as "id: _", event_seq, type as kind, task_id, status, attempts, next_attempt_at, last_attempt_at,
                  response_status, error, delivered_at, created_at
             from webhook_deliveries
            where agency_id = $1 and webhook_id = $2 and ($3::uuid is null or id < $3)
            order by id desc limit $4"#,
        scope.agency_id().0,
        webhook.0,
        page.before,
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(page.cut(rows, |delivery| delivery.id.0)))
}

/// Whether deliveries to it can be made at all; `None` if there is no such webhook.
async fn is_on(tx: &mut PgConnection, webhook: WebhookId) -> Result<Option<()>, WebhookError> {
    let enabled =
        sqlx::query_scalar!("select enabled from webhooks where id = $1", webhook.0).fetch_optional(tx).await?;
    match enabled {
        Some(false) => Err(WebhookError::SwitchedOff),
        on => Ok(on.map(|_| ())),
    }
}

/// Sends a delivery again, at once and with a new round of attempts, under the event's
/// own id; `None` if there is none.
///
/// # Errors
/// The webhook is switched off; the database is unavailable.
pub async fn replay(
    scope: &TenantScope,
    pool: &PgPool,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Option<Delivery>, WebhookError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    if is_on(&mut tx, webhook).await?.is_none() {
        return Ok(None);
    }
    let delivery = sqlx::query_as!(
        Delivery,
        r#"update webhook_deliveries
              set status = 'pending', round_attempts = 0, next_attempt_at = clock_timestamp(), error = null
            where id = $1 and webhook_id = $2
           returning id as "id: _", event_seq, type as kind, task_id, status, attempts, next_attempt_at,
                     last_attempt_at, response_status, error, delivered_at, created_at"#,
        id.0,
        webhook.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(delivery)
}

/// A delivery that tells of nothing, for trying an endpoint; `None` if there is no such webhook.
///
/// # Errors
/// The webhook is switched off; the database is unavailable.
pub async fn test(
    scope: &TenantScope,
    pool: &PgPool,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Option<Delivery>, WebhookError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    if is_on(&mut tx, webhook).await?.is_none() {
        return Ok(None);
    }
    let delivery = sqlx::query_as!(
        Delivery,
        r#"insert into webhook_deliveries (id, agency_id, webhook_id, event_seq, type, data, occurred_at)
           values ($1, $2, $3, nextval('app.event_seq'), $4,
                   jsonb_build_object('webhook_id', $3::uuid, 'agency_id', $2::uuid), clock_timestamp())
           returning id as "id: _", event_seq, type as kind, task_id, status, attempts, next_attempt_at,
                     last_attempt_at, response_status, error, delivered_at, created_at"#,
        id.0,
        scope.agency_id().0,
        webhook.0,
        TEST_EVENT,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(delivery))
}
