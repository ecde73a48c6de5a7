//! OpenAI's chat completions, and everyone who speaks the same.

mod dialect;
mod messages;
mod stream;
mod usage;

use reqwest::header::{AUTHORIZATION, HeaderMap, InvalidHeaderValue};
use serde_json::Value;

use super::{
    asked::Asked,
    completion::Completion,
    error::ProviderError,
    protocol::{Address, Fold, Protocol, Reply, key_header},
    request::Request,
};
use crate::base::Metered;

pub use dialect::Dialect;

/// The protocol, as one of its speakers has it.
#[derive(Debug)]
pub struct OpenAi(pub Dialect);

impl Protocol for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn default_path(&self) -> &'static str {
        "/v1"
    }

    fn address(&self, _model: &str, _streams: bool) -> Address {
        Address::new(["chat", "completions"])
    }

    fn key_address(&self) -> Address {
        Address::new([self.0.key_path])
    }

    fn headers(&self, key: Option<&str>) -> Result<HeaderMap, InvalidHeaderValue> {
        key.map(|key| key_header(AUTHORIZATION, &format!("Bearer {key}"))).into_iter().collect()
    }

    fn question(&self, request: &Request, streams: bool) -> Value {
        let mut body = messages::question(request, self.0);
        if streams {
            messages::ask_for_stream(&mut body, self.0);
        }
        body
    }

    fn fold(&self) -> Box<dyn Fold> {
        Box::<stream::ChunkFold>::default()
    }

    fn answer(&self, asked: Asked<'_>, mut reply: Reply) -> Result<Completion, ProviderError> {
        let metered = self.usage(&mut reply.body);
        messages::answer(asked, reply, metered)
    }

    fn usage(&self, body: &mut Value) -> Metered {
        usage::read(body.get_mut("usage").map(Value::take).unwrap_or_default())
    }
}
