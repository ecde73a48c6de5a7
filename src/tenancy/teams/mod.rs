//! Teams: the rooms in which an agency's people and agents work.

mod store;

use chrono::{DateTime, Utc};

pub use store::{create, delete, get, list, update};

use super::{Name, TasksAtOnce};
use crate::base::TeamId;

#[derive(Debug, Clone)]
pub struct Team {
    pub id: TeamId,
    pub name: String,
    /// Tasks of the team that may run at once; `None` is no limit of its own.
    pub max_concurrent_tasks: Option<i32>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What to change; `None` leaves as is, `Some(None)` clears.
#[derive(Debug, Default)]
pub struct TeamChange {
    pub name: Option<Name>,
    pub max_concurrent_tasks: Option<Option<TasksAtOnce>>,
}
