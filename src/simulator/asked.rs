//! A question as a request's body asks it, and what the protocols share in reading one.

use serde_json::Value;

use super::script::Question;
use crate::providers::{Tool, structured::MARKER};

/// A question as a protocol's body asks it.
#[derive(Debug, Default, PartialEq)]
pub struct Asked {
    pub model: String,
    pub system: String,
    pub prompt: String,
    pub max_tokens: Option<u32>,
    pub schema: Option<Value>,
    /// Empty where the answer has to come without them.
    pub tools: Vec<Tool>,
    pub results: usize,
    pub replies: usize,
    pub stream: bool,
    /// OpenAI's `stream_options.include_usage`.
    pub stream_usage: bool,
}

impl Asked {
    #[must_use]
    pub fn question(&self) -> Question<'_> {
        Question {
            model: &self.model,
            system: &self.system,
            prompt: &self.prompt,
            max_tokens: self.max_tokens,
            schema: self.schema.as_ref(),
            tools: &self.tools,
            results: self.results,
            replies: self.replies,
        }
    }
}

/// The text of a message: a string, or the text of its parts.
pub fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// The schema that our own adapters write into a prompt where nothing enforces it.
pub fn told_schema(system: &str) -> Option<Value> {
    let (_, schema) = system.rsplit_once(MARKER)?;
    serde_json::from_str(schema).ok()
}

/// A tool as a protocol declares it; `schema` is the key of its arguments' schema.
pub fn tool(declared: &Value, schema: &str) -> Tool {
    let text = |key: &str| declared[key].as_str().unwrap_or_default().to_owned();
    Tool { name: text("name"), description: text("description"), schema: declared[schema].clone() }
}

pub fn limit(value: &Value) -> Option<u32> {
    value.as_u64().map(|limit| u32::try_from(limit).unwrap_or(u32::MAX))
}

/// A text in pieces of a few characters, as a stream brings it.
pub fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(24).map(|chunk| chunk.iter().collect()).collect()
}
