//! A provider at the other end of a socket: protocol, address and key put together.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    Completion, Provider, ProviderError, Request, anthropic,
    classify::{self, Asked},
    gemini,
    http::{Call, Http},
    known::{self, Protocol},
    openai,
};

/// Somebody waits for the outcome.
const KEY_CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// One provider's protocol at one address.
#[derive(Debug)]
pub struct Remote {
    name: String,
    protocol: Protocol,
    base: Url,
    needs_key: bool,
    http: Http,
}

impl Remote {
    pub fn new(name: String, protocol: Protocol, base: Url, needs_key: bool, http: &Http) -> Self {
        Self { name, protocol, base, needs_key, http: http.clone() }
    }

    /// The base's path with the protocol's own added. A model's name is one
    /// segment, whatever is in it.
    fn url(&self, model: &str) -> Url {
        match self.protocol {
            Protocol::OpenAi(_) => self.below(&["chat", "completions"]),
            Protocol::Anthropic => self.below(&["messages"]),
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

    async fn complete(&self, request: &Request, key: Option<&SecretString>) -> Result<Completion, ProviderError> {
        let call = Call {
            asked: Asked { provider: &self.name, model: &request.model, key },
            url: self.url(&request.model),
            headers: self.headers(key)?,
            body: Some(match self.protocol {
                Protocol::OpenAi(dialect) => openai::question(request, dialect),
                Protocol::Anthropic => anthropic::question(request),
                Protocol::Gemini => gemini::question(request),
            }),
            timeout: request.timeout,
        };
        let reply = self.http.ask(&call).await?;
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
            timeout: KEY_CHECK_TIMEOUT,
        };
        match self.http.ask(&call).await {
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
        assert_eq!(url("gemini", "http://h/v1beta", "gem"), "http://h/v1beta/models/gem:generateContent");
        assert_eq!(
            url("gemini", "http://h/v1beta", "../../x?y#z"),
            "http://h/v1beta/models/..%2F..%2Fx%3Fy%23z:generateContent"
        );
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
