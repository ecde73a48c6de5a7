//! Chunks of a chat completion, put together.

use serde_json::{Map, Value, json};

use super::super::{Heard, usage};

/// More calls in one answer than any model makes.
const MAX_CALLS: usize = 128;

/// The completion so far.
#[derive(Debug, Default)]
pub struct Fold {
    id: Option<String>,
    model: Option<String>,
    content: String,
    refusal: String,
    /// Id, name and arguments of each call.
    calls: Vec<[String; 3]>,
    spoke: bool,
    finish: Option<String>,
    usage: Value,
    done: bool,
}

impl Fold {
    pub fn done(&mut self) {
        self.done = true;
    }

    pub fn take(&mut self, mut chunk: Value, heard: &Heard) {
        for (key, mine) in [("id", &mut self.id), ("model", &mut self.model)] {
            if mine.is_none() {
                *mine = chunk[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            }
        }
        for choice in
            chunk["choices"].as_array().into_iter().flatten().filter(|c| c["index"].as_u64().unwrap_or(0) == 0)
        {
            self.spoke = true;
            self.delta(&choice["delta"], heard);
            if let Some(reason) = choice["finish_reason"].as_str() {
                self.finish = Some(reason.to_owned());
            }
        }
        let usage = match chunk.get_mut("usage").map(Value::take) {
            Some(usage @ Value::Object(_)) => usage,
            // Groq's older place for it.
            _ => chunk.pointer_mut("/x_groq/usage").map(Value::take).unwrap_or_default(),
        };
        if usage.is_object() {
            heard.reported(usage::openai(&usage).usage, &usage);
            self.usage = usage;
        }
    }

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

    /// Nothing follows.
    pub fn ended(&self) -> bool {
        self.done
    }

    /// A stream that ends here was not cut.
    pub fn whole(&self) -> bool {
        self.done || self.finish.is_some()
    }

    /// The answer that would have come in one piece.
    pub fn into_body(self) -> Value {
        let mut body = Map::new();
        for (key, value) in [("id", self.id), ("model", self.model)] {
            body.extend(value.map(|value| (key.to_owned(), value.into())));
        }
        if self.spoke {
            let mut message = json!({"content": self.content});
            if self.content.is_empty() && !self.refusal.is_empty() {
                message = json!({"content": null, "refusal": self.refusal});
            }
            if !self.calls.is_empty() {
                let call = |[id, name, arguments]: [String; 3]| json!({"id": id, "function": {"name": name, "arguments": arguments}});
                message["tool_calls"] = self.calls.into_iter().map(call).collect();
            }
            body.insert("choices".into(), json!([{"message": message, "finish_reason": self.finish}]));
        }
        body.insert("usage".into(), self.usage);
        body.into()
    }
}

fn push(text: &mut String, piece: &str, heard: &Heard) {
    text.push_str(piece);
    heard.text(piece);
}
