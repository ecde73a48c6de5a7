//! The memory that runs may hold: inputs, configs in work, outputs, turns of agents. It is
//! counted where each is accepted, for a run and for all runs of an agency in this process,
//! and given back when the last holder lets go.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    base::{AgencyId, agency_semaphores::AgencySemaphores},
    components::{ComponentError, Retry},
    egress,
};

/// Bytes of one run.
const RUN: usize = 128 * 1024 * 1024;
/// Of these for configs in work: more of them wait for these.
const PASSING: usize = 16 * 1024 * 1024;
/// Of all runs of an agency in this process.
const AGENCY: usize = RUN;
/// Of all runs in this process.
const PROCESS: usize = 160 * 1024 * 1024;
/// What each run has beside the two before, so that small ones never wait for large ones.
const OWN: usize = 64 * 1024;
/// What is larger is not worked on where futures run.
pub const LIGHT: usize = 256 * 1024;
/// Large values that are made ready, written or read at once.
const LARGE_AT_ONCE: usize = 2;
/// Turns are counted in these.
const UNIT: usize = 1024;

pub const RUN_TOO_LARGE: &str = "run_too_large";

/// All that the runs of a process hold.
#[derive(Debug)]
pub struct Rooms {
    taken: Mutex<Taken>,
    /// Where an agency's large values wait for one another, and then all agencies'.
    agencies: AgencySemaphores,
    large: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by: HashMap<AgencyId, usize>,
}

/// What one run holds.
#[derive(Debug)]
pub struct Room {
    rooms: Arc<Rooms>,
    agency: AgencyId,
    held: Mutex<Sums>,
    passing: Arc<Semaphore>,
    rendering: tokio::sync::Mutex<()>,
    over: AtomicBool,
    short: AtomicBool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sums {
    kept: usize,
    passing: usize,
}

impl Sums {
    fn all(self) -> usize {
        self.kept + self.passing
    }
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Short {
    #[error(
        "the run would hold more than {} MiB of inputs, outputs and items in work together: pick fewer fields with \
         a Transform, lower max_parallel, or do a part of the work in a SubRecipe",
        RUN >> 20
    )]
    Run,
    /// Others have it; there will be some when they are through.
    #[error("the runs in this process hold as much memory as they may")]
    Process,
}

/// Bytes that are held until this is dropped.
#[derive(Debug)]
pub struct Held {
    room: Arc<Room>,
    bytes: usize,
}

/// The turn of a large value, until this is dropped.
#[derive(Debug)]
pub struct LargeTurn {
    _held: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// Bytes that are held for a while.
#[derive(Debug)]
pub struct Passing {
    room: Arc<Room>,
    bytes: usize,
    turn: Option<OwnedSemaphorePermit>,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            taken: Mutex::default(),
            agencies: AgencySemaphores::new(1),
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
        }
    }
}

impl Rooms {
    /// Takes what a run holds beyond its own, instead of what it held before.
    fn change(&self, agency: AgencyId, before: usize, after: usize) -> Result<(), Short> {
        let (before, after) = (before.saturating_sub(OWN), after.saturating_sub(OWN));
        if before == after {
            return Ok(());
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, own) = (taken.total, taken.by.get(&agency).copied().unwrap_or(0));
        if after > before && own == before && own + (after - before) > AGENCY {
            // Nobody else has it: there would never be room.
            return Err(Short::Run);
        }
        if after > before && (total + (after - before) > PROCESS || own + (after - before) > AGENCY) {
            return Err(Short::Process);
        }
        taken.total = total + after - before;
        match own + after - before {
            0 => drop(taken.by.remove(&agency)),
            own => drop(taken.by.insert(agency, own)),
        }
        Ok(())
    }
}

impl Room {
    #[must_use]
    pub fn new(rooms: &Arc<Rooms>, agency: AgencyId) -> Arc<Self> {
        Arc::new(Self {
            rooms: Arc::clone(rooms),
            agency,
            held: Mutex::default(),
            passing: Arc::new(Semaphore::new(PASSING / UNIT)),
            rendering: tokio::sync::Mutex::default(),
            over: AtomicBool::default(),
            short: AtomicBool::default(),
        })
    }

    /// For what the run keeps.
    ///
    /// # Errors
    /// There is no room, for this run or for any.
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Result<Held, Short> {
        self.add(bytes, 0)?;
        Ok(Held { room: Arc::clone(self), bytes })
    }

