//! Language-model providers behind one trait.
//!
//! An adapter is two pure functions, question to JSON and JSON to answer
//! (`openai`, `anthropic`, `gemini`); sending is written once (`http`,
//! `remote`), and so is what a failure means (`classify`). The scripted provider
//! answers from `script`, in the process (`scripted`) or over HTTP (`sim`).

mod anthropic;
mod classify;
#[cfg(fuzzing)]
pub mod fuzz;
mod gemini;
mod http;
mod known;
mod openai;
mod registry;
mod remote;
pub mod script;
mod scripted;
pub mod sim;
mod structured;
#[cfg(test)]
mod tests;
pub mod usage;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::Usage;

pub use registry::{Registry, RegistryError};
pub use scripted::Scripted;

/// One question to a model.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The provider's own model name, without a `provider/` prefix.
    pub model: String,
    pub system: Option<String>,
    pub prompt: String,
    pub temperature: Option<f64>,
    pub max_tokens: Option<u32>,
    /// JSON Schema that the answer is asked to follow.
    pub response_schema: Option<Value>,
    /// Bound of the whole call, answer included.
    pub timeout: Duration,
}

/// A model's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Completion {
    pub content: String,
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
    /// Usage that the provider reported before it failed.
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
    /// The request left and no answer came in time.
    Timeout,
    /// The request left and the answer was lost or cannot be read: it may have
    /// been charged.
    Unknown,
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

    /// Asks the model once. No retries: the engine counts attempts.
    async fn complete(&self, request: &Request, key: Option<&SecretString>) -> Result<Completion, ProviderError>;
}

/// The locker's name for a provider's key.
#[must_use]
pub fn key_secret(provider: &str) -> String {
    format!("{provider}_api_key")
}
