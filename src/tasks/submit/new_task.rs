//! What is asked for.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::base::AgentId;

/// A task as it is asked for, its parts checked for form.
#[derive(Debug, Clone)]
pub struct NewTask {
    pub agent_instance_id: AgentId,
    /// An id or a slug.
    pub recipe: String,
    pub version: Option<String>,
    pub inputs: Map<String, Value>,
    /// 0 to 9.
    pub priority: i16,
    pub run_at: Option<DateTime<Utc>>,
    /// Whom an experiment's arm is given to; each run by itself without one.
    pub subject: Option<String>,
    pub tags: Vec<String>,
    pub idempotency_key: Option<String>,
}
