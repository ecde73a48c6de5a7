//! Language-model providers behind one trait.
//!
//! An adapter is two pure functions, question to JSON and JSON to answer
//! (`openai`, `anthropic`, `gemini`); a stream is folded into the answer that would
//! have come in one piece (`stream`). Sending is written once (`http`, `remote`), and
//! so is what a failure means (`classify`), what is known of a call that was cut off
//! (`heard`), and whether a call may leave at all (`traffic`). The scripted provider
//! answers from `script`, in the process (`scripted`) or over HTTP (`sim`).

mod anthropic;
mod chat;
mod classify;
pub mod estimate;
#[cfg(fuzzing)]
pub mod fuzz;
mod gemini;
mod heard;
mod http;
mod known;
mod openai;
mod registry;
mod remote;
pub mod script;
mod scripted;
pub mod sim;
mod stream;
mod structured;
#[cfg(test)]
mod tests;
pub mod traffic;
pub mod usage;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::base::{SecretHost, Usage};

pub use chat::{Tool, ToolCall, ToolResult, Turn};
pub use heard::{Heard, Partial};
pub use registry::{Registry, RegistryError};
pub use scripted::Scripted;
pub use traffic::Patience;

/// One question to a model.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The provider's own model name, without a `provider/` prefix.
    pub model: String,
    pub system: Option<String>,
    pub prompt: String,
    /// What was said after the prompt, in order.
    pub turns: Vec<Turn>,
    /// What the model may ask for.
    pub tools: Vec<Tool>,
    /// The tools stand there for the record: the model has to answer without them.
    pub answer_now: bool,
    pub temperature: Option<f64>,
    pub max_tokens: Option<u32>,
    /// JSON Schema that the answer is asked to follow.
    pub response_schema: Option<Value>,
    /// The longest silence: until the answer begins, and between two pieces of it.
    /// Bounds the whole call where the provider does not stream.
    pub timeout: Duration,
}

/// A model's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Completion {
    pub content: String,
    /// What the model asks for before it goes on.
    pub tool_calls: Vec<ToolCall>,
    /// The model that answered, as the provider names it.
    pub model: String,
    pub usage: Usage,
    /// What the provider sent as usage, to the letter.
    pub raw_usage: Value,
    /// Set when the buckets do not add up to the provider's own total.
    pub usage_mismatch: bool,
    /// The provider's id of the request, for its support.
    pub request_id: Option<String>,
    pub finish_reason: Option<String>,
}

/// Why a call gave no answer, and what that means for the ledger and for a retry.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    pub kind: ErrorKind,
    /// For a person: names the provider and what to do. Never holds a key.
    pub message: String,
    /// HTTP status, where there was an answer.
    pub status: Option<u16>,
    pub request_id: Option<String>,
    /// Usage that the provider reported with the failure.
    pub usage: Option<(Usage, Value)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nothing left this machine: no connection was made.
    NotSent,
    /// The provider said no in a way that trying again does not change: bad key,
    /// unknown model, invalid request.
    Rejected,
    /// The provider said "later": 429, 5xx, overloaded. Wait at least `after` if given.
    Retry { after: Option<Duration> },
    /// Nothing was asked: the key was refused for its rate a moment ago, or as many
    /// calls as the operator allows are in flight with it.
    Slowed { after: Duration },
    /// The request left and no answer came in time.
    Timeout,
    /// The request left and the answer was lost or cannot be read: it may have
    /// been charged.
    Unknown,
}

impl ProviderError {
    /// Whether an answer to [`Provider::check_key`] says that calls with this key
    /// fail: it is wrong, blocked, cannot be sent, or its account is empty. A key
    /// that lacks the right to this one question may be good for others.
    #[must_use]
    pub fn refuses_the_key(&self) -> bool {
        let lacks_a_right = || self.message.to_lowercase().contains("scope");
        self.kind == ErrorKind::Rejected
            && match self.status {
                None => true,
                Some(401 | 403) => !lacks_a_right(),
                Some(status) => matches!(status, 400 | 402 | 429),
            }
    }
}

/// One provider's protocol at one address.
#[async_trait]
pub trait Provider: Send + Sync + fmt::Debug {
    /// The name that recipes and the ledger use: `openai`, `groq`, ...
    fn name(&self) -> &str;

    /// Whether a call without a key can succeed (a local server, the scripted provider).
    fn needs_key(&self) -> bool {
        true
    }

    /// Scheme, host and port that calls go to; `None` for what is in this process.
    fn origin(&self) -> Option<&str> {
        None
    }

    /// The host that calls go to, and so the provider's keys; `None` for what is in this process.
    fn host(&self) -> Option<SecretHost> {
        self.origin().and_then(|origin| Url::parse(origin).ok()).as_ref().and_then(SecretHost::of_url)
    }

    /// Calls at once with one key that this process makes; `None` for any number.
    fn max_in_flight(&self) -> Option<u32> {
        None
    }

    /// Asks the model once. No retries: the engine counts attempts. What arrives is
    /// told to `heard` as it does, so that a call that is cut off can be accounted for.
    async fn complete(
        &self,
        request: &Request,
        key: Option<&SecretString>,
        heard: &Heard,
    ) -> Result<Completion, ProviderError>;

    /// Asks once for something that costs nothing and that only a good key is given.
    ///
    /// # Errors
    /// See [`ProviderError::refuses_the_key`] for whether the key is at fault.
    async fn check_key(&self, key: &SecretString) -> Result<(), ProviderError>;
}

/// What the locker's name for a provider's key ends in.
const KEY_SUFFIX: &str = "_api_key";

/// The locker's name for a provider's key.
#[must_use]
pub fn key_secret(provider: &str) -> String {
    format!("{provider}{KEY_SUFFIX}")
}

/// The provider whose key a secret of this name is, if there is such a provider.
#[must_use]
pub fn provider_of_key(key_name: &str) -> Option<&str> {
    key_name.strip_suffix(KEY_SUFFIX)
}
