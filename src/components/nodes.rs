//! What nodes see of those before them.

use serde_json::Value;

/// Outputs of the finished nodes.
pub trait Nodes: Send + Sync {
    /// Ids, in the order in which they finished.
    fn names(&self) -> Vec<&str>;

    /// A copy of a node's output; `None` if no finished node has the name, `Some(None)` if it
    /// would hold more than `most` bytes of memory.
    fn output(&self, name: &str, most: usize) -> Option<Option<Value>>;
}
