//! Pieces of a generateContent answer, put together.

use serde_json::Value;

use super::{
    super::{
        asked::Asked,
        completion::{Completion, Parts},
        error::ProviderError,
        heard::Heard,
        protocol::Fold,
    },
    messages, usage,
};
use crate::base::Metered;

/// The answer so far.
#[derive(Debug, Default)]
pub struct PieceFold {
    parts: Parts,
    has_candidate: bool,
    /// Why the prompt was not answered, if it was not.
    blocked: Option<String>,
    metered: Option<Metered>,
}

impl Fold for PieceFold {
    fn take(&mut self, mut piece: Value, heard: &Heard) {
        heard.piece();
        if let Some(candidate) = piece.pointer("/candidates/0") {
            self.has_candidate = true;
            keep(&mut self.parts.finish_reason, &candidate["finishReason"]);
            let parts = candidate.pointer("/content/parts").and_then(Value::as_array);
            parts.into_iter().flatten().for_each(|part| self.part(part, heard));
        }
        keep(&mut self.parts.id, &piece["responseId"]);
        keep(&mut self.parts.model, &piece["modelVersion"]);
        keep(&mut self.blocked, &piece["promptFeedback"]["blockReason"]);
        if let Some(raw) = piece.get_mut("usageMetadata").map(Value::take).filter(Value::is_object) {
            let metered = usage::read(raw);
            heard.reported(&metered);
            self.metered = Some(metered);
        }
    }

    /// The last piece says nothing of its being the last; the connection's end does.
    fn is_whole(&self) -> bool {
        self.parts.finish_reason.is_some() || self.blocked.is_some()
    }

    fn into_completion(
        self: Box<Self>,
        asked: Asked<'_>,
        request_id: Option<String>,
    ) -> Result<Completion, ProviderError> {
        let metered = self.metered.unwrap_or_else(|| usage::read(Value::Null));
        if self.has_candidate {
            return Ok(self.parts.into_completion(asked, request_id, metered));
        }
        let request_id = request_id.or(self.parts.id);
        Err(messages::without_candidate(asked, self.blocked.as_deref(), request_id).with_usage(metered))
    }
}

impl PieceFold {
    fn part(&mut self, part: &Value, heard: &Heard) {
        if let Some(call) = part.get("functionCall") {
            heard.text(&call.to_string());
        }
        if let Some(text) = part["text"].as_str() {
            heard.text(text);
        }
        messages::add(&mut self.parts, part);
    }
}

/// A text takes the place of what an earlier piece said.
fn keep(known: &mut Option<String>, said: &Value) {
    if let Some(text) = said.as_str() {
        *known = Some(text.to_owned());
    }
}
