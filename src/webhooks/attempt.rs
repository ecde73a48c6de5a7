//! One request to an endpoint, and what it means for the delivery.

use std::time::Duration;

use bytes::Bytes;
use chrono::SecondsFormat;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    Secret,
    deliverer::Deliverer,
    due::{Due, End, Outcome, SwitchOff},
    schedule, signature,
};
use crate::{
    base::random,
    egress::{
        self, Limits, Method, Request, Response,
        header::{CONTENT_TYPE, HeaderName, HeaderValue},
    },
    events,
};

const TIMEOUT: Duration = Duration::from_secs(15);

/// Sends the delivery once. Never fails: what went wrong is in its end.
pub async fn attempt(deliverer: &Deliverer, due: &Due) -> End {
    let request = match request(deliverer, due).await {
        Ok(request) => request,
        Err(why) => return again(deliverer, due, None, why, None),
    };
    match deliverer.client.send(request, &CancellationToken::new()).await {
        Ok(response) => judge(deliverer, due, &response),
        // Without the address, which its owner knows.
        Err(error) => again(deliverer, due, None, error.kind.to_string(), None),
    }
}

fn judge(deliverer: &Deliverer, due: &Due, response: &Response) -> End {
    let status = response.status;
    if status.is_success() {
        let outcome = Outcome::Delivered;
        return End { outcome, response_status: Some(status.as_u16()), error: None, switch_off: None };
    }
    let error = match status.as_u16() {
        300..=399 => format!("HTTP {status}: redirects are not followed; use the final address"),
        410 => {
            let error = Some(format!("HTTP {status}: the endpoint does not accept deliveries any more"));
            let switch_off = Some(SwitchOff::Gone);
            return End { outcome: Outcome::Failed, response_status: Some(410), error, switch_off };
        }
        _ => format!("HTTP {status}"),
    };
    again(deliverer, due, Some(status.as_u16()), error, response.retry_after())
}

/// Tried again by the schedule, if it has more.
fn again(deliverer: &Deliverer, due: &Due, status: Option<u16>, error: String, asked: Option<Duration>) -> End {
    let jitter = random::bytes::<1>().map_or(0, |[byte]| byte);
    let outcome = schedule::delay(due.round_attempts, asked, jitter).map_or(Outcome::Failed, Outcome::Again);
    let over = schedule::is_over(due.failing_since, deliverer.clock.now());
    End { outcome, response_status: status, error: Some(error), switch_off: over.then_some(SwitchOff::Failing) }
}

async fn request(deliverer: &Deliverer, due: &Due) -> Result<Request, String> {
    let id = events::public_id(due.event_seq);
    let now = deliverer.clock.now();
    let body = body(due);
    let secrets = secrets(deliverer, due).await?;
    let signature = signature::sign(&secrets, &id, now.timestamp(), &body).ok_or("a secret cannot be used to sign")?;
    let url = egress::parse_url(&due.url).map_err(|error| error.kind.to_string())?;
    // The operator may have taken back since what was allowed when the webhook was made.
    if !deliverer.client.is_confidential(&url) {
        return Err("the address is not https://, and the operator has allowed no other scheme; change it".to_owned());
    }
    let mut request = Request::new(Method::POST, url)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(HeaderName::from_static("webhook-timestamp"), now.timestamp().into());
    for (name, value) in [("webhook-id", &id), ("webhook-signature", &signature)] {
        let value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
        request = request.header(HeaderName::from_static(name), value);
    }
    request.body = body;
    // Status and headers decide; nobody is shown what the endpoint says.
    request.limits = Limits { total: TIMEOUT, body_bytes: 0, redirects: 0 };
    request.wanted = |_, _| false;
    Ok(request)
}

/// The same at every attempt.
fn body(due: &Due) -> Bytes {
    let timestamp = due.occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    json!({"type": due.kind, "timestamp": timestamp, "data": due.data}).to_string().into()
}

/// The one that signs first, then the one before it while that is still good.
async fn secrets(deliverer: &Deliverer, due: &Due) -> Result<Vec<Secret>, String> {
    let overlaps = due.previous_secret_expires_at.is_some_and(|end| deliverer.clock.now() < end);
    let newest = due.secret_version;
    let mut secrets = Vec::new();
    for generation in [newest, newest - 1].into_iter().take(if overlaps { 2 } else { 1 }) {
        let found = deliverer.locker.signing_secret(&deliverer.pool, due.agency_id, due.webhook_id, generation).await;
        match found {
            Ok(Some(secret)) => secrets.push(Secret::from(secret)),
            // The secret was rotated since the delivery was taken, or the locker cannot open it.
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, webhook_id = %due.webhook_id, "a webhook's secret cannot be opened");
                return Err("the webhook's secret cannot be opened; rotate it".to_owned());
            }
        }
    }
    if secrets.is_empty() { Err("the webhook's secret was replaced at this moment".to_owned()) } else { Ok(secrets) }
}
