//! What a step can do: one file for each component, and what they share.
//!
//! - [`component`]: the trait, and what a component may reach while it runs
//! - [`calls`]: a call that leaves, how it went, and the ledger's side of it
//! - [`error`]: why a component gave no result, and whether to try again
//! - [`registry()`]: the components of an installation

mod agent;
mod calls;
mod component;
mod credentials;
mod data_fetcher;
mod error;
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

pub use calls::{CallKind, CallOutcome, CallStatus, Meter, NewCall, Totals};
pub use component::{Component, Context, Escaping, ProviderKeys, Runtime, Shared, Turns};
pub use error::{ANSWER_LOST, ComponentError, Retry};
pub use nodes::Nodes;
pub use opened::{Bound, Opened};
pub use registry::registry;
pub use report_generator::harmless_html;
