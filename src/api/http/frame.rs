//! Around every request: an id, a span, security headers, metrics, errors as
//! problems, panics caught.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use poem::{
    Endpoint, IntoResponse, Middleware, Request, Response,
    http::{HeaderMap, HeaderValue, Method, header},
};
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use super::{browsers::Browsers, errors::from_framework, problem::Problem};
use crate::base::random;

const REQUEST_ID: &str = "x-request-id";
const MAX_IDEMPOTENCY_KEY_CHARS: usize = 255;

/// For answers that no browser is to render. The others bring a policy of their own.
const CSP_API: &str = "default-src 'none'; frame-ancestors 'none'";

/// The outermost layer of the API.
#[derive(Debug)]
pub struct Frame(pub Browsers);

impl<E: Endpoint> Middleware<E> for Frame {
    type Output = Framed<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        Framed { browsers: self.0.clone(), endpoint }
    }
}

#[derive(Debug)]
pub struct Framed<E> {
    browsers: Browsers,
    endpoint: E,
}

impl<E: Endpoint> Endpoint for Framed<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let started = Instant::now();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let (id, guest) = (request_id(request.headers()), self.browsers.guest(request.headers()));
        let span = tracing::info_span!("request", %method, path, id);
        let mut response = self.answer(request).instrument(span.clone()).await;
        let status = response.status().as_u16();
        let elapsed = started.elapsed();
        span.in_scope(|| tracing::debug!(status, elapsed_us = u64::try_from(elapsed.as_micros()).ok(), "answered"));
        measure(&method, status, elapsed.as_secs_f64());
        set_headers(response.headers_mut(), &id);
        self.browsers.tell(guest, &path, response.headers_mut());
        Ok(response)
    }
}

impl<E: Endpoint> Framed<E> {
    async fn answer(&self, request: Request) -> Response {
        if let Some(answer) = self.browsers.preflight(&request) {
            return answer;
        }
        if let Some(problem) = bad_idempotency_key(request.headers()) {
            return problem.into_response();
        }
        match AssertUnwindSafe(self.endpoint.call(request)).catch_unwind().await {
            Ok(Ok(response)) => response.into_response(),
            Ok(Err(error)) if error.is_from_response() => error.into_response(),
            Ok(Err(error)) => from_framework(&error).into_response(),
            Err(panic) => Problem::internal(&panic_text(panic.as_ref())).into_response(),
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a handler panicked: {}", text.unwrap_or("no message"))
}

fn bad_idempotency_key(headers: &HeaderMap) -> Option<Problem> {
    let key = headers.get("idempotency-key")?;
    let fits = key.to_str().is_ok_and(|key| (1..=MAX_IDEMPOTENCY_KEY_CHARS).contains(&key.len()));
    (!fits).then(|| {
        let message = format!("must have 1 to {MAX_IDEMPOTENCY_KEY_CHARS} printable ASCII characters");
        Problem::invalid("Idempotency-Key", message)
    })
}

/// The caller's id if it is a plain one, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain =
        |id: &&str| (1..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    match given.filter(plain) {
        Some(id) => id.to_owned(),
        None => random::bytes::<16>().map(|bytes| Uuid::from_bytes(bytes).simple().to_string()).unwrap_or_default(),
    }
}

fn set_headers(headers: &mut HeaderMap, id: &str) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(CSP_API));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
}

/// Labels are few: methods of HTTP and statuses.
fn measure(method: &Method, status: u16, seconds: f64) {
    let method = match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    metrics::counter!("http_requests_total", "method" => method, "status" => status.to_string()).increment(1);
    metrics::histogram!("http_request_duration_seconds", "method" => method).record(seconds);
}

#[cfg(test)]
mod tests {
    use poem::{EndpointExt, endpoint::make_sync};

    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_500_that_tells_nothing() {
        let endpoint = make_sync(|_| -> Response { panic!("the secret is hunter2") }).with(Frame(Browsers::default()));
        let response = endpoint.call(Request::default()).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.content_type(), Some("application/problem+json"));
        let body = response.into_body().into_string().await.unwrap();
        assert!(body.contains("\"code\":\"internal\"") && !body.contains("hunter2"), "{body}");
    }

    #[test]
    fn request_ids_that_are_not_plain_are_replaced() {
        let mut headers = HeaderMap::new();
        for (given, kept) in [("abc-1.x_Y", true), ("a b", false), ("", false), (&*"x".repeat(65), false)] {
            headers.insert(REQUEST_ID, HeaderValue::from_str(given).unwrap());
            assert_eq!(request_id(&headers) == given, kept, "{given}");
        }
    }
}
