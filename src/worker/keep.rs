//! What events and deliveries need of housekeeping.

use sqlx::PgPool;
use tracing::warn;

use crate::{events, webhooks};

/// How long events can be replayed, and deliveries looked up and sent again.
const KEEP_DAYS: i32 = 30;

/// A failure is logged and made good the next time.
pub async fn events(pool: &PgPool) {
    if let Err(error) = events::event::keep(pool, KEEP_DAYS).await {
        warn!(%error, "partitions of events could not be kept");
    }
    if let Err(error) = webhooks::keep(pool, KEEP_DAYS).await {
        warn!(%error, "old deliveries could not be dropped");
    }
}
