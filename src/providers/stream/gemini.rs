//! Pieces of a generateContent answer, put together.

use serde_json::{Map, Value, json};

use super::super::{Heard, usage};

/// The answer so far.
#[derive(Debug, Default)]
pub struct Fold {
    /// Everything of the last piece but the candidates.
    rest: Map<String, Value>,
    parts: Vec<Value>,
    finish: Option<Value>,
    spoke: bool,
}

impl Fold {
    pub fn take(&mut self, mut piece: Value, heard: &Heard) {
        heard.piece();
        if let Some(candidate) = piece.pointer_mut("/candidates/0") {
            self.spoke = true;
            if let Some(reason) = candidate.get("finishReason").filter(|reason| reason.is_string()) {
                self.finish = Some(reason.clone());
            }
            if let Some(Value::Array(parts)) = candidate.pointer_mut("/content/parts").map(Value::take) {
                for part in parts {
                    self.part(part, heard);
                }
            }
        }
        let Value::Object(piece) = piece else { return };
        if let Some(raw) = piece.get("usageMetadata").filter(|raw| raw.is_object()) {
            heard.reported(usage::gemini(raw).usage, raw);
        }
        self.rest.extend(piece.into_iter().filter(|(key, _)| key != "candidates"));
    }

    fn part(&mut self, part: Value, heard: &Heard) {
        if let Some(call) = part.get("functionCall") {
            heard.text(&call.to_string());
        }
        let Some(text) = part["text"].as_str() else { return self.parts.push(part) };
        heard.text(text);
        let is_thought = |part: &Value| part["thought"] == true;
        let same =
            self.parts.last().is_some_and(|last| last["text"].is_string() && is_thought(last) == is_thought(&part));
        match self.parts.last_mut().and_then(|last| last.get_mut("text")) {
            Some(Value::String(before)) if same => before.push_str(text),
            _ => self.parts.push(part),
        }
    }

    /// The last piece says nothing of its being the last; the connection's end does.
    pub fn whole(&self) -> bool {
        self.finish.is_some() || self.rest.get("promptFeedback").is_some_and(|told| told["blockReason"].is_string())
    }

    /// The answer that would have come in one piece.
    pub fn into_body(mut self) -> Value {
        if self.spoke {
            let candidate = json!({"content": {"parts": self.parts}, "finishReason": self.finish});
            self.rest.insert("candidates".into(), json!([candidate]));
        }
        self.rest.into()
    }
}
