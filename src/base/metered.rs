//! What one call used, and who counted it.

use serde_json::Value;

use super::Usage;

/// What one call used: one type from the provider's answer to the ledger's line.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metered {
    /// Tokens, in disjoint buckets.
    pub usage: Usage,
    /// What the provider sent as usage, to the letter; `None` where it sent nothing.
    pub raw: Option<Value>,
    /// A count is missing, or the buckets do not add up to the provider's own total:
    /// the ledger flags the line.
    pub mismatch: bool,
    /// Counted here, from what arrived of an answer that was cut off.
    pub estimated: bool,
}
