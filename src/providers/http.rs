//! Sends one question and reads one answer, whole or in pieces, bounded in time and size.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use reqwest::{
    Client, Response,
    header::{CONTENT_TYPE, HeaderMap},
    redirect::Policy,
};
use serde_json::Value;
use tokio::time::timeout;
use url::{Host, Url};

use super::{
    asked::Asked,
    classify,
    completion::Completion,
    error::ProviderError,
    heard::Heard,
    protocol::{Protocol, Reply},
    stream::{Broken, Reading},
};

/// The longest answer that is read, headers aside.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than the idle time of the usual front ends, so that a connection is
/// rarely used at the moment its server closes it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// For the end of a connection's answer, after the last event of a stream.
const LAST_BYTES: Duration = Duration::from_millis(50);

/// The pooled connections of all providers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Http {
    /// Goes through the machine's proxy, where one is configured.
    far: Client,
    /// For this machine's own addresses, which no proxy can reach.
    near: Client,
}

/// A question on its way.
pub struct Call<'a> {
    pub asked: Asked<'a>,
    pub url: Url,
    pub headers: HeaderMap,
    /// A POST has one, a GET has none.
    pub body: Option<Value>,
    /// The longest wait for the answer's beginning, and between two pieces of it.
    pub silence: Duration,
    /// Bound of the whole.
    pub total: Duration,
    /// How a stream is read, where one was asked for. Who answers in one piece all
    /// the same is understood too.
    pub streams: Option<&'static dyn Protocol>,
}

/// What came back, with a status of 200 to 299.
#[derive(Debug)]
pub enum Answer {
    /// JSON in one piece.
    Whole(Reply),
    /// A stream, put together.
    Folded(Completion),
}

impl Http {
    pub fn new() -> Result<Self, reqwest::Error> {
        let builder = || {
            Client::builder()
                .user_agent(concat!("teamai/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(IDLE_TIMEOUT)
                // One connection a call: over HTTP/2 all calls to a host share one,
                // wait there for a free stream, and are lost together.
                .http1_only()
                // A redirect would carry the key to a host that nobody configured.
                .redirect(Policy::none())
        };
        Ok(Self { far: builder().build()?, near: builder().no_proxy().build()? })
    }

    /// Asks once.
    pub async fn ask(&self, call: &Call<'_>, heard: &Heard) -> Result<Answer, ProviderError> {
        let client = if is_loopback(&call.url) { &self.near } else { &self.far };
        let request = match &call.body {
            Some(body) => client.post(call.url.clone()).json(body),
            None => client.get(call.url.clone()),
        };
        let sent = request.headers(call.headers.clone()).timeout(call.total).send();
        let sent = timeout(call.silence, sent).await.map_err(|_| call.silent(false, None))?;
        let response = sent.map_err(|error| call.transport(&error, None))?;
        let request_id = request_id(response.headers());
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() {
            heard.accepted(request_id.as_deref());
        }
        match call.streams.filter(|_| status.is_success() && is(&headers, "event-stream")) {
            Some(protocol) => {
                let pieces = Pieces { call, response, request_id: request_id.as_deref() };
                pieces.fold(protocol, heard).await.map(Answer::Folded)
            }
            None => in_one_piece(call, response, &headers, request_id).await.map(Answer::Whole),
        }
    }
}

impl Call<'_> {
    fn silent(&self, has_begun: bool, request_id: Option<&str>) -> ProviderError {
        classify::silent(self.asked, self.silence, has_begun, request_id)
    }

    fn transport(&self, error: &reqwest::Error, request_id: Option<&str>) -> ProviderError {
        classify::transport(self.asked, &self.url, self.total, error, request_id)
    }
}

async fn in_one_piece(
    call: &Call<'_>,
    response: Response,
    headers: &HeaderMap,
    request_id: Option<String>,
) -> Result<Reply, ProviderError> {
    let status = response.status();
    let body = Pieces { call, response, request_id: request_id.as_deref() }.join().await;
    if !status.is_success() {
        // The status says what happened, even if the explanation was lost.
        let body = body.unwrap_or_default();
        return Err(classify::refusal(call.asked, status.as_u16(), headers, &body, request_id));
    }
    let body = body?;
    if !is_json(headers) {
        let got = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("no content type");
        let text = format!("answered with {got} instead of JSON: check providers.{}.base_url", call.asked.provider);
        return Err(classify::unreadable(call.asked.provider, &text, request_id));
    }
    match serde_json::from_slice(&body) {
        Ok(body) => Ok(Reply { request_id, body }),
        Err(error) => {
            let text = format!("sent an answer that is not valid JSON ({error})");
            Err(classify::unreadable(call.asked.provider, &text, request_id))
        }
    }
}

/// An answer's body as it comes.
struct Pieces<'a> {
    call: &'a Call<'a>,
    response: Response,
    request_id: Option<&'a str>,
}

impl Pieces<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, ProviderError> {
        match timeout(self.call.silence, self.response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(self.call.transport(&error, self.request_id)),
            Err(_) => Err(self.call.silent(true, self.request_id)),
        }
    }

    fn too_long(&self) -> ProviderError {
        self.unreadable(&format!("sent an answer longer than {MAX_BODY_BYTES} bytes"))
    }

    fn unreadable(&self, what: &str) -> ProviderError {
        classify::unreadable(self.call.asked.provider, what, self.request_id.map(str::to_owned))
    }

    async fn join(mut self) -> Result<Vec<u8>, ProviderError> {
        let mut body = Vec::new();
        while let Some(piece) = self.next().await? {
            if body.len() + piece.len() > MAX_BODY_BYTES {
                return Err(self.too_long());
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    async fn fold(mut self, protocol: &dyn Protocol, heard: &Heard) -> Result<Completion, ProviderError> {
        let (mut reading, mut length) = (Reading::new(protocol, heard), 0);
        while let Some(piece) = self.next().await? {
            length += piece.len();
            if length > MAX_BODY_BYTES {
                return Err(self.too_long());
            }
            reading.feed(&piece).map_err(|broken| self.broken(broken))?;
            if reading.is_over() {
                // The connection is used again only if its end was read; nobody waits long for that.
                drop(timeout(LAST_BYTES, self.response.chunk()).await);
                break;
            }
        }
        let fold = reading.finish().map_err(|broken| self.broken(broken))?;
        fold.into_completion(self.call.asked, self.request_id.map(str::to_owned))
    }

    fn broken(&self, broken: Broken) -> ProviderError {
        match broken {
            Broken::Malformed(what) => self.unreadable(&what),
            Broken::Short => self.unreadable("ended its answer before it was complete"),
            Broken::Failed(event) => classify::in_body(self.call.asked, &event, self.request_id.map(str::to_owned)),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    // A missing type is forgiven, a wrong one is not: it is a proxy's or a portal's page.
    !headers.contains_key(CONTENT_TYPE) || is(headers, "json")
}

fn is(headers: &HeaderMap, kind: &str) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.to_str().is_ok_and(|value| value.contains(kind)))
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let value = ["x-request-id", "request-id"].iter().find_map(|name| headers.get(*name))?;
    Some(value.to_str().ok()?.chars().take(200).collect())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
