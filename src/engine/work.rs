//! What is to be carried out, and what it came to.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{accept::Outputs, cache::Slot, past::Progress};
use crate::{
    base::Usd,
    catalog::{Step, template::Scope},
};

/// A node to be carried out, or one item of its `for_each`.
pub struct Work<'w> {
    pub step: &'w Arc<Step>,
    pub scope: &'w Scope,
    pub outputs: &'w Outputs,
    pub occurrence: i32,
}

impl Work<'_> {
    pub fn node_id(&self) -> &str {
        self.step.node.id.as_str()
    }
}

/// What an occurrence came to beside its calls under this claim.
#[derive(Debug)]
pub struct Tally {
    pub started_at: DateTime<Utc>,
    /// Tries of all claims.
    pub attempts: u32,
    /// Tries of all claims that a slowed key put off; they are not among the attempts.
    pub slowed: u32,
    pub tokens: u64,
    pub cost: Usd,
    /// Where the result is to be kept, and whether it was found there.
    pub slot: Option<Slot>,
    pub cached: bool,
}

impl Tally {
    pub fn of(before: Option<&Progress>, now: DateTime<Utc>) -> Self {
        let mut tally =
            Self { started_at: now, attempts: 0, slowed: 0, tokens: 0, cost: Usd::ZERO, slot: None, cached: false };
        if let Some(before) = before {
            (tally.started_at, tally.attempts, tally.slowed) = (before.started_at, before.attempts, before.slowed);
            (tally.tokens, tally.cost) = (before.tokens, before.cost);
        }
        tally
    }

    pub fn add(&mut self, tokens: u64, cost: Usd) {
        self.attempts = 1;
        self.tokens += tokens;
        self.cost += cost;
    }
}
