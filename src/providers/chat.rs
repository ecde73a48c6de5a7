//! A conversation after its first question, whichever protocol it goes by.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What was said after the prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    Model {
        content: String,
        calls: Vec<ToolCall>,
    },
    User(String),
    /// The results of all calls of the turn before, in their order.
    Tools(Vec<ToolResult>),
}

/// Something that the model may ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Of a-z, 0-9 and `_`, as every protocol takes it.
    pub name: String,
    pub description: String,
    /// JSON Schema of the arguments: an object.
    pub schema: Value,
}

/// The model asks for a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    /// An object; a text where the model's arguments were no JSON.
    pub arguments: Value,
    /// What the provider wants back with the call, unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// What a tool gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolResult {
    /// Of the call.
    pub id: String,
    pub name: String,
    pub content: String,
    pub is_error: bool,
}

impl Turn {
    /// Everything in it that a model reads, as one text.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Model { content, calls } => {
                calls.iter().fold(content.clone(), |text, call| format!("{text}\n{} {}", call.name, call.arguments))
            }
            Self::User(text) => text.clone(),
            Self::Tools(results) => results.iter().map(|r| r.content.as_str()).collect::<Vec<_>>().join("\n"),
        }
    }
}

/// Arguments as the text in which they came, or would have come.
pub fn argument_text(arguments: &Value) -> String {
    match arguments {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Arguments out of their text; nothing at all is an empty object.
pub fn arguments(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::Object(serde_json::Map::new());
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Protocols that insist on an object get an empty one where the model gave none.
pub fn argument_object(arguments: &Value) -> Value {
    if arguments.is_object() { arguments.clone() } else { Value::Object(serde_json::Map::new()) }
}

/// The id of a call that came without one.
pub fn made_up_id(nth: usize) -> String {
    format!("call_{nth}")
}
