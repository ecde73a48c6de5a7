//! Events of a message, put together.

use serde_json::{Map, Value};

use super::{
    super::{
        asked::Asked,
        chat,
        completion::{Completion, Parts},
        error::ProviderError,
        heard::Heard,
        protocol::Fold,
        structured,
    },
    messages::{self, Block},
    usage,
};
use crate::base::Metered;

/// More blocks in one answer than any model makes.
const MAX_BLOCKS: usize = 1_024;

/// The message so far.
#[derive(Debug, Default)]
pub struct EventFold {
    has_begun: bool,
    id: Option<String>,
    model: Option<String>,
    stop_reason: Option<String>,
    blocks: Vec<Begun>,
    /// What `message_start` reported, with what came later on top.
    usage: Option<Map<String, Value>>,
    metered: Option<Metered>,
    has_stopped: bool,
}

/// A block that may still grow.
#[derive(Debug, Default)]
enum Begun {
    #[default]
    Other,
    Text(String),
    Tool {
        id: Option<String>,
        name: String,
        input: String,
    },
}

impl Fold for EventFold {
    fn take(&mut self, event: Value, heard: &Heard) {
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => self.begin(&event["message"], heard),
            "content_block_start" => self.start(&event, heard),
            "content_block_delta" => self.delta(&event, heard),
            "message_delta" => self.amend(&event, heard),
            "message_stop" => self.has_stopped = true,
            // `ping`, and what is not known yet.
            _ => heard.piece(),
        }
    }

    fn is_over(&self) -> bool {
        self.has_stopped
    }

    fn is_whole(&self) -> bool {
        self.has_stopped || self.stop_reason.is_some()
    }

    fn into_completion(
        self: Box<Self>,
        asked: Asked<'_>,
        request_id: Option<String>,
    ) -> Result<Completion, ProviderError> {
        let metered = self.metered.unwrap_or_else(|| usage::read(Value::Null));
        if !self.has_begun {
            return Err(messages::without_content(asked, request_id.or(self.id)).with_usage(metered));
        }
        let (content, tool_calls) = messages::compose(self.blocks.into_iter().filter_map(Begun::ended));
        let parts = Parts { content, tool_calls, finish_reason: self.stop_reason, id: self.id, model: self.model };
        Ok(parts.into_completion(asked, request_id, metered))
    }
}

impl EventFold {
    fn begin(&mut self, message: &Value, heard: &Heard) {
        let Some(fields) = message.as_object() else { return };
        let text = |key: &str| message[key].as_str().map(str::to_owned);
        self.has_begun = !fields.is_empty();
        (self.id, self.model, self.stop_reason) = (text("id"), text("model"), text("stop_reason"));
        self.usage = message["usage"].as_object().cloned();
        self.metered = None;
        self.tell(heard);
    }

    fn amend(&mut self, event: &Value, heard: &Heard) {
        if let Some(reason) = event["delta"].get("stop_reason") {
            self.has_begun = true;
            self.stop_reason = reason.as_str().map(str::to_owned);
        }
        // Cumulative: what is there again takes the place of what was.
        if let (Some(usage), Some(later)) = (&mut self.usage, event["usage"].as_object()) {
            let told = later.iter().filter(|(_, count)| !count.is_null());
            usage.extend(told.map(|(key, count)| (key.clone(), count.clone())));
        }
        self.tell(heard);
    }

    /// A sign of life, with the counts so far.
    fn tell(&mut self, heard: &Heard) {
        heard.piece();
        if let Some(usage) = &self.usage {
            let metered = usage::read(usage.clone().into());
            heard.reported(&metered);
            self.metered = Some(metered);
        }
    }

    fn start(&mut self, event: &Value, heard: &Heard) {
        heard.piece();
        let Some(index) = index(event) else { return };
        if self.blocks.len() <= index {
            self.blocks.resize_with(index + 1, Begun::default);
        }
        let block = &event["content_block"];
        let text = |key: &str| block[key].as_str().map(str::to_owned);
        self.blocks[index] = match block["type"].as_str() {
            Some("text") => Begun::Text(text("text").unwrap_or_default()),
            Some("tool_use") => {
                Begun::Tool { id: text("id"), name: text("name").unwrap_or_default(), input: String::new() }
            }
            _ => Begun::Other,
        };
    }

    fn delta(&mut self, event: &Value, heard: &Heard) {
        let delta = &event["delta"];
        let piece = ["text", "partial_json", "thinking"].iter().find_map(|key| delta[*key].as_str());
        heard.text(piece.unwrap_or_default());
        let block = index(event).and_then(|index| self.blocks.get_mut(index));
        match (block, delta["type"].as_str(), piece) {
            (Some(Begun::Text(text)), Some("text_delta"), Some(piece)) => text.push_str(piece),
            (Some(Begun::Tool { input, .. }), Some("input_json_delta"), Some(piece)) => input.push_str(piece),
            _ => {}
        }
    }
}

impl Begun {
    /// The block, now that nothing is added to it.
    fn ended(self) -> Option<Block> {
        match self {
            Self::Other => None,
            Self::Text(text) => Some(Block::Text(text)),
            Self::Tool { id, name, input } => {
                let arguments = chat::arguments(&input);
                // Cut short by max_tokens: half an answer is still worth its message.
                if name == structured::NAME && !arguments.is_object() {
                    return Some(Block::Text(input));
                }
                Some(Block::Tool { id, name, input: arguments })
            }
        }
    }
}

fn index(event: &Value) -> Option<usize> {
    event["index"].as_u64().and_then(|index| usize::try_from(index).ok()).filter(|index| *index < MAX_BLOCKS)
}
