//! Events: what happened to tasks and their steps, in order, and who follows it.
//!
//! Triggers on the tasks' and steps' tables write them, in the transaction of what they
//! tell. The table is the truth; everything here only looks into it.
//!
//! - [`kind`]: the names of events
//! - [`store`]: reading them
//! - [`streams`]: who follows which task in this process, and the look for news
//! - [`follow`]: one task's events from a place on, to its end

mod follow;
mod kind;
pub mod store;
mod streams;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use follow::{Follower, StillMay, follow};
pub use kind::{EventKind, UnknownEvent};
pub use streams::{Streams, TooMany, Watching};

/// Something that happened to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Within a task in the order of the commits.
    pub seq: i64,
    pub task_id: Uuid,
    /// Usually one of [`EventKind`]; a text, because a newer program may write others.
    pub kind: String,
    pub created_at: DateTime<Utc>,
    /// Claims of the task so far, or attempts of the step.
    pub attempt: Option<i32>,
    pub node_id: Option<String>,
    pub occurrence: Option<i32>,
    pub error_code: Option<String>,
}

/// The id by which the world knows an event: in streams, and in the `webhook-id` of deliveries.
#[must_use]
pub fn public_id(seq: i64) -> String {
    format!("evt_{seq}")
}

/// The place that a public id names.
#[must_use]
pub fn parse_id(text: &str) -> Option<i64> {
    let digits = text.strip_prefix("evt_")?;
    let plain = !digits.is_empty() && digits.len() <= 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_as_it_went_and_nothing_else_is_one() {
        assert_eq!(parse_id(&public_id(42)), Some(42));
        for text in ["", "evt_", "42", "evt_-1", "evt_+1", "evt_1 ", "evt_9999999999999999999", "EVT_1"] {
            assert_eq!(parse_id(text), None, "{text}");
        }
    }
}
