//! One question to a model, whichever protocol it goes by.

use std::time::Duration;

use serde_json::Value;

use super::chat::{Tool, Turn};

/// One question to a model.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The provider's own model name, without a `provider/` prefix.
    pub model: String,
    pub system: Option<String>,
    pub prompt: String,
    /// What was said after the prompt, in order.
    pub turns: Vec<Turn>,
    /// What the model may ask for.
    pub tools: Vec<Tool>,
    /// The tools stand there for the record: the model has to answer without them.
    pub answer_now: bool,
    pub temperature: Option<f64>,
    pub max_tokens: Option<u32>,
    /// JSON Schema that the answer is asked to follow.
    pub response_schema: Option<Value>,
    /// The longest silence: until the answer begins, and between two pieces of it.
    /// Bounds the whole call where the provider does not stream.
    pub timeout: Duration,
}
