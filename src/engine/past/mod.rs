//! What earlier claims of a task left behind.

mod store;

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

use super::run_ledger::Lent;
use crate::{
    base::{RunScope, TaskId, Usd},
    tasks::lease::Claimed,
};

/// A node, and the item's index under a `for_each`, else 0.
pub type Place = (String, i32);

/// A committed result.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    pub status: String,
    pub output: Option<Value>,
    pub error: Option<Value>,
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
    pub committed: HashMap<Place, Checkpoint>,
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

impl Past {
    /// # Errors
    /// The database is away.
    pub async fn read(scope: &RunScope, pool: &PgPool, claimed: &Claimed) -> Result<Self, sqlx::Error> {
        if claimed.epoch <= 1 {
            return Ok(Self::default());
        }
        store::read(scope, pool, TaskId(claimed.id)).await
    }
}
