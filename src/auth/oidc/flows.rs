//! Sign-ins that came back from a provider, each once.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// Whether this call was the first with this state. Drops some that are past.
pub async fn claim_flow(
    pool: &PgPool,
    state_hash: &[u8],
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let claimed = sqlx::query!(
        "with past as (
           delete from oidc_flows where state_hash in (
             select state_hash from oidc_flows where expires_at <= $2 and state_hash <> $1
              order by expires_at limit 10 for update skip locked)
         )
         insert into oidc_flows (state_hash, expires_at) values ($1, $3) on conflict do nothing",
        state_hash,
        now,
        expires_at,
    )
    .execute(pool)
    .await?;
    Ok(claimed.rows_affected() == 1)
}
