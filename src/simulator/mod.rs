//! A model provider that is none: it answers by rule, the same question in the same way,
//! and fails in the way that a model's name asks for.
//!
//! - `script`: what it answers, and when it fails
//! - [`Scripted`]: the provider `scripted`, inside the process
//! - [`Simulator`]: the same over HTTP, in the protocols of OpenAI, Anthropic and Gemini
//! - `asked`, `protocol`, `openai`, `anthropic`, `gemini`: those protocols from the other side
//! - `keys`, `log`: keys that it refuses, and its own account of what it was asked
//!
//! Any key is taken, and none, but for `bad-key`, which is refused, and keys such as
//! `rate-2-anything`, which may call twice in a second. Paths may have any prefix, so
//! that one simulator stands in for every provider's base URL.

mod anthropic;
mod asked;
mod door;
mod gemini;
mod keys;
mod log;
mod openai;
mod protocol;
pub(crate) mod script;
mod scripted;
mod server;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;

pub use scripted::Scripted;
pub use server::{Simulator, start};
