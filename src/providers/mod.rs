//! Language-model providers behind one trait.
//!
//! - `protocol`: what a wire protocol has to say; `openai`, `anthropic` and `gemini` are
//!   one folder each: `messages` puts the question and reads an answer that came in one
//!   piece, `stream` folds one that comes in pieces, `usage` reads its counts
//! - `remote`, `http`: a provider at an address; sending is written once
//! - `stream`: from bytes to the events that a protocol folds
//! - `classify`: what a failure means
//! - `heard`: what is known of a call that was cut off
//! - [`traffic`]: whether a call may leave at all
//! - `known`, `registry`: the providers that are there, and those of an installation
//!
//! Adding a protocol is its folder and its row in `known::PROTOCOLS`.

mod anthropic;
pub(crate) mod asked;
mod chat;
pub(crate) mod classify;
mod completion;
mod counts;
mod error;
pub mod estimate;
#[cfg(fuzzing)]
pub mod fuzz;
mod gemini;
mod heard;
mod http;
mod key_secret;
pub(crate) mod known;
pub(crate) mod openai;
pub(crate) mod protocol;
mod provider;
mod registry;
mod remote;
mod request;
pub(crate) mod stream;
pub(crate) mod structured;
#[cfg(test)]
mod tests;
pub mod traffic;

pub use chat::{Tool, ToolCall, ToolResult, Turn};
pub use completion::Completion;
pub use error::{ErrorKind, ProviderError};
pub use heard::Heard;
pub use key_secret::{key_secret, provider_of_key};
pub use provider::Provider;
pub use registry::{Registry, RegistryError};
pub use request::Request;
pub use traffic::Patience;
