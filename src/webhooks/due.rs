//! Deliveries that are due of all agencies, and what came of each, in its agency's context.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    base::{AgencyId, DeliveryId, WebhookId},
    db,
};

/// A delivery that this process holds for a while.
#[derive(Debug)]
pub struct Due {
    pub id: DeliveryId,
    pub agency_id: AgencyId,
    pub webhook_id: WebhookId,
    pub event_seq: i64,
    pub kind: String,
    pub data: Value,
    pub occurred_at: DateTime<Utc>,
    /// Its number: a later one makes this one's outcome void.
    pub attempts: i32,
    /// 1 for the first of this round.
    pub round_attempts: i32,
    pub url: String,
    pub secret_version: i32,
    pub previous_secret_expires_at: Option<DateTime<Utc>>,
    pub failing_since: Option<DateTime<Utc>>,
}

/// Takes at most `limit` of what is due, `each` of a webhook, none of those that are busy.
pub async fn claim(
    pool: &PgPool,
    limit: i32,
    each: i32,
    busy: &[Uuid],
    hold: Duration,
) -> Result<Vec<Due>, sqlx::Error> {
    sqlx::query_as!(
        Due,
        r#"select id as "id!: DeliveryId", agency_id as "agency_id!: AgencyId", webhook_id as "webhook_id!: WebhookId",
                  event_seq as "event_seq!", type as "kind!", data as "data!", occurred_at as "occurred_at!",
                  attempts as "attempts!", round_attempts as "round_attempts!", url as "url!",
                  secret_version as "secret_version!", previous_secret_expires_at, failing_since
             from app.claim_deliveries($1, $2, $3, $4)"#,
        limit,
        each,
        busy,
        i32::try_from(hold.as_secs()).unwrap_or(i32::MAX),
    )
    .fetch_all(pool)
    .await
}

/// What an attempt came to.
#[derive(Debug)]
pub enum Outcome {
    Delivered,
    /// Tried again after so long.
    Again(Duration),
    /// Not tried again.
    Failed,
}

/// Why a webhook is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchOff {
    Gone,
    Failing,
}

impl SwitchOff {
    fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "endpoint_gone",
            Self::Failing => "failing",
        }
    }
}

/// One attempt's end.
#[derive(Debug)]
pub struct End {
    pub outcome: Outcome,
    pub response_status: Option<u16>,
    pub error: Option<String>,
    pub switch_off: Option<SwitchOff>,
}

/// Writes what came of an attempt. Says whether it still counted: not if the delivery
/// was taken again meanwhile.
pub async fn finish(pool: &PgPool, due: &Due, end: &End) -> Result<bool, sqlx::Error> {
    let (status, again) = match end.outcome {
        Outcome::Delivered => ("delivered", None),
        Outcome::Again(after) => ("pending", Some(after.as_secs_f64())),
        Outcome::Failed => ("failed", None),
    };
    let mut tx = db::tenant(pool, due.agency_id).await?;
    let written = sqlx::query!(
        "update webhook_deliveries
            set status = $3, next_attempt_at = clock_timestamp() + make_interval(secs => $4), response_status = $5,
                error = $6, delivered_at = case when $3 = 'delivered' then clock_timestamp() else delivered_at end
          where id = $1 and attempts = $2 and status = 'pending'",
        due.id.0,
        due.attempts,
        status,
        again,
        end.response_status.map(i32::from),
        end.error.as_deref(),
    )
    .execute(&mut *tx)
    .await?;
    let arrived = matches!(end.outcome, Outcome::Delivered);
    // Nothing to note where all is well, and where it is known to be ill.
    if arrived == due.failing_since.is_some() || end.switch_off.is_some() {
        sqlx::query!(
            "update webhooks
                set failing_since = case when $2 then null else coalesce(failing_since, clock_timestamp()) end,
                    enabled = enabled and $3::text is null, disabled_reason = coalesce($3, disabled_reason)
              where id = $1",
            due.webhook_id.0,
            arrived,
            end.switch_off.map(SwitchOff::as_str),
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(written.rows_affected() == 1)
}

/// Drops deliveries that are over and were kept long enough.
///
/// # Errors
/// The database is unavailable.
pub async fn keep(pool: &PgPool, keep_days: i32) -> Result<(), sqlx::Error> {
    sqlx::query!("select app.keep_deliveries($1)", keep_days).execute(pool).await?;
    Ok(())
}
