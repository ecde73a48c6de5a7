//! Anthropic's messages.

mod messages;
mod stream;
mod usage;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use serde_json::Value;

use super::{
    asked::Asked,
    completion::Completion,
    error::ProviderError,
    protocol::{Address, Fold, Protocol, Reply, key_header},
    request::Request,
};
use crate::base::Metered;

/// The version of the protocol, sent as `anthropic-version`.
const VERSION: &str = "2023-06-01";

/// The protocol; it has one speaker.
#[derive(Debug)]
pub struct Anthropic;

impl Protocol for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn default_path(&self) -> &'static str {
        "/v1"
    }

    fn address(&self, _model: &str, _streams: bool) -> Address {
        Address::new(["messages"])
    }

    fn key_address(&self) -> Address {
        Address::new(["models"]).with_query("limit=1")
    }

    fn headers(&self, key: Option<&str>) -> Result<HeaderMap, InvalidHeaderValue> {
        let version = (HeaderName::from_static("anthropic-version"), HeaderValue::from_static(VERSION));
        let key = key.map(|key| key_header(HeaderName::from_static("x-api-key"), key));
        std::iter::once(Ok(version)).chain(key).collect()
    }

    fn question(&self, request: &Request, streams: bool) -> Value {
        let mut body = messages::question(request);
        if streams {
            body["stream"] = true.into();
        }
        body
    }

    fn fold(&self) -> Box<dyn Fold> {
        Box::<stream::EventFold>::default()
    }

    fn answer(&self, asked: Asked<'_>, mut reply: Reply) -> Result<Completion, ProviderError> {
        let metered = self.usage(&mut reply.body);
        messages::answer(asked, reply, metered)
    }

    fn usage(&self, body: &mut Value) -> Metered {
        usage::read(body.get_mut("usage").map(Value::take).unwrap_or_default())
    }
}
