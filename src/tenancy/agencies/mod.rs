//! The agency itself: name, billing address, and the defaults of its runs.

mod store;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use store::{find, get, insert, update};

use super::{Email, Name, TasksAtOnce};
use crate::base::AgencyId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum AgencyStatus {
    Active,
    Suspended,
}

/// What runs use when neither the node nor the agent says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_provider: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent_tasks: Option<i32>,
    /// How long finished tasks are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
}

#[derive(Debug, Clone)]
pub struct Agency {
    pub id: AgencyId,
    pub name: String,
    pub billing_email: Option<String>,
    pub settings: Settings,
    pub status: AgencyStatus,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Debug)]
pub struct NewAgency<'a> {
    pub id: AgencyId,
    pub name: &'a Name,
    pub billing_email: Option<&'a Email>,
}

/// What to change; `None` leaves as is, `Some(None)` clears.
#[derive(Debug, Default)]
pub struct AgencyChange {
    pub name: Option<Name>,
    pub billing_email: Option<Option<Email>>,
    pub default_provider: Option<Option<String>>,
    pub default_model: Option<Option<String>>,
    pub max_concurrent_tasks: Option<Option<TasksAtOnce>>,
    pub retention_days: Option<Option<u32>>,
}
