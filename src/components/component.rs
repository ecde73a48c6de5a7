//! What a component is, and what it may reach while it runs.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::{calls::Meter, error::ComponentError, nodes::Nodes, opened::Opened};
use crate::{
    base::{AgencyId, AgentId, RecipeId, TaskId, TeamId, apart::Apart},
    catalog::{components::ComponentSpec, model::Node},
    egress, providers,
};

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

/// A component shared by all tasks of a process.
pub type Shared = Arc<dyn Component>;
