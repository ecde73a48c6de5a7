//! A call that leaves: what it is, how it went, and the ledger's side of it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::error::ComponentError;
use crate::{
    base::{Metered, Usage, Usd},
    providers::Heard,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    Llm,
    Http,
    Crawl,
}

/// A call that is about to leave.
#[derive(Debug, Clone)]
pub struct NewCall {
    pub kind: CallKind,
    pub provider: Option<String>,
    pub model: Option<String>,
    /// Names the request: equal requests have equal text. Only its hash is kept.
    pub fingerprint: String,
    /// Prompt tokens counted beforehand, and the bound on answer tokens; for the reservation.
    pub estimate: Option<(u64, u64)>,
    /// What arrives of the answer, for a call that is cut off before it is settled.
    pub heard: Option<Arc<Heard>>,
}

impl NewCall {
    /// How the call went if it is over now and nobody else says so.
    #[must_use]
    pub fn cut(&self, status: CallStatus) -> CallOutcome {
        let prompt_tokens = self.estimate.map_or(0, |(prompt, _)| prompt);
        match &self.heard {
            Some(heard) => CallOutcome::cut_off(status, heard, prompt_tokens, Duration::ZERO),
            None => CallOutcome::without_usage(status, Duration::ZERO),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallStatus {
    Success,
    Failed,
    Timeout,
    /// Sent, answer lost.
    Unknown,
}

/// How a call went. Every call begun is settled.
#[derive(Debug, Clone)]
pub struct CallOutcome {
    pub status: CallStatus,
    /// `None` where nothing is known of what it used.
    pub metered: Option<Metered>,
    pub request_id: Option<String>,
    pub elapsed: Duration,
}

impl CallOutcome {
    /// How a call went that uses nothing, or of which nothing is known.
    #[must_use]
    pub fn without_usage(status: CallStatus, elapsed: Duration) -> Self {
        Self { status, metered: None, request_id: None, elapsed }
    }

    /// How a call went that was cut off, as far as it was heard.
    #[must_use]
    pub fn cut_off(status: CallStatus, heard: &Heard, prompt_tokens: u64, elapsed: Duration) -> Self {
        Self {
            metered: heard.partial(prompt_tokens),
            request_id: heard.request_id(),
            ..Self::without_usage(status, elapsed)
        }
    }

    /// The tokens that count. No prompt is empty: an answer without a token is one that
    /// nobody counted.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let usage = self.metered.as_ref()?.usage;
        (self.status != CallStatus::Success || usage.total() > 0).then_some(usage)
    }

    /// Whether the tokens were counted here.
    #[must_use]
    pub fn is_estimated(&self) -> bool {
        self.metered.as_ref().is_some_and(|metered| metered.estimated)
    }
}

/// The ledger's side of a call, kept by the engine.
#[async_trait]
pub trait Meter: Send + Sync {
    /// Makes the intent durable and gives the call's number. Nothing may leave before this returns.
    async fn begin(&self, call: NewCall) -> Result<u32, ComponentError>;
    /// Prices the call and keeps its ledger line; it is durable with the node's
    /// result or the next intent. The cost is `None` where no price is known.
    async fn settle(&self, call_no: u32, outcome: CallOutcome) -> Option<Usd>;
    /// Metering of the task so far.
    fn totals(&self) -> Totals;
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub calls: u64,
    pub tokens: u64,
    pub cost: Usd,
}
