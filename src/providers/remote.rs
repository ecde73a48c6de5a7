//! A provider at the other end of a socket: protocol, address and key put together.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    asked::Asked,
    classify,
    completion::Completion,
    error::ProviderError,
    heard::Heard,
    http::{Answer, Call, Http},
    protocol::Protocol,
    provider::Provider,
    request::Request,
};

/// No answer takes longer, however lively its stream; a node's own limit comes first.
const LONGEST_CALL: Duration = Duration::from_hours(1);
/// Somebody waits for the outcome.
const KEY_CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// One provider's protocol at one address.
#[derive(Debug)]
pub struct Remote {
    name: String,
    protocol: &'static dyn Protocol,
    base: Url,
    origin: String,
    needs_key: bool,
    streams: bool,
    max_in_flight: Option<u32>,
    http: Http,
}

impl Remote {
    pub fn new(name: String, protocol: &'static dyn Protocol, base: Url, needs_key: bool, http: &Http) -> Self {
        let origin = base.origin().ascii_serialization();
        Self { name, protocol, base, origin, needs_key, streams: true, max_in_flight: None, http: http.clone() }
    }

    /// As the operator has it: answers in one piece, so many calls at once with one key.
    pub fn with(self, streams: bool, max_in_flight: Option<u32>) -> Self {
        Self { streams, max_in_flight, ..self }
    }

    fn headers(&self, key: Option<&SecretString>) -> Result<HeaderMap, ProviderError> {
        // A line break at the end of a pasted key is nobody's intention.
        let key = key.map(|key| key.expose_secret().trim()).filter(|key| !key.is_empty());
        if key.is_none() && self.needs_key {
            return Err(classify::no_key(&self.name, "needs a key"));
        }
        let unsendable = |_| classify::no_key(&self.name, "has a key with characters that a header cannot carry");
        self.protocol.headers(key).map_err(unsendable)
    }
}

