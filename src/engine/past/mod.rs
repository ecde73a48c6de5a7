//! What earlier claims of a task left behind.

mod store;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{room::Held, run_ledger::Lent};
use crate::{base::Usd, db::JsonText};

/// A node, and the item's index under a `for_each`, else 0.
pub type Place = (String, i32);

/// A committed result.
#[derive(Debug)]
pub struct Checkpoint {
    pub status: String,
    pub output: Option<JsonText>,
    pub error: Option<Value>,
    /// Until it is taken.
    _held: Held,
}

/// The tries of a node that has no result yet.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Failed tries.
    pub attempts: u32,
    /// Tries that a slowed key put off.
    pub slowed: u32,
    pub tokens: u64,
    pub cost: Usd,
    pub started_at: DateTime<Utc>,
    /// Until the next try, counted from when this was read.
    pub wait: Duration,
}

/// Empty for a first claim.
#[derive(Debug, Default)]
pub struct Past {
    pub committed: Mutex<HashMap<Place, Checkpoint>>,
    /// The highest call number used.
    pub last_calls: HashMap<Place, i32>,
    /// The last call whose answer was lost.
    pub lost_calls: HashMap<Place, i32>,
    pub progress: HashMap<Place, Progress>,
    /// To sub-recipes' tasks whose node has no result yet.
    pub lent: Lent,
    /// What this task was lent by the one that started it.
    pub lent_tokens: Option<u64>,
    /// Since the task was started first.
    pub elapsed: Duration,
}

impl Checkpoint {
    pub fn new(status: String, output: Option<JsonText>, error: Option<Value>, held: Held) -> Self {
        Self { status, output, error, _held: held }
    }
}

impl Past {
    #[must_use]
    pub fn has(&self, place: &Place) -> bool {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner).contains_key(place)
    }

    /// Each is looked at once.
    #[must_use]
    pub fn take(&self, place: &Place) -> Option<Checkpoint> {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner).remove(place)
    }
}
