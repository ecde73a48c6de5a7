//! `HttpRequest`: any HTTP call; its status is data.

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::{
    Component, ComponentError, Context, credentials, outgoing,
    settings::{Settings, wrong},
    web::charset,
};
use crate::{
    base::weight,
    catalog::components::{self, ComponentSpec},
    egress::{
        Method, Request, Response,
        header::{CONTENT_TYPE, HeaderMap, HeaderValue},
    },
};

#[derive(Debug)]
pub struct HttpRequest;

#[async_trait]
impl Component for HttpRequest {
    fn spec(&self) -> &'static ComponentSpec {
        &components::HTTP_REQUEST
    }

    async fn run(&self, context: &Context<'_>, config: &Map<String, Value>) -> Result<Value, ComponentError> {
        let settings = Settings::of(&components::HTTP_REQUEST, config)?;
        let mut request = Request::new(method(&settings)?, settings.url("url")?);
        set_body(&settings, &mut request)?;
        let response = exchange(context, &settings, request).await?;
        let mut output = Map::from_iter([
            ("status_code".to_owned(), json!(response.status.as_u16())),
            ("headers".to_owned(), headers(&response.headers)),
            ("elapsed_ms".to_owned(), json!(response.elapsed.as_millis())),
        ]);
        match content(&response) {
            Content::Json(value) => output.insert("json".to_owned(), value),
            Content::Text(text) => output.insert("text".to_owned(), Value::String(text)),
            // Bytes have no place in an output; their number tells that there was an answer.
            Content::Binary { bytes } => output.insert("bytes".to_owned(), json!(bytes)),
        };
        Ok(Value::Object(output))
    }
}

/// Adds query, headers, secrets and timeout of the config, and sends.
pub(super) async fn exchange(
    context: &Context<'_>,
    settings: &Settings<'_>,
    mut request: Request,
) -> Result<Response, ComponentError> {
    request.limits.total = settings.required("timeout", Settings::duration)?;
    let (headers, query) = (settings.pairs("headers")?, settings.pairs("query")?);
    // Secrets still stand by their name here.
    let fingerprint = format!("{} {} {query:?} {headers:?} {:?}", request.method, request.url, request.body);
    credentials::apply(context, &mut request, &headers, &query)?;
    outgoing::send(context, fingerprint, request).await
}

pub(super) enum Content {
    Json(Value),
    Text(String),
    Binary { bytes: usize },
}

/// The body as what it says it is. JSON that cannot be parsed is text.
pub(super) fn content(response: &Response) -> Content {
    let content_type = response.header(&CONTENT_TYPE);
    let media = content_type.map(charset::media_type).unwrap_or_default();
    let is_json = media == "application/json" || media.ends_with("+json") || media == "text/json";
    let unnamed = media.is_empty() || media == "application/octet-stream";
    let readable = is_json || is_text(&media) || (unnamed && std::str::from_utf8(&response.body).is_ok());
    if !readable {
        return Content::Binary { bytes: response.body.len() };
    }
    let text = charset::decode(&response.body, content_type);
    let may_be_json = is_json || unnamed || media == "text/plain";
    // One of a million small values holds more than may be kept; as text it is what it is.
    let may_be_json = may_be_json && weight::of_json(text.as_bytes()) <= 2 * weight::MOST;
    let parsed = may_be_json.then(|| serde_json::from_str(&text).ok()).flatten();
    match parsed {
        // A number or a word alone is JSON only where the server says so.
        Some(value @ (Value::Object(_) | Value::Array(_))) => Content::Json(value),
        Some(value) if is_json => Content::Json(value),
        _ => Content::Text(text),
    }
}

fn is_text(media: &str) -> bool {
    const TEXTS: [&str; 5] = [
        "application/xml",
        "application/javascript",
        "application/yaml",
        "application/x-ndjson",
        "application/x-www-form-urlencoded",
    ];
    media.starts_with("text/") || media.ends_with("+xml") || TEXTS.contains(&media)
}

fn method(settings: &Settings<'_>) -> Result<Method, ComponentError> {
    let word = settings.required("method", Settings::word)?;
    Method::from_bytes(word.as_bytes()).map_err(|error| wrong("method", error))
}

fn set_body(settings: &Settings<'_>, request: &mut Request) -> Result<(), ComponentError> {
    let (body, content_type) = match (settings.value("json"), settings.value("body")) {
        (None, None) => return Ok(()),
        (Some(_), Some(_)) => return Err(wrong("body", "and config.json are both set; keep one")),
        (Some(json), None) | (None, Some(json @ (Value::Object(_) | Value::Array(_)))) => {
            (json.to_string(), "application/json")
        }
        (None, Some(_)) => (settings.text("body")?.unwrap_or_default(), "text/plain; charset=utf-8"),
    };
    if matches!(request.method, Method::GET | Method::HEAD) {
        return Err(wrong("method", format!("is {}, which carries no body; use POST, PUT or PATCH", request.method)));
    }
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    request.body = body.into();
    Ok(())
}

/// Headers by lower-case name; repeated ones joined. Cookies are credentials and left out.
fn headers(headers: &HeaderMap) -> Value {
    let mut shown = Map::new();
    for name in headers.keys().filter(|name| *name != "set-cookie") {
        let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        shown.insert(name.as_str().to_owned(), json!(values.join(", ")));
    }
    Value::Object(shown)
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
