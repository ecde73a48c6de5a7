//! Why a call gave no answer.

use std::time::Duration;

use crate::base::Metered;

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
    /// What the provider reported with the failure.
    pub metered: Option<Metered>,
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
    /// A failure of which neither a status nor an id is known.
    #[must_use]
    pub fn new(kind: ErrorKind, message: String) -> Self {
        Self { kind, message, status: None, request_id: None, metered: None }
    }

    /// Adds what the provider says the failed call used. It is charged as it stands:
    /// the counts of half an answer need not add up.
    #[must_use]
    pub fn with_usage(self, metered: Metered) -> Self {
        let reported = metered.raw.is_some().then_some(Metered { mismatch: false, ..metered });
        Self { metered: reported, ..self }
    }

    /// Whether an answer to [`super::Provider::check_key`] says that calls with this key
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