#[async_trait]
impl Provider for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn needs_key(&self) -> bool {
        self.needs_key
    }

    fn origin(&self) -> Option<&str> {
        Some(&self.origin)
    }

    fn max_in_flight(&self) -> Option<u32> {
        self.max_in_flight
    }

    async fn complete(
        &self,
        request: &Request,
        key: Option<&SecretString>,
        heard: &Heard,
    ) -> Result<Completion, ProviderError> {
        let call = Call {
            asked: Asked { provider: &self.name, model: &request.model, key },
            url: self.protocol.address(&request.model, self.streams).below(&self.base),
            headers: self.headers(key)?,
            body: Some(self.protocol.question(request, self.streams)),
            silence: request.timeout,
            total: if self.streams { LONGEST_CALL } else { request.timeout },
            streams: self.streams.then_some(self.protocol),
        };
        match self.http.ask(&call, heard).await? {
            Answer::Whole(reply) => self.protocol.answer(call.asked, reply),
            Answer::Folded(completion) => Ok(completion),
        }
    }

    async fn check_key(&self, key: &SecretString) -> Result<(), ProviderError> {
        let call = Call {
            asked: Asked { provider: &self.name, model: "", key: Some(key) },
            url: self.protocol.key_address().below(&self.base),
            headers: self.headers(Some(key))?,
            body: None,
            silence: KEY_CHECK_TIMEOUT,
            total: KEY_CHECK_TIMEOUT,
            streams: None,
        };
        match self.http.ask(&call, &Heard::default()).await {
            Ok(_) => Ok(()),
            Err(error) if error.status == Some(404) => {
                let place = call.url.path();
                let message = format!(
                    "{0} has nothing at {place} to try a key on (404): check providers.{0}.base_url",
                    self.name
                );
                Err(ProviderError { message, ..error })
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::providers::known;

    fn url(remote: &Remote, model: &str) -> Url {
        remote.protocol.address(model, remote.streams).below(&remote.base)
    }

    fn key_url(remote: &Remote) -> Url {
        remote.protocol.key_address().below(&remote.base)
    }

    fn question(remote: &Remote, request: &Request) -> Value {
        remote.protocol.question(request, remote.streams)
    }

    fn remote(protocol: &str, base: &str) -> Remote {
        let protocol = known::protocol(protocol).expect("a protocol");
        let http = Http::new().expect("a client");
        Remote::new("acme".into(), protocol, base.parse().expect("a URL"), true, &http)
    }

    #[test]
    fn the_path_follows_the_protocol_and_a_model_cannot_leave_its_segment() {
        let url_of = |protocol, base, model| url(&remote(protocol, base), model).to_string();
        assert_eq!(url_of("openai", "http://h/v1", "m"), "http://h/v1/chat/completions");
        assert_eq!(url_of("openai", "http://h/api/v1/", "m"), "http://h/api/v1/chat/completions");
        assert_eq!(url_of("anthropic", "http://h/v1", "m"), "http://h/v1/messages");
        let gemini = "http://h/v1beta/models/gem:streamGenerateContent?alt=sse";
        assert_eq!(url_of("gemini", "http://h/v1beta", "gem"), gemini);
        let whole = remote("gemini", "http://h/v1beta").with(false, None);
        assert_eq!(url(&whole, "../../x?y#z").as_str(), "http://h/v1beta/models/..%2F..%2Fx%3Fy%23z:generateContent");
    }

    #[test]
    fn a_stream_is_asked_for_as_each_provider_wants_it() {
        let request = Request { model: "m".into(), ..Request::default() };
        let body = |remote: Remote| question(&remote, &request);
        let asked = body(remote("openai", "http://h"));
        assert_eq!((&asked["stream"], &asked["stream_options"]["include_usage"]), (&true.into(), &true.into()));
        let mistral = known::find("mistral").expect("a provider").protocol;
        let asked = body(Remote { protocol: mistral, ..remote("openai", "http://h") });
        assert!(asked["stream"] == true && asked.get("stream_options").is_none(), "{asked}");
        assert_eq!(body(remote("anthropic", "http://h"))["stream"], true);
        assert!(body(remote("gemini", "http://h")).get("stream").is_none());
        assert!(body(remote("openai", "http://h").with(false, None)).get("stream").is_none());
    }

    #[test]
    fn a_key_is_tried_where_it_costs_nothing() {
        let url = |protocol, base| key_url(&remote(protocol, base)).to_string();
        assert_eq!(url("openai", "http://h/v1"), "http://h/v1/models");
        assert_eq!(url("anthropic", "http://h/v1/"), "http://h/v1/models?limit=1");
        assert_eq!(url("gemini", "http://h/v1beta"), "http://h/v1beta/models?pageSize=1");
        let openrouter = known::find("openrouter").expect("a provider").protocol;
        let open = Remote { protocol: openrouter, ..remote("openai", "https://h/api/v1") };
        assert_eq!(key_url(&open).as_str(), "https://h/api/v1/key");
    }

    #[test]
    fn a_key_goes_in_its_protocols_header_and_is_marked_sensitive() {
        for (protocol, header, value) in [
            ("openai", "authorization", "Bearer k1"),
            ("anthropic", "x-api-key", "k1"),
            ("gemini", "x-goog-api-key", "k1"),
        ] {
            let headers = remote(protocol, "http://h/v1").headers(Some(&"k1\n".into())).expect("headers");
            let sent = headers.get(header).expect("the key");
            assert_eq!(sent.to_str().expect("text"), value);
            assert!(sent.is_sensitive());
        }
    }

    #[test]
    fn a_missing_or_unsendable_key_names_the_secret() {
        let remote = remote("openai", "http://h/v1");
        for key in [None, Some(SecretString::from("  ")), Some(SecretString::from("a\nb"))] {
            let error = remote.headers(key.as_ref()).expect_err("an error");
            assert!(error.message.contains("acme_api_key") && !error.message.contains("a\nb"), "{error}");
        }
    }
}
