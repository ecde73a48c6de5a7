//! What sends deliveries.

use std::sync::Arc;

use sqlx::PgPool;

use crate::{base::Clock, egress, locker::Locker};

/// What sending needs.
#[derive(Debug)]
pub struct Deliverer {
    /// As the role `teamai_worker`.
    pub pool: PgPool,
    pub locker: Arc<Locker>,
    pub client: egress::Client,
    pub clock: Arc<dyn Clock>,
}
