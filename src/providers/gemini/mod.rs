//! Gemini's generateContent.

mod messages;
mod stream;
mod usage;

use reqwest::header::{HeaderMap, HeaderName, InvalidHeaderValue};
use serde_json::Value;

use super::{
    asked::Asked,
    completion::Completion,
    error::ProviderError,
    protocol::{Address, Fold, Protocol, Reply, key_header},
    request::Request,
};
use crate::base::Metered;

/// The protocol; it has one speaker.
#[derive(Debug)]
pub struct Gemini;

impl Protocol for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn default_path(&self) -> &'static str {
        "/v1beta"
    }

    fn address(&self, model: &str, streams: bool) -> Address {
        if streams {
            Address::new(["models", &format!("{model}:streamGenerateContent")]).with_query("alt=sse")
        } else {
            Address::new(["models", &format!("{model}:generateContent")])
        }
    }

    fn key_address(&self) -> Address {
        Address::new(["models"]).with_query("pageSize=1")
    }

    fn headers(&self, key: Option<&str>) -> Result<HeaderMap, InvalidHeaderValue> {
        key.map(|key| key_header(HeaderName::from_static("x-goog-api-key"), key)).into_iter().collect()
    }

    /// The address says whether it streams.
    fn question(&self, request: &Request, _streams: bool) -> Value {
        messages::question(request)
    }

    fn fold(&self) -> Box<dyn Fold> {
        Box::<stream::PieceFold>::default()
    }

    fn answer(&self, asked: Asked<'_>, mut reply: Reply) -> Result<Completion, ProviderError> {
        let metered = self.usage(&mut reply.body);
        messages::answer(asked, reply, metered)
    }

    fn usage(&self, body: &mut Value) -> Metered {
        usage::read(body.get_mut("usageMetadata").map(Value::take).unwrap_or_default())
    }
}
