//! One HTTP call of a component: ledger line around it, errors in the component's words.

use std::time::Instant;

use super::{CallKind, CallOutcome, CallStatus, ComponentError, Context, NewCall, Retry};
use crate::egress::{self, ErrorKind, Method, Request, Response};

/// Begins the call in the ledger, sends it, settles it. `fingerprint` must hold no secret.
pub async fn send(context: &Context<'_>, fingerprint: String, request: Request) -> Result<Response, ComponentError> {
    let repeatable = !matches!(request.method, Method::POST | Method::PATCH);
    let call_no = context.meter.begin(new_call(CallKind::Http, fingerprint)).await?;
    let started = Instant::now();
    let answer = context.egress.send(request, context.cancel).await;
    let status = match &answer {
        Ok(response) if response.status.as_u16() < 400 => CallStatus::Success,
        Ok(_) => CallStatus::Failed,
        Err(error) => call_status(error),
    };
    context.meter.settle(call_no, CallOutcome::without_usage(status, started.elapsed())).await;
    answer.map_err(|error| explain(&error, repeatable))
}

pub fn new_call(kind: CallKind, fingerprint: String) -> NewCall {
    NewCall { kind, provider: None, model: None, fingerprint, estimate: None, heard: None }
}

fn call_status(error: &egress::Error) -> CallStatus {
    match error.kind {
        _ if !error.sent => CallStatus::Failed,
        ErrorKind::Timeout(_) => CallStatus::Timeout,
        ErrorKind::Broken(_) | ErrorKind::Cancelled => CallStatus::Unknown,
        _ => CallStatus::Failed,
    }
}

/// An egress error as the component's, about `config.url`. A request that may
/// have been carried out and must not be carried out twice is not retried.
pub fn explain(error: &egress::Error, repeatable: bool) -> ComponentError {
    if error.kind == ErrorKind::Cancelled {
        return cancelled();
    }
    let (mut message, mut retry) = (format!("config.url {error}"), Retry::Never);
    if error.kind.is_transient() {
        if repeatable || !error.sent {
            retry = Retry::May { after: None };
        } else {
            message.push_str("; it may have been carried out, so it is not repeated");
        }
    }
    ComponentError::new(error.kind.code(), message).field("config.url").retry(retry)
}

/// The run itself was stopped.
pub fn cancelled() -> ComponentError {
    ComponentError::new("cancelled", "stopped: the task was cancelled or its lease was lost").retry(Retry::Stop)
}

/// The error of an answer with status 400 or above. 429 and 5xx may go better later.
pub fn http_status(key: &str, url: &str, response: &Response) -> ComponentError {
    let status = response.status;
    let kind = match response.header(&egress::header::CONTENT_TYPE).map(super::web::charset::media_type) {
        Some(kind) if !kind.is_empty() => format!(" with a body of type {kind}"),
        _ => String::new(),
    };
    let later = status.as_u16() == 429 || status.is_server_error();
    let remedy = match status.as_u16() {
        401 | 403 => "check the key or the access rights",
        404 | 410 => "check the address",
        _ if later => "the server may answer later",
        _ => "check the request",
    };
    let retry = if later { Retry::May { after: response.retry_after() } } else { Retry::Never };
    ComponentError::new("http_status", format!("config.{key} {url} answered HTTP {status}{kind}; {remedy}"))
        .field(format!("config.{key}"))
        .retry(retry)
}
