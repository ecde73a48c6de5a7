//! The run of a task: graph walk, steps, checkpoints, and the ledger's side of calls.
//!
//! - [`record`]: the group-commit writer of intents, lines, steps and finishes
//! - [`meter`]: the ledger's side of a node's calls
//! - [`step`]: one node, from rendering to its committed result
//! - [`run`]: the walk of the graph, from claim to finish
//! - [`secrets`]: what a node may open, and keeping it out of everything written

pub mod record;
