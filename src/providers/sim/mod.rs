//! The script's door over HTTP: speaks the protocols of OpenAI, Anthropic and Gemini.
//!
//! Any key is taken, and none, but for `bad-key`, which is refused, and keys such as
//! `rate-2-anything`, which may call twice in a second. Paths may have any prefix, so
//! that one simulator stands in for every provider's base URL.

pub(super) mod anthropic;
mod door;
pub(super) mod gemini;
mod log;
pub(super) mod openai;
mod rate;

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use poem::{Server, endpoint::make, listener::TcpAcceptor};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    Tool,
    script::{Question, Script},
};
use crate::base::SystemClock;
use log::Log;

/// The one key that is refused.
pub const BAD_KEY: &str = "bad-key";

/// A simulator that answers until it is dropped.
#[derive(Debug)]
pub struct Sim {
    pub addr: SocketAddr,
    server: JoinHandle<io::Result<()>>,
}

impl Sim {
    /// The base URL for a provider that speaks OpenAI's protocol or Anthropic's.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Waits until the server ends, which it does by itself only in failure.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn run(mut self) -> io::Result<()> {
        (&mut self.server).await.map_err(io::Error::other)?
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Binds `addr` (port 0 for a free one) and answers there. Each request is one
/// JSON line in the file `log`, written before the answer leaves.
///
/// # Errors
/// The address is taken, or the file cannot be written.
pub async fn start(addr: &str, log: Option<&Path>) -> io::Result<Sim> {
    let listener = TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    let log = Log::open(log, SystemClock::shared())?;
    let shared = Arc::new(door::Shared { script: Script::default(), log, rates: rate::Rates::default() });
    let endpoint = make(move |request| {
        let shared = Arc::clone(&shared);
        async move { door::handle(&shared, request).await }
    });
    let server = Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?);
    Ok(Sim { addr, server: tokio::spawn(server.run(endpoint)) })
}

/// A question as a protocol's body asks it.
#[derive(Debug, Default, PartialEq)]
pub struct Asked {
    pub model: String,
    pub system: String,
    pub prompt: String,
    pub max_tokens: Option<u32>,
    pub schema: Option<Value>,
    /// Empty where the answer has to come without them.
    pub tools: Vec<Tool>,
    pub results: usize,
    pub replies: usize,
    pub stream: bool,
    /// OpenAI's `stream_options.include_usage`.
    pub stream_usage: bool,
}

impl Asked {
    #[must_use]
    pub fn question(&self) -> Question<'_> {
        Question {
            model: &self.model,
            system: &self.system,
            prompt: &self.prompt,
            max_tokens: self.max_tokens,
            schema: self.schema.as_ref(),
            tools: &self.tools,
            results: self.results,
            replies: self.replies,
        }
    }
}

/// The text of a message: a string, or the text of its parts.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// The schema that our own adapters write into a prompt where nothing enforces it.
fn told_schema(system: &str) -> Option<Value> {
    let (_, schema) = system.rsplit_once(super::structured::MARKER)?;
    serde_json::from_str(schema).ok()
}

/// A tool as a protocol declares it; `schema` is the key of its arguments' schema.
fn tool(declared: &Value, schema: &str) -> Tool {
    let text = |key: &str| declared[key].as_str().unwrap_or_default().to_owned();
    Tool { name: text("name"), description: text("description"), schema: declared[schema].clone() }
}

fn limit(value: &Value) -> Option<u32> {
    value.as_u64().map(|limit| u32::try_from(limit).unwrap_or(u32::MAX))
}

/// A text in pieces of a few characters, as a stream brings it.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(24).map(|chunk| chunk.iter().collect()).collect()
}
