//! A provider at the other end of a socket: protocol, address and key put together.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::{
    Completion, Heard, Provider, ProviderError, Request, anthropic,
    classify::{self, Asked},
    gemini,
    http::{Call, Http},
    known::{self, Protocol},
    openai,
};

/// No answer takes longer, however lively its stream; a node's own limit comes first.
const LONGEST_CALL: Duration = Duration::from_hours(1);
/// Somebody waits for the outcome.
const KEY_CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// One provider's protocol at one address.
#[derive(Debug)]
pub struct Remote {
    name: String,
    protocol: Protocol,
    base: Url,
    origin: String,
    needs_key: bool,
    streams: bool,
    max_in_flight: Option<u32>,
    http: Http,
}

impl Remote {
    pub fn new(name: String, protocol: Protocol, base: Url, needs_key: bool, http: &Http) -> Self {
        let origin = base.origin().ascii_serialization();
        Self { name, protocol, base, origin, needs_key, streams: true, max_in_flight: None, http: http.clone() }
    }

    /// As the operator has it: answers in one piece, so many calls at once with one key.
    pub fn with(self, streams: bool, max_in_flight: Option<u32>) -> Self {
        Self { streams, max_in_flight, ..self }
    }

    /// The base's path with the protocol's own added. A model's name is one
    /// segment, whatever is in it.
    fn url(&self, model: &str) -> Url {
        match self.protocol {
            Protocol::OpenAi(_) => self.below(&["chat", "completions"]),
            Protocol::Anthropic => self.below(&["messages"]),
            Protocol::Gemini if self.streams => {
                let mut url = self.below(&["models", &format!("{model}:streamGenerateContent")]);
                url.set_query(Some("alt=sse"));
                url
            }
            Protocol::Gemini => self.below(&["models", &format!("{model}:generateContent")]),
        }
    }

    /// Where a key is tried; of a list of models, one is enough.
    fn key_url(&self) -> Url {
        let mut url = self.below(&[known::key_path(&self.name)]);
        match self.protocol {
            Protocol::OpenAi(_) => {}
            Protocol::Anthropic => url.set_query(Some("limit=1")),
            Protocol::Gemini => url.set_query(Some("pageSize=1")),
        }
        url
    }

    fn below(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    fn question(&self, request: &Request) -> Value {
        let mut body = match self.protocol {
            Protocol::OpenAi(dialect) => openai::question(request, dialect),
            Protocol::Anthropic => anthropic::question(request),
            Protocol::Gemini => gemini::question(request),
        };
        match self.protocol {
            Protocol::OpenAi(dialect) if self.streams => openai::streamed(&mut body, dialect),
            Protocol::Anthropic if self.streams => anthropic::streamed(&mut body),
            // Gemini's path says it.
            _ => {}
        }
        body
    }

    fn headers(&self, key: Option<&SecretString>) -> Result<HeaderMap, ProviderError> {
        let mut headers = HeaderMap::new();
        if self.protocol == Protocol::Anthropic {
            headers.insert("anthropic-version", HeaderValue::from_static(anthropic::VERSION));
        }
        // A line break at the end of a pasted key is nobody's intention.
        let key = key.map(|key| key.expose_secret().trim()).filter(|key| !key.is_empty());
        let Some(key) = key else {
            return if self.needs_key { Err(classify::no_key(&self.name, "needs a key")) } else { Ok(headers) };
        };
        let (name, value) = match self.protocol {
            Protocol::OpenAi(_) => ("authorization", HeaderValue::try_from(format!("Bearer {key}"))),
            Protocol::Anthropic => ("x-api-key", HeaderValue::try_from(key)),
            Protocol::Gemini => ("x-goog-api-key", HeaderValue::try_from(key)),
        };
        let unsendable = |_| classify::no_key(&self.name, "has a key that holds characters no key can have");
        let mut value = value.map_err(unsendable)?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(headers)
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
            url: self.url(&request.model),
            headers: self.headers(key)?,
            body: Some(self.question(request)),
            silence: request.timeout,
            total: if self.streams { LONGEST_CALL } else { request.timeout },
            streams: self.streams.then_some(self.protocol),
        };
        let reply = self.http.ask(&call, heard).await?;
        match self.protocol {
            Protocol::OpenAi(_) => openai::answer(call.asked, reply),
            Protocol::Anthropic => anthropic::answer(call.asked, reply),
            Protocol::Gemini => gemini::answer(call.asked, reply),
        }
    }

    async fn check_key(&self, key: &SecretString) -> Result<(), ProviderError> {
        let call = Call {
            asked: Asked { provider: &self.name, model: "", key: Some(key) },
            url: self.key_url(),
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
    use super::*;

    fn remote(protocol: &str, base: &str) -> Remote {
        let protocol = Protocol::named(protocol).expect("a protocol");
        let http = Http::new().expect("a client");
        Remote::new("acme".into(), protocol, base.parse().expect("a URL"), true, &http)
    }

    #[test]
    fn the_path_follows_the_protocol_and_a_model_cannot_leave_its_segment() {
        let url = |protocol, base, model| remote(protocol, base).url(model).to_string();
        assert_eq!(url("openai", "http://h/v1", "m"), "http://h/v1/chat/completions");
        assert_eq!(url("openai", "http://h/api/v1/", "m"), "http://h/api/v1/chat/completions");
        assert_eq!(url("anthropic", "http://h/v1", "m"), "http://h/v1/messages");
        let gemini = "http://h/v1beta/models/gem:streamGenerateContent?alt=sse";
        assert_eq!(url("gemini", "http://h/v1beta", "gem"), gemini);
        let whole = remote("gemini", "http://h/v1beta").with(false, None);
        assert_eq!(whole.url("../../x?y#z").as_str(), "http://h/v1beta/models/..%2F..%2Fx%3Fy%23z:generateContent");
    }

    #[test]
    fn a_stream_is_asked_for_as_each_provider_wants_it() {
        let request = Request { model: "m".into(), ..Request::default() };
        let body = |remote: Remote| remote.question(&request);
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
        let url = |protocol, base| remote(protocol, base).key_url().to_string();
        assert_eq!(url("openai", "http://h/v1"), "http://h/v1/models");
        assert_eq!(url("anthropic", "http://h/v1/"), "http://h/v1/models?limit=1");
        assert_eq!(url("gemini", "http://h/v1beta"), "http://h/v1beta/models?pageSize=1");
        let open = Remote { name: "openrouter".into(), ..remote("openai", "https://h/api/v1") };
        assert_eq!(open.key_url().as_str(), "https://h/api/v1/key");
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
