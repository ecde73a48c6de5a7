//! A node's secrets into its HTTP request: the one place where they are put in.
//!
//! A header or query value that is exactly `secret:NAME` stands for the node's
//! secret of that local name, if the author wrote it there: what a template gave is
//! text. A secret called `api_key` or `bearer_token` that is not placed that way
//! goes into `Authorization: Bearer`. None goes to a host that the author did not name.

use secrecy::{ExposeSecret as _, SecretString};

use super::{ComponentError, Context, settings::wrong};
use crate::{
    catalog::destination,
    egress::{
        Request, Url,
        header::{AUTHORIZATION, HeaderName, HeaderValue},
    },
};

const PREFIX: &str = "secret:";
/// Sent as a bearer token when the config does not place them.
const BEARER: [&str; 2] = ["api_key", "bearer_token"];
/// Headers that are the client's own business: of one connection, or about the way.
const RESERVED: [&str; 16] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "http2-settings",
    "te",
    "trailer",
    "expect",
    "via",
    "forwarded",
    "max-forwards",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
];
/// Starts of names of the same kinds.
const RESERVED_STARTS: [&str; 3] = ["proxy-", "x-forwarded-", "x-original-"];

/// Some servers read `_` as `-`, so both spellings count.
fn is_reserved(header: &HeaderName) -> bool {
    let name = header.as_str().replace('_', "-");
    RESERVED.contains(&name.as_str()) || RESERVED_STARTS.iter().any(|start| name.starts_with(start))
}

/// Appends the query and sets the headers, secrets resolved.
pub fn apply(
    context: &Context<'_>,
    request: &mut Request,
    headers: &[(String, String)],
    query: &[(String, String)],
) -> Result<(), ComponentError> {
    let mut placed = Vec::new();
    for (name, value) in query {
        match reference(context, ("query", name), value, &mut placed)? {
            Some(secret) => request.url.query_pairs_mut().append_pair(name, secret.expose_secret()),
            None => request.url.query_pairs_mut().append_pair(name, value),
        };
    }
    for (name, value) in headers {
        let key = format!("headers.{name}");
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong(&key, "is not a header name"))?;
        if is_reserved(&header) {
            return Err(wrong(&key, "is set by the client itself; leave it out"));
        }
        let secret = reference(context, ("headers", name), value, &mut placed)?;
        let text = secret.map_or(value.as_str(), |secret| secret.expose_secret());
        let mut value =
            HeaderValue::from_str(text).map_err(|_| wrong(&key, "has characters that a header cannot carry"))?;
        value.set_sensitive(secret.is_some() || header == AUTHORIZATION);
        request.headers.insert(header, value);
    }
    if !request.headers.contains_key(AUTHORIZATION)
        && let Some((name, secret)) = context.secrets.iter().find(|(name, _)| BEARER.contains(&name.as_str()))
        && !placed.contains(name)
    {
        request.headers.insert(AUTHORIZATION, bearer(name, secret)?);
        placed.push(name.clone());
    }
    if placed.is_empty() {
        return Ok(());
    }
    only_to_its_hosts(context, &request.url)?;
    only_encrypted(context, &request.url)
}

/// The secret that the value stands for, if it stands for one.
fn reference<'a>(
    context: &Context<'a>,
    (part, key): (&str, &str),
    value: &str,
    placed: &mut Vec<String>,
) -> Result<Option<&'a SecretString>, ComponentError> {
    let Some(name) = value.strip_prefix(PREFIX) else { return Ok(None) };
    let written = context.node.config.get(part).and_then(|values| values.get(key)).and_then(|text| text.as_str());
    if written != Some(value) {
        return Ok(None);
    }
    let found = context.secrets.iter().find(|(own, _)| own == name);
    let (own, secret) = found.ok_or_else(|| {
        let message =
            format!("config.{part}.{key} names the secret \"{name}\", which the node does not list under secrets:");
        ComponentError::new("secret_missing", message).field(format!("secrets.{name}"))
    })?;
    placed.push(own.clone());
    Ok(Some(secret))
}

fn bearer(name: &str, secret: &SecretString) -> Result<HeaderValue, ComponentError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret())).map_err(|_| {
        let message = format!("the secret {name} has characters that a header cannot carry; store it again");
        ComponentError::new("secret_invalid", message).field(format!("secrets.{name}"))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Pages and answers can make up an address; they do not get the node's secrets.
fn only_to_its_hosts(context: &Context<'_>, url: &Url) -> Result<(), ComponentError> {
    if destination::permits(context.node, url) {
        return Ok(());
    }
    let message = format!(
        "config.url leads to {}, which the recipe does not name, and the node's secrets go nowhere else; write scheme \
         and host out in the url, or list the host under the node's secret_hosts",
        url.host_str().unwrap_or_default()
    );
    Err(ComponentError::new("secret_host", message).field("config.url"))
}

/// A secret travels in the clear only to a host that the operator named.
fn only_encrypted(context: &Context<'_>, url: &Url) -> Result<(), ComponentError> {
    if context.egress.is_confidential(url) {
        return Ok(());
    }
    Err(wrong("url", "is http, and the node has a secret that would travel in the clear; use https"))
}
