//! Sends one question and reads one JSON answer, bounded in time and size.

use std::{net::IpAddr, time::Duration};

use reqwest::{
    Client, Response,
    header::{CONTENT_TYPE, HeaderMap},
    redirect::Policy,
};
use serde_json::Value;
use url::{Host, Url};

use super::{
    ProviderError,
    classify::{self, Asked},
};

/// The longest answer that is read, headers aside.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than the idle time of the usual front ends, so that a connection is
/// rarely used at the moment its server closes it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

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
    pub timeout: Duration,
}

/// A JSON answer with a status of 200 to 299.
#[derive(Debug, Default)]
pub struct Reply {
    pub request_id: Option<String>,
    pub body: Value,
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

    /// Asks once. The timeout bounds everything: connecting, sending and reading.
    pub async fn ask(&self, call: &Call<'_>) -> Result<Reply, ProviderError> {
        let client = if is_loopback(&call.url) { &self.near } else { &self.far };
        let request = match &call.body {
            Some(body) => client.post(call.url.clone()).json(body),
            None => client.get(call.url.clone()),
        };
        let sent = request.headers(call.headers.clone()).timeout(call.timeout).send().await;
        let response = sent.map_err(|error| classify::transport(call, &error, None))?;
        let request_id = request_id(response.headers());
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read(response, call, request_id.as_deref()).await;
        if !status.is_success() {
            // The status says what happened, even if the explanation was lost.
            return Err(classify::refusal(
                call.asked,
                status.as_u16(),
                &headers,
                &body.unwrap_or_default(),
                request_id,
            ));
        }
        let body = body?;
        if !is_json(&headers) {
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
}

async fn read(mut response: Response, call: &Call<'_>, request_id: Option<&str>) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_BODY_BYTES => {
                let text = format!("sent an answer longer than {MAX_BODY_BYTES} bytes");
                return Err(classify::unreadable(call.asked.provider, &text, request_id.map(str::to_owned)));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(classify::transport(call, &error, request_id)),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    // A missing type is forgiven, a wrong one is not: it is a proxy's or a portal's page.
    headers.get(CONTENT_TYPE).is_none_or(|value| value.to_str().is_ok_and(|value| value.contains("json")))
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
