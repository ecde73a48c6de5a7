//! What a step can do: one file for each component.

mod agent;
mod credentials;
mod data_fetcher;
mod http_request;
mod llm_processor;
mod model;
mod nodes;
mod opened;
mod outgoing;
mod quality_judge;
mod registry;
mod report_generator;
mod settings;
mod subscription_tracker;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod testing_model;
mod transform;
mod web;
mod web_crawler;
mod website_connector;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
pub use opened::{Bound, Opened};
use secrecy::SecretString;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    base::{AgencyId, AgentId, Metered, RecipeId, TaskId, TeamId, Usage, Usd, apart::Apart},
    catalog::{components::ComponentSpec, model::Node},
    egress, providers,
};

pub use nodes::Nodes;
pub use registry::registry;
pub use report_generator::harmless_html;

/// A step's kind of work. Config arrives rendered: what it holds is data.
#[async_trait]
pub trait Component: Send + Sync {
    /// Its row in the table of components.
    fn spec(&self) -> &'static ComponentSpec;

    /// How `{{ }}` in this component's config is escaped; decided by the raw config.
    fn escaping(&self, _config: &Map<String, Value>) -> Escaping {
        Escaping::None
    }

    /// Does the work once. The output becomes the node's result.
    async fn run(&self, context: &Context<'_>, config: &Map<String, Value>) -> Result<Value, ComponentError>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escaping {
    None,
    Html,
}

/// What a component may reach while it runs.
pub struct Context<'a> {
    pub runtime: &'a Runtime,
    pub inputs: &'a Map<String, Value>,
    pub nodes: &'a dyn Nodes,
    /// The node as its author wrote it, templates and all: what a secret may do is read here.
    pub node: &'a Node,
    /// The node's own `secrets:`. Never put one in an output, nor in a request that
    /// [`Opened::may_go_to`] was not asked about.
    pub secrets: &'a [Opened],
    pub keys: &'a dyn ProviderKeys,
    pub meter: &'a dyn Meter,
    pub turns: &'a dyn Turns,
    /// For what a stranger's schema or text may make long.
    pub apart: &'a Apart,
    pub egress: &'a egress::Client,
    pub providers: &'a providers::Registry,
    /// Cancelled when the task is, or when its lease is lost.
    pub cancel: &'a CancellationToken,
}

/// Facts of the run, the same as `runtime.*` in templates.
#[derive(Debug, Clone)]
pub struct Runtime {
    pub task_id: TaskId,
    pub agency_id: AgencyId,
    pub team_id: TeamId,
    pub agent_instance_id: AgentId,
    pub recipe_id: RecipeId,
    /// When the task started, RFC 3339.
    pub now: String,
    /// The provider and model of the agent's configuration, else of the agency's settings.
    pub default_provider: Option<String>,
    pub default_model: Option<String>,
}

/// Finds the key for a provider: the node's `secrets.api_key` where it is meant for
/// it, else the locker's `<provider>_api_key`, the team's before the agency's.
#[async_trait]
pub trait ProviderKeys: Send + Sync {
    /// `own`: whether the node's `secrets.api_key` is meant for this provider.
    ///
    /// # Errors
    /// The node's own key may not go to this provider; the locker cannot be read.
    async fn key(&self, provider: &str, own: bool) -> Result<Option<SecretString>, ComponentError>;
    /// The provider of a bare model name, from the price book.
    fn provider_of(&self, model: &str) -> Option<String>;
}

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
    pub heard: Option<Arc<providers::Heard>>,
}

impl NewCall {
    /// How the call went if it is over now and nobody else says so.
    #[must_use]
    pub fn cut(&self, status: CallStatus) -> CallOutcome {
        let prompt_tokens = self.estimate.map_or(0, |(prompt, _)| prompt);
        match &self.heard {
            Some(heard) => model::call::cut(status, heard, prompt_tokens, Duration::ZERO),
            None => outgoing::outcome(status, Duration::ZERO),
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

/// The pieces of an Agent's conversation, kept so that whoever goes on with the node,
/// after a failure or on another worker, pays for none of them twice.
#[async_trait]
pub trait Turns: Send + Sync {
    /// What was kept of this node, in order.
    ///
    /// # Errors
    /// The database is unavailable.
    async fn kept(&self) -> Result<Vec<Value>, ComponentError>;

    /// Makes the next piece durable, with the ledger lines of the calls before it.
    /// Gives it as it was written: without secrets.
    ///
    /// # Errors
    /// It cannot be written, or the lease is lost.
    async fn keep(&self, piece: Value) -> Result<Value, ComponentError>;
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub calls: u64,
    pub tokens: u64,
    pub cost: Usd,
}

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

/// A component shared by all tasks of a process.
pub type Shared = Arc<dyn Component>;
