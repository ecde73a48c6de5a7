//! Teams: the rooms in which an agency's people and agents work.

mod store;

use chrono::{DateTime, Utc};

pub use store::{create, delete, get, list, rename};

use crate::base::TeamId;

#[derive(Debug, Clone)]
pub struct Team {
    pub id: TeamId,
    pub name: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}
