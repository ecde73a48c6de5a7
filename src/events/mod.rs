//! Events: what happened to tasks and their steps, in order, and who follows it.
//!
//! Triggers on the tasks' and steps' tables write them, in the transaction of what they
//! tell. The table is the truth; everything here only looks into it.
//!
//! - [`kind`]: the names of events
//! - [`event`]: what one is, and reading them
//! - [`streams`]: who follows which task in this process, and the look for news
//! - [`follow`]: one task's events from a place on, to its end

pub mod event;
mod follow;
mod kind;
mod streams;

pub use event::{Event, parse_id, public_id};
pub use follow::{Follower, StillMay, follow};
pub use kind::{EventKind, UnknownEvent};
pub use streams::{Streams, TooMany, Watching};
