//! Why a request got no answer, and whether it may have left.

use std::time::Duration;

/// A request that gave no usable answer. The message names the URL, without its
/// query and credentials, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {kind}")]
pub struct Error {
    pub kind: ErrorKind,
    /// The URL as it may be shown.
    pub url: String,
    /// Whether a request may have reached a server before this happened.
    pub sent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    #[error("not a usable URL ({0}); write it as https://host/path")]
    InvalidUrl(String),
    #[error("refused: {0}")]
    Refused(String),
    #[error("the host name was not found ({0}); check its spelling and that it has a DNS record")]
    NameNotFound(String),
    #[error("could not connect ({0}); check that the server is up and reachable from here")]
    Unreachable(String),
    #[error("no complete answer within {} s; raise the timeout or try a smaller request", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("the answer is larger than {0} bytes after decompression; ask for less")]
    TooLarge(usize),
    #[error("more than {0} redirects; use the address at the end of the chain")]
    TooManyRedirects(usize),
    #[error("the connection broke before the answer was complete ({0}); try again")]
    Broken(String),
    #[error("the answer cannot be decoded ({0}); the server names the wrong content-encoding")]
    Undecodable(String),
    #[error("{why}")]
    NoRoom { why: String, later: bool },
    #[error("stopped before the answer came")]
    Cancelled,
    #[error("the HTTP client could not be made ({0})")]
    Setup(String),
}

impl ErrorKind {
    /// Stable and machine-readable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidUrl(_) => "invalid_url",
            Self::Refused(_) => "address_refused",
            Self::NameNotFound(_) | Self::Unreachable(_) => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::TooLarge(_) => "too_large",
            Self::TooManyRedirects(_) => "too_many_redirects",
            Self::Broken(_) | Self::Undecodable(_) => "broken_answer",
            Self::NoRoom { later: true, .. } => "room_awaited",
            Self::NoRoom { .. } => "run_too_large",
            Self::Cancelled => "cancelled",
            Self::Setup(_) => "setup",
        }
    }

    /// Whether the same request can go better later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NameNotFound(_) | Self::Unreachable(_) | Self::Timeout(_) | Self::Broken(_) => true,
            Self::NoRoom { later, .. } => *later,
            Self::InvalidUrl(_)
            | Self::Refused(_)
            | Self::TooLarge(_)
            | Self::TooManyRedirects(_)
            | Self::Undecodable(_)
            | Self::Cancelled
            | Self::Setup(_) => false,
        }
    }
}
