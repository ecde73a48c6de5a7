//! The ledger as it is read: one line for each call that left.

pub mod chain;
pub mod store;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

/// A line of `audit_logs`.
#[derive(Debug, Clone)]
pub struct Line {
    pub id: Uuid,
    pub task_id: Uuid,
    pub node_id: String,
    pub occurrence: i32,
    pub call_no: i32,
    pub team_id: Uuid,
    pub agent_instance_id: Uuid,
    pub recipe_id: Uuid,
    /// `llm`, `http`, `crawl` or `execution`.
    pub kind: String,
    pub provider: Option<String>,
    pub model: Option<String>,
    /// `success`, `failed`, `timeout` or `unknown`.
    pub status: String,
    pub tokens_used: i64,
    /// The buckets of [`crate::base::Usage`].
    pub usage: Option<Value>,
    /// What the provider charged, USD; `None` when there was no price.
    pub cost_usd: Option<Decimal>,
    /// What the agency is billed, USD.
    pub billed_usd: Decimal,
    pub price_id: Option<Uuid>,
    pub estimated: bool,
    pub flags: Vec<String>,
    pub execution_time_ms: i64,
    pub request_id: Option<String>,
    pub timestamp: DateTime<Utc>,
    /// Number in the agency's chain, from 1.
    pub seq: i64,
    /// SHA-256 over this line and the hash before it.
    pub hash: Vec<u8>,
}
