//! A question to the script.

use serde_json::Value;

use super::hash::hash;
use crate::providers::Tool;

/// A question, whichever protocol it came in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'a> {
    pub model: &'a str,
    pub system: &'a str,
    /// All that was said, one after the other.
    pub prompt: &'a str,
    pub max_tokens: Option<u32>,
    pub schema: Option<&'a Value>,
    /// What may be asked for; empty where it has to be answered now.
    pub tools: &'a [Tool],
    /// Tools' results so far.
    pub results: usize,
    /// The model's own messages so far.
    pub replies: usize,
}

impl Question<'_> {
    /// What makes the answers to different questions differ.
    pub fn seed(&self) -> u64 {
        hash(&[self.model, self.system, self.prompt])
    }

    /// The number after `scripted-<prefix>` in the model's name.
    pub fn number(&self, prefix: &str) -> Option<usize> {
        self.model.strip_prefix("scripted-")?.strip_prefix(prefix)?.parse().ok()
    }
}
