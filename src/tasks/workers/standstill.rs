//! Whether work moves, for probes.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use crate::tasks::workers;

/// Work that could run and has waited for longer stands still, if nothing is claimed meanwhile.
/// More than a worker takes for a stop in good order.
pub const AFTER_SECONDS: i32 = 60;
/// What was held back until a moment ago is old, and is claimed within this.
pub const SECOND_LOOK_AFTER: Duration = Duration::from_secs(1);
/// An answer is good for so long: anybody may ask, and as often as they like.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Looks whether work stands still, once for all who ask; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Standstill(Arc<Mutex<Option<(Instant, bool)>>>);

impl Standstill {
    /// Whether tasks of any agency that could run wait, and no worker claims any.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn look(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        let mut last = self.0.lock().await;
        if let Some((at, stands)) = *last
            && at.elapsed() < GOOD_FOR
        {
            return Ok(stands);
        }
        let mut stands = workers::work_stands(pool, AFTER_SECONDS).await?;
        if stands {
            sleep(SECOND_LOOK_AFTER).await;
            stands = workers::work_stands(pool, AFTER_SECONDS).await?;
        }
        *last = Some((Instant::now(), stands));
        Ok(stands)
    }
}
