//! Events of a message, put together.

use serde_json::{Map, Value, json};

use super::super::{Heard, chat, structured, usage};

/// More blocks in one answer than any model makes.
const MAX_BLOCKS: usize = 1_024;

/// The message so far.
#[derive(Debug, Default)]
pub struct Fold {
    /// `message_start`'s, with what came later on top.
    message: Map<String, Value>,
    blocks: Vec<Block>,
    stopped: bool,
}

#[derive(Debug, Default)]
enum Block {
    #[default]
    Other,
    Text(String),
    Tool {
        id: Value,
        name: String,
        input: String,
    },
}

impl Fold {
    pub fn take(&mut self, mut event: Value, heard: &Heard) {
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => {
                if let Value::Object(message) = event["message"].take() {
                    self.message = message;
                    self.tell(heard);
                }
            }
            "content_block_start" => self.start(&event, heard),
            "content_block_delta" => self.delta(&event, heard),
            "message_delta" => {
                if let Some(reason) = event["delta"].get_mut("stop_reason") {
                    self.message.insert("stop_reason".into(), reason.take());
                }
                if let (Value::Object(later), Some(Value::Object(usage))) =
                    (event["usage"].take(), self.message.get_mut("usage"))
                {
                    // Cumulative: what is there again takes the place of what was.
                    usage.extend(later.into_iter().filter(|(_, count)| !count.is_null()));
                }
                self.tell(heard);
            }
            "message_stop" => self.stopped = true,
            // `ping`, and what is not known yet.
            _ => heard.piece(),
        }
    }

    fn tell(&self, heard: &Heard) {
        heard.piece();
        if let Some(raw) = self.message.get("usage").filter(|raw| raw.is_object()) {
            heard.reported(usage::anthropic(raw).usage, raw);
        }
    }

    fn start(&mut self, event: &Value, heard: &Heard) {
        heard.piece();
        let Some(index) = index(event) else { return };
        if self.blocks.len() <= index {
            self.blocks.resize_with(index + 1, Block::default);
        }
        let block = &event["content_block"];
        let text = |key: &str| block[key].as_str().unwrap_or_default().to_owned();
        self.blocks[index] = match block["type"].as_str() {
            Some("text") => Block::Text(text("text")),
            Some("tool_use") => Block::Tool { id: block["id"].clone(), name: text("name"), input: String::new() },
            _ => Block::Other,
        };
    }

    fn delta(&mut self, event: &Value, heard: &Heard) {
        let delta = &event["delta"];
        let piece = ["text", "partial_json", "thinking"].iter().find_map(|key| delta[*key].as_str());
        heard.text(piece.unwrap_or_default());
        let block = index(event).and_then(|index| self.blocks.get_mut(index));
        match (block, delta["type"].as_str(), piece) {
            (Some(Block::Text(text)), Some("text_delta"), Some(piece)) => text.push_str(piece),
            (Some(Block::Tool { input, .. }), Some("input_json_delta"), Some(piece)) => input.push_str(piece),
            _ => {}
        }
    }

    pub fn ended(&self) -> bool {
        self.stopped
    }

    pub fn whole(&self) -> bool {
        self.stopped || self.message.get("stop_reason").is_some_and(Value::is_string)
    }

    /// The answer that would have come in one piece.
    pub fn into_body(mut self) -> Value {
        if !self.message.is_empty() {
            let blocks = self.blocks.into_iter().filter_map(Block::into_value).collect();
            self.message.insert("content".into(), blocks);
        }
        self.message.into()
    }
}

impl Block {
    fn into_value(self) -> Option<Value> {
        match self {
            Self::Other => None,
            Self::Text(text) => Some(json!({"type": "text", "text": text})),
            Self::Tool { id, name, input } => {
                let arguments = chat::arguments(&input);
                // Cut short by max_tokens: half an answer is still worth its message.
                if name == structured::NAME && !arguments.is_object() {
                    return Some(json!({"type": "text", "text": input}));
                }
                Some(json!({"type": "tool_use", "id": id, "name": name, "input": arguments}))
            }
        }
    }
}

fn index(event: &Value) -> Option<usize> {
    event["index"].as_u64().and_then(|index| usize::try_from(index).ok()).filter(|index| *index < MAX_BLOCKS)
}
