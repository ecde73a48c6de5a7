//! How many tasks an agency can have that have not ended: who registers is a stranger, and a
//! task for later costs nothing until its time comes.
//!
//! The count is one of an index, made at most once a second for an agency. In between its
//! last one stands, with what this process took in since; another process may take in as
//! much as it does within a second beyond the number.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::PgPool;
use tokio::time::Instant;

use super::SubmitError;
use crate::{
    base::{AgencyId, TenantScope},
    tasks::backlog,
};

const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// Agencies that are known at a time.
const MAX_AGENCIES: usize = 10_000;

/// The places for the tasks of each agency.
#[derive(Debug)]
pub struct Room {
    pool: PgPool,
    most: u32,
    known: Mutex<HashMap<AgencyId, Known>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    counted_at: Instant,
    /// Tasks at that time.
    open: i64,
    /// Taken in by this process since.
    since: i64,
}

impl Room {
    #[must_use]
    pub fn new(pool: PgPool, most: u32) -> Self {
        Self { pool, most, known: Mutex::default() }
    }

    /// Takes places for so many new tasks of the agency.
    ///
    /// # Errors
    /// [`SubmitError::QueueFull`]; the database is unavailable.
    pub async fn take(&self, scope: &TenantScope, tasks: usize) -> Result<(), SubmitError> {
        let agency = scope.agency_id();
        if self.begin_count(agency) {
            match backlog::open(scope, &self.pool, self.most).await {
                Ok(open) => self.end_count(agency, open),
                Err(error) => {
                    self.lock().remove(&agency);
                    return Err(error.into());
                }
            }
        }
        let fits = self.add(agency, i64::try_from(tasks).unwrap_or(i64::MAX));
        if fits { Ok(()) } else { Err(SubmitError::QueueFull { most: self.most }) }
    }

    /// Whether it is the caller's to count anew; the others go on with what is known meanwhile.
    fn begin_count(&self, agency: AgencyId) -> bool {
        let mut known = self.lock();
        let last = known.get(&agency).copied();
        if last.is_some_and(|last| last.counted_at.elapsed() < BELIEVED_FOR) {
            return false;
        }
        if known.len() >= MAX_AGENCIES {
            known.retain(|_, one| one.counted_at.elapsed() < BELIEVED_FOR);
        }
        // All are young: start anew rather than grow.
        if known.len() >= MAX_AGENCIES {
            known.clear();
        }
        let open = last.map_or(0, |last| last.open.saturating_add(last.since));
        known.insert(agency, Known { counted_at: Instant::now(), open, since: 0 });
        true
    }

    fn end_count(&self, agency: AgencyId, open: i64) {
        if let Some(known) = self.lock().get_mut(&agency) {
            known.open = open;
        }
    }

    fn add(&self, agency: AgencyId, tasks: i64) -> bool {
        let mut known = self.lock();
        // Forgotten in favour of others, a moment after it was counted.
        let Some(known) = known.get_mut(&agency) else { return true };
        let open = known.open.saturating_add(known.since).saturating_add(tasks);
        let fits = open <= i64::from(self.most);
        if fits {
            known.since += tasks;
        }
        fits
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgencyId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
