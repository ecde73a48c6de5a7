//! SQL for webhooks and their deliveries, on behalf of people.

use sqlx::{PgConnection, PgPool};

use super::{Change, Delivery, Description, Endpoint, NewWebhook, Subscriptions, TEST_EVENT, Webhook, WebhookError};
use crate::{
    base::{DeliveryId, Page, Paged, TenantScope, WebhookId},
    db,
};

/// Every event of the agency is held against each of them.
const MAX_WEBHOOKS: i64 = 50;

/// Newest first.
///
/// # Errors
/// The database is away.
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
/// The database is away.
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
/// The database is away.
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
/// The database is away.
pub async fn delete(scope: &TenantScope, pool: &PgPool, id: WebhookId) -> Result<bool, WebhookError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let deleted = sqlx::query!("delete from webhooks where id = $1", id.0).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(deleted.rows_affected() == 1)
}

/// A webhook's deliveries, newest first; `None` if there is no such webhook.
///
/// # Errors
/// The database is away.
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
/// The webhook is switched off; the database is away.
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
/// The webhook is switched off; the database is away.
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
