//! Language-model providers behind one trait.
//!
//! - [`protocol`]: what a wire protocol has to say; `openai`, `anthropic` and `gemini` are
//!   one folder each: `messages` puts the question and reads an answer that came in one
//!   piece, `stream` folds one that comes in pieces, `usage` reads its counts
//! - `remote`, `http`: a provider at an address; sending is written once
//! - [`stream`]: from bytes to the events that a protocol folds
//! - [`classify`]: what a failure means
//! - [`heard`]: what is known of a call that was cut off
//! - [`traffic`]: whether a call may leave at all
//! - [`known`], [`registry`]: the providers that are there, and those of an installation
//!
//! Adding a protocol is its folder and its row in [`known::PROTOCOLS`].

mod anthropic;
pub mod asked;
pub mod chat;
pub mod classify;
pub mod completion;
mod counts;
pub mod error;
pub mod estimate;
#[cfg(fuzzing)]
pub mod fuzz;
mod gemini;
pub mod heard;
mod http;
mod key_secret;
pub mod known;
pub mod openai;
pub mod protocol;
pub mod provider;
pub mod registry;
mod remote;
pub mod request;
pub mod stream;
pub mod structured;
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
