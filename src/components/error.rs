//! Why a component gave no result, and whether another attempt may.

use std::time::Duration;

/// Why a component gave no result.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ComponentError {
    /// Stable and machine-readable: `unreachable`, `http_status`, `invalid_config`, `secret_missing`, ...
    pub code: &'static str,
    /// For a person: what is wrong and what to do.
    pub message: String,
    /// The config key or secret at fault, e.g. `config.url` or `secrets.api_key`.
    pub field: Option<String>,
    pub retry: Retry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    Never,
    /// Another attempt may succeed; not before `after` if given.
    May {
        after: Option<Duration>,
    },
    /// The provider limits the rate of the key. Waiting for it is no failed attempt.
    Slowed {
        after: Option<Duration>,
    },
    /// The run itself is over: lease lost, or cancelled. Not a failure of the node.
    Stop,
}

impl ComponentError {
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, retry: Retry::Never }
    }

    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

/// The code of a call whose answer was lost: it may have been charged.
pub const ANSWER_LOST: &str = "answer_lost";
