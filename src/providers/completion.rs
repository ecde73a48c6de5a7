//! A model's answer, whether it came whole or in pieces.

use super::{asked::Asked, chat::ToolCall};
use crate::base::Metered;

/// A model's answer.
#[derive(Debug, Clone)]
pub struct Completion {
    pub content: String,
    /// What the model asks for before it goes on.
    pub tool_calls: Vec<ToolCall>,
    /// The model that answered, as the provider names it.
    pub model: String,
    pub metered: Metered,
    /// The provider's id of the request, for its support.
    pub request_id: Option<String>,
    pub finish_reason: Option<String>,
}

/// An answer as its protocol takes it apart.
#[derive(Debug, Default)]
pub struct Parts {
    pub content: String,
    pub tool_calls: Vec<ToolCall>,
    pub finish_reason: Option<String>,
    /// The answer's own id, for providers that send none in a header.
    pub id: Option<String>,
    /// The model's name, for providers that repeat it.
    pub model: Option<String>,
}

impl Parts {
    /// Adds what the answer itself does not say.
    pub fn into_completion(self, asked: Asked<'_>, request_id: Option<String>, metered: Metered) -> Completion {
        Completion {
            content: self.content,
            tool_calls: self.tool_calls,
            model: self.model.unwrap_or_else(|| asked.model.to_owned()),
            metered,
            request_id: request_id.or(self.id),
            finish_reason: self.finish_reason,
        }
    }
}
