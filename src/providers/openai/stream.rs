//! Chunks of a chat completion, put together.

use serde_json::Value;

use super::{
    super::{
        asked::Asked,
        chat,
        completion::{Completion, Parts},
        error::ProviderError,
        heard::Heard,
        protocol::Fold,
    },
    messages, usage,
};
use crate::base::Metered;

/// More calls in one answer than any model makes.
const MAX_CALLS: usize = 128;

/// The completion so far.
#[derive(Debug, Default)]
pub struct ChunkFold {
    id: Option<String>,
    model: Option<String>,
    content: String,
    refusal: String,
    /// Id, name and arguments of each call.
    calls: Vec<[String; 3]>,
    has_choice: bool,
    finish_reason: Option<String>,
    metered: Option<Metered>,
    is_done: bool,
}

impl Fold for ChunkFold {
    fn take(&mut self, mut chunk: Value, heard: &Heard) {
        for (key, mine) in [("id", &mut self.id), ("model", &mut self.model)] {
            if mine.is_none() {
                *mine = chunk[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            }
        }
        let choices = chunk["choices"].as_array().into_iter().flatten();
        for choice in choices.filter(|choice| choice["index"].as_u64().unwrap_or(0) == 0) {
            self.has_choice = true;
            self.delta(&choice["delta"], heard);
            if let Some(reason) = choice["finish_reason"].as_str() {
                self.finish_reason = Some(reason.to_owned());
            }
        }
        let usage = match chunk.get_mut("usage").map(Value::take) {
            Some(usage @ Value::Object(_)) => usage,
            // Groq's older place for it.
            _ => chunk.pointer_mut("/x_groq/usage").map(Value::take).unwrap_or_default(),
        };
        if usage.is_object() {
            let metered = usage::read(usage);
            heard.reported(&metered);
            self.metered = Some(metered);
        }
    }

    fn done(&mut self) {
        self.is_done = true;
    }

    fn is_over(&self) -> bool {
        self.is_done
    }

    fn is_whole(&self) -> bool {
        self.is_done || self.finish_reason.is_some()
    }

    fn into_completion(
        self: Box<Self>,
        asked: Asked<'_>,
        request_id: Option<String>,
    ) -> Result<Completion, ProviderError> {
        let metered = self.metered.unwrap_or_else(|| usage::read(Value::Null));
        if !self.has_choice {
            return Err(messages::without_message(asked, request_id.or(self.id)).with_usage(metered));
        }
        let calls = self.calls.iter().enumerate();
        let read = |(nth, [id, name, arguments]): (usize, &[String; 3])| {
            messages::tool_call(nth, id, name, chat::arguments(arguments))
        };
        let parts = Parts {
            tool_calls: calls.filter_map(read).collect(),
            content: if self.content.is_empty() { self.refusal } else { self.content },
            finish_reason: self.finish_reason,
            id: self.id,
            model: self.model,
        };
        Ok(parts.into_completion(asked, request_id, metered))
    }
}

impl ChunkFold {
    fn delta(&mut self, delta: &Value, heard: &Heard) {
        match &delta["content"] {
            Value::String(text) => push(&mut self.content, text, heard),
            // Mistral's list of chunks, of which those of type text count.
            Value::Array(parts) => {
                parts.iter().filter_map(|part| part["text"].as_str()).for_each(|t| push(&mut self.content, t, heard));
            }
            _ => {}
        }
        if let Some(text) = delta["refusal"].as_str() {
            push(&mut self.refusal, text, heard);
        }
        // Thinking aloud is paid for, and is no answer.
        for key in ["reasoning_content", "reasoning"] {
            if let Some(text) = delta[key].as_str() {
                heard.text(text);
            }
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            self.call(call, heard);
        }
    }

    fn call(&mut self, part: &Value, heard: &Heard) {
        let id = part["id"].as_str().unwrap_or_default();
        let begins = !id.is_empty() && self.calls.last().is_none_or(|[last, ..]| last != id);
        let at = match part["index"].as_u64().and_then(|index| usize::try_from(index).ok()) {
            Some(index) => index,
            // Without an index a new id begins a new call.
            None if begins => self.calls.len(),
            None => self.calls.len().saturating_sub(1),
        };
        if at >= MAX_CALLS {
            return;
        }
        if self.calls.len() <= at {
            self.calls.resize_with(at + 1, Default::default);
        }
        let [own_id, name, arguments] = &mut self.calls[at];
        if own_id.is_empty() {
            id.clone_into(own_id);
        }
        name.push_str(part["function"]["name"].as_str().unwrap_or_default());
        match &part["function"]["arguments"] {
            Value::String(text) => push(arguments, text, heard),
            Value::Null => {}
            whole => push(arguments, &whole.to_string(), heard),
        }
    }
}

fn push(text: &mut String, piece: &str, heard: &Heard) {
    text.push_str(piece);
    heard.text(piece);
}