    /// For what is in work: it waits until enough of the run's other work is done.
    ///
    /// # Errors
    /// As [`Room::hold`].
    pub async fn pass(self: &Arc<Self>, bytes: usize) -> Result<Passing, Short> {
        self.add(0, bytes)?;
        let mut passing = Passing { room: Arc::clone(self), bytes, turn: None };
        passing.turn = self.turn(bytes).await;
        Ok(passing)
    }

    async fn turn(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let turns = u32::try_from(bytes.min(PASSING) / UNIT).unwrap_or(u32::MAX);
        Arc::clone(&self.passing).acquire_many_owned(turns).await.ok()
    }

    /// The run's configs are made one by one, each when it is counted or gone before the next:
    /// nobody knows what one comes to before it is made.
    ///
    /// # Errors
    /// The run is over.
    pub async fn rendering(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Short> {
        let turn = self.rendering.lock().await;
        if self.is_over() { Err(Short::Run) } else { Ok(turn) }
    }

    /// For a value that is made ready, written or read: several copies of it are made, so that
    /// large ones of an agency go one after another, and few of all agencies at once.
    pub async fn large_turn(&self, bytes: usize) -> Option<LargeTurn> {
        if bytes <= LIGHT {
            return None;
        }
        let agency = self.rooms.agencies.semaphore_of(self.agency).acquire_owned().await.ok()?;
        let process = Arc::clone(&self.rooms.large).acquire_owned().await.ok()?;
        Some(LargeTurn { _held: (agency, process) })
    }

    fn add(&self, kept: usize, passing: usize) -> Result<(), Short> {
        self.change(|held| Sums { kept: held.kept.saturating_add(kept), passing: held.passing.saturating_add(passing) })
    }

    /// What was in work is kept from now on, as so much.
    fn turn_into(&self, passing: usize, kept: usize) -> Result<(), Short> {
        self.change(|held| Sums { kept: held.kept.saturating_add(kept), passing: held.passing.saturating_sub(passing) })
    }

    fn change(&self, how: impl FnOnce(Sums) -> Sums) -> Result<(), Short> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let after = how(*held);
        let added = if after.kept > RUN - PASSING {
            Err(Short::Run)
        } else {
            self.rooms.change(self.agency, held.all(), after.all())
        };
        match added {
            Ok(()) => *held = after,
            Err(Short::Run) => self.over.store(true, Ordering::Release),
            Err(Short::Process) => self.short.store(true, Ordering::Release),
        }
        added
    }

    /// Never refused: it is less than before.
    fn give_back(&self, kept: usize, passing: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let after = Sums { kept: held.kept.saturating_sub(kept), passing: held.passing.saturating_sub(passing) };
        if self.rooms.change(self.agency, held.all(), after.all()).is_ok() {
            *held = after;
        }
    }

    /// Whether nothing that the run keeps is large: then nothing that is copied is.
    #[must_use]
    pub fn is_light(&self) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).kept <= LIGHT
    }

    /// Whether the run asked for more than it may have: it fails, whatever its nodes allow.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Whether the run did not get what it may have: it has to come back later.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.short.load(Ordering::Acquire)
    }
}

impl Passing {
    /// Keeps so much of it, and gives back the rest: what came of the work has the room of the
    /// work, and nobody else's meanwhile.
    ///
    /// # Errors
    /// As [`Room::hold`]; all of it is held as before then.
    pub fn keep(&mut self, bytes: usize) -> Result<Held, Short> {
        self.room.turn_into(self.bytes, bytes)?;
        self.bytes = 0;
        drop(self.turn.take());
        Ok(Held { room: Arc::clone(&self.room), bytes })
    }
}

impl Held {
    /// Both as one.
    pub fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Gives back what is more than `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.room.give_back(less, 0);
        self.bytes -= less;
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.room.give_back(0, self.bytes);
        drop(self.turn.take());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// The room of a run, as its answers take it up.
#[derive(Debug)]
pub struct Answers(pub Arc<Room>);

impl egress::Room for Answers {
    fn take(&self, bytes: usize) -> Result<Box<dyn Send + Sync>, (String, bool)> {
        match self.0.hold(bytes) {
            Ok(held) => Ok(Box::new(held)),
            Err(short) => Err((short.to_string(), short == Short::Process)),
        }
    }
}

impl From<Short> for ComponentError {
    fn from(short: Short) -> Self {
        match short {
            Short::Run => Self::new(RUN_TOO_LARGE, short.to_string()),
            Short::Process => Self::new("room_awaited", short.to_string()).retry(Retry::Stop),
        }
    }
}

#[cfg(test)]
mod tests;
