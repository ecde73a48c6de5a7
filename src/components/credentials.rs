//! A node's secrets into its HTTP request: the one place where they are put in.
//!
//! A header or query value that is exactly `secret:NAME` stands for the node's
//! secret of that local name, if the author wrote it there: what a template gave is
//! text. A secret called `api_key` or `bearer_token` that is not placed that way
//! goes into `Authorization: Bearer`. None goes to a host that it is not bound to, or that the
//! author did not name.

use secrecy::ExposeSecret as _;

use super::{ComponentError, Context, Opened, settings::wrong};
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
    "forwarded-for",
    "metadata-flavor",
];
/// Starts and ends of names of the same kinds: what proxies, and servers of clouds that tell
/// about themselves, believe of one another.
const RESERVED_STARTS: [&str; 10] = [
    "proxy-",
    "x-forwarded",
    "x-original-",
    "x-rewrite-",
    "x-proxyuser",
    "x-envoy-",
    "x-azure-",
    "x-aws-ec2-metadata",
    "x-google-metadata",
    "cf-connecting",
];
const RESERVED_ENDS: [&str; 3] = ["client-ip", "clientip", "cluster-ip"];

/// Some servers read `_` as `-`, so both spellings count.
fn is_reserved(header: &HeaderName) -> bool {
    let spelled = header.as_str().replace('_', "-");
    let name = spelled.trim_matches('-');
    RESERVED.contains(&name)
        || RESERVED_STARTS.iter().any(|start| name.starts_with(start))
        || RESERVED_ENDS.iter().any(|end| name.ends_with(end))
}

/// Appends the query and sets the headers, secrets resolved.
pub fn apply(
    context: &Context<'_>,
    request: &mut Request,
    headers: &[(String, String)],
    query: &[(String, String)],
) -> Result<(), ComponentError> {
    let mut placed = Vec::<&Opened>::new();
    for (name, value) in query {
        match reference(context, ("query", name), value, &mut placed)? {
            Some(secret) => request.url.query_pairs_mut().append_pair(name, secret.value.expose_secret()),
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
        let text = secret.map_or(value.as_str(), |secret| secret.value.expose_secret());
        let mut value =
            HeaderValue::from_str(text).map_err(|_| wrong(&key, "has characters that a header cannot carry"))?;
        value.set_sensitive(secret.is_some() || header == AUTHORIZATION);
        request.headers.insert(header, value);
    }
    if !request.headers.contains_key(AUTHORIZATION)
        && let Some(secret) = context.secrets.iter().find(|secret| BEARER.contains(&secret.local.as_str()))
        && !placed.iter().any(|other| other.local == secret.local)
    {
        request.headers.insert(AUTHORIZATION, bearer(secret)?);
        placed.push(secret);
    }
    if placed.is_empty() {
        return Ok(());
    }
    for secret in &placed {
        secret.may_go_to(&request.url)?;
    }
    only_to_its_hosts(context, &request.url, &placed)?;
    only_encrypted(context, &request.url)
}

/// The secret that the value stands for, if it stands for one.
fn reference<'a>(
    context: &Context<'a>,
    (part, key): (&str, &str),
    value: &str,
    placed: &mut Vec<&'a Opened>,
) -> Result<Option<&'a Opened>, ComponentError> {
    let Some(name) = value.strip_prefix(PREFIX) else { return Ok(None) };
    let written = context.node.config.get(part).and_then(|values| values.get(key)).and_then(|text| text.as_str());
    if written != Some(value) {
        return Ok(None);
    }
    let found = context.secrets.iter().find(|secret| secret.local == name);
    let secret = found.ok_or_else(|| {
        let message =
            format!("config.{part}.{key} names the secret \"{name}\", which the node does not list under secrets:");
        ComponentError::new("secret_missing", message).field(format!("secrets.{name}"))
    })?;
    placed.push(secret);
    Ok(Some(secret))
}

fn bearer(secret: &Opened) -> Result<HeaderValue, ComponentError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.value.expose_secret())).map_err(|_| {
        let name = &secret.local;
        let message = format!("the secret {name} has characters that a header cannot carry; store it again");
        ComponentError::new("secret_invalid", message).field(format!("secrets.{name}"))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Pages and answers can make up an address; they do not get the node's secrets.
fn only_to_its_hosts(context: &Context<'_>, url: &Url, placed: &[&Opened]) -> Result<(), ComponentError> {
    if destination::permits(context.node, url) {
        return Ok(());
    }
    let names: Vec<_> = placed.iter().map(|secret| secret.key_name.as_str()).collect();
    let message = format!(
        "config.url leads to {}, which the recipe does not name, and the node's secrets, here {}, go nowhere else; write \
         scheme and host out in the url, or list the host under the node's secret_hosts",
        url.host_str().unwrap_or_default(),
        names.join(", ")
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
