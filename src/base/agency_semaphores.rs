//! A semaphore for each agency: what is limited here makes the next piece of work wait, and no other agency's.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::Semaphore;

use super::AgencyId;

/// More agencies than this are not remembered without work.
const REMEMBERED: usize = 1_000;

/// So many pieces of work at once for each agency.
#[derive(Debug)]
pub struct AgencySemaphores {
    each: usize,
    of: Mutex<HashMap<AgencyId, Weak<Semaphore>>>,
}

impl AgencySemaphores {
    #[must_use]
    pub fn new(each: usize) -> Self {
        Self { each, of: Mutex::default() }
    }

    /// Where the agency's work waits. It is forgotten when nobody has or awaits a turn.
    #[must_use]
    pub fn semaphore_of(&self, agency: AgencyId) -> Arc<Semaphore> {
        let mut all = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = all.get(&agency).and_then(Weak::upgrade) {
            return turns;
        }
        if all.len() >= REMEMBERED {
            all.retain(|_, turns| turns.strong_count() > 0);
        }
        let turns = Arc::new(Semaphore::new(self.each));
        all.insert(agency, Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agency(n: usize) -> AgencyId {
        AgencyId(uuid::Uuid::from_u128(n as u128))
    }

    #[test]
    fn each_agency_has_its_own_and_those_without_work_are_forgotten() {
        let turns = AgencySemaphores::new(1);
        let held = turns.semaphore_of(agency(0)).try_acquire_owned().unwrap();
        assert!(turns.semaphore_of(agency(0)).try_acquire().is_err());
        assert!(turns.semaphore_of(agency(1)).try_acquire().is_ok());
        for n in 2..REMEMBERED + 2 {
            drop(turns.semaphore_of(agency(n)));
        }
        assert!(turns.of.lock().unwrap().len() <= REMEMBERED);
        assert!(turns.semaphore_of(agency(0)).try_acquire().is_err(), "a turn that is held is remembered");
        drop(held);
    }
}
