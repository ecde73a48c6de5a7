//! What a failed call means: was it sent, may it be tried again, what should a person do.

use std::{error::Error as _, time::Duration};

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::{
    asked::Asked,
    error::{ErrorKind, ProviderError},
    key_secret::key_secret,
};
use crate::base::spelling::Seeker;

/// As much of a provider's own words as is repeated, in characters.
const MAX_WORDS: usize = 300;
/// A longer wait than this is a provider's mistake.
const MAX_WAIT: Duration = Duration::from_hours(24);
/// Said with 429 by accounts that ran out of money: waiting does not help.
const OUT_OF_CREDIT: [&str; 4] =
    ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient balance"];

/// An answer with a status outside of 200 to 299.
pub fn refusal(
    asked: Asked<'_>,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    request_id: Option<String>,
) -> ProviderError {
    let body: Value = serde_json::from_slice(body).unwrap_or_else(|_| plain(body));
    let after = wait(headers).or_else(|| gemini_delay(&body));
    by_status(asked, status, after, &body, request_id)
}

/// An error object in an answer with status 200, as OpenRouter sends when the
/// provider behind it fails, and as an event of a stream.
pub fn in_body(asked: Asked<'_>, body: &Value, request_id: Option<String>) -> ProviderError {
    let error = &body["error"];
    let code = error["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    let named = || [&error["type"], &error["code"]].into_iter().find_map(|name| status_of(name.as_str()?));
    match code.or_else(named) {
        Some(code) if (400..600).contains(&code) => by_status(asked, code, None, body, request_id),
        _ => unreadable(asked.provider, &format!("sent an error as its answer.{}", said(asked.key, body)), request_id),
    }
}

/// The status that goes with an error's name in a stream, where its own came too early.
fn status_of(name: &str) -> Option<u16> {
    Some(match name {
        "rate_limit_error" | "rate_limit_exceeded" => 429,
        "overloaded_error" => 529,
        "api_error" | "server_error" => 500,
        "timeout_error" => 504,
        "authentication_error" | "invalid_api_key" => 401,
        "permission_error" => 403,
        "invalid_request_error" => 400,
        "insufficient_quota" | "billing_error" => 402,
        _ => return None,
    })
}

fn by_status(
    asked: Asked<'_>,
    status: u16,
    after: Option<Duration>,
    body: &Value,
    request_id: Option<String>,
) -> ProviderError {
    let (provider, secret) = (asked.provider, key_secret(asked.provider));
    let said = said(asked.key, body);
    let whole = body.to_string().to_lowercase();
    let out_of_credit = status == 402 || (status == 429 && OUT_OF_CREDIT.iter().any(|code| whole.contains(code)));
    // Gemini answers 400 to a wrong key.
    let bad_key = matches!(status, 401 | 403) || (status == 400 && whole.contains("api_key_invalid"));
    let (kind, message) = match status {
        _ if out_of_credit => (
            ErrorKind::Rejected,
            format!("{provider} says the account has no credit left ({status}): top it up.{said}"),
        ),
        _ if bad_key && asked.key.is_none() => {
            (ErrorKind::Rejected, format!("{provider} wants a key ({status}): store the secret {secret}.{said}"))
        }
        _ if bad_key => {
            (ErrorKind::Rejected, format!("{provider} refused the key ({status}): check the secret {secret}.{said}"))
        }
        429 => (ErrorKind::Retry { after }, format!("{provider} limits the rate of calls (429).{said}")),
        408 | 409 | 425 | 500..=599 => {
            (ErrorKind::Retry { after }, format!("{provider} cannot answer now ({status}).{said}"))
        }
        404 => (
            ErrorKind::Rejected,
            format!(
                "{provider} does not know the model `{}` or the path (404): check the model's name and \
                 providers.{provider}.base_url.{said}",
                words(asked.model)
            ),
        ),
        300..=399 => (
            ErrorKind::Rejected,
            format!(
                "{provider} redirects elsewhere ({status}), which is not followed: check providers.{provider}.base_url"
            ),
        ),
        400..=499 => (ErrorKind::Rejected, format!("{provider} refused the request ({status}).{said}")),
        _ => (ErrorKind::Unknown, format!("{provider} answered with status {status}.{said}")),
    };
    ProviderError { kind, message, status: Some(status), request_id, metered: None }
}

/// The request or the answer was lost on the way; the whole had `total`.
pub fn transport(
    asked: Asked<'_>,
    url: &Url,
    total: Duration,
    error: &reqwest::Error,
    request_id: Option<&str>,
) -> ProviderError {
    let provider = asked.provider;
    let cause = root_cause(error);
    let address = url.origin().ascii_serialization();
    let (kind, message) = if error.is_connect() {
        (
            ErrorKind::NotSent,
            format!(
                "cannot connect to {provider} at {address} ({cause}): check providers.{provider}.base_url and the network"
            ),
        )
    } else if error.is_builder() {
        (ErrorKind::Rejected, format!("the request to {provider} cannot be made ({cause})"))
    } else if error.is_timeout() {
        (ErrorKind::Timeout, format!("{provider} did not finish its answer within {total:?}"))
    } else {
        (ErrorKind::Unknown, format!("the connection to {provider} broke after the request was sent ({cause})"))
    };
    ProviderError { request_id: request_id.map(str::to_owned), ..ProviderError::new(kind, message) }
}

/// Nothing was heard for `silence`, as long as a call may be silent.
pub fn silent(asked: Asked<'_>, silence: Duration, has_begun: bool, request_id: Option<&str>) -> ProviderError {
    let provider = asked.provider;
    let message = if has_begun {
        format!("{provider} began its answer and then said nothing for {silence:?}")
    } else {
        format!("{provider} did not answer within {silence:?}")
    };
    ProviderError { request_id: request_id.map(str::to_owned), ..ProviderError::new(ErrorKind::Timeout, message) }
}

/// An answer came and is of no use; it may have been charged. `what` continues
/// a sentence that begins with the provider's name.
pub fn unreadable(provider: &str, what: &str, request_id: Option<String>) -> ProviderError {
    ProviderError { request_id, ..ProviderError::new(ErrorKind::Unknown, format!("{provider} {what}")) }
}

/// The key is missing or cannot be sent; nothing left this machine.
pub fn no_key(provider: &str, what: &str) -> ProviderError {
    let message = format!("{provider} {what}: check the secret {}", key_secret(provider));
    ProviderError::new(ErrorKind::Rejected, message)
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(next) = cause.and_then(std::error::Error::source) {
        cause = Some(next);
    }
    cause.map_or_else(|| "no cause given".to_owned(), ToString::to_string)
}

/// A body that is no JSON: a sentence is worth repeating, a page is not.
fn plain(body: &[u8]) -> Value {
    let text = String::from_utf8_lossy(body);
    if text.trim_start().starts_with('<') { Value::Null } else { Value::String(text.into_owned()) }
}

/// The provider's own words, as the end of a message. The key is taken out
/// before anything is cut, so that no half of it stays.
fn said(key: Option<&SecretString>, body: &Value) -> String {
    let text = ["/error/message", "/message", "/error", "/detail", "/0/error/message", ""]
        .iter()
        .find_map(|path| body.pointer(path).and_then(Value::as_str))
        .unwrap_or_default();
    let text = match key.map(|key| key.expose_secret().trim()) {
        Some(key) => Seeker::of([key]).without(text, "[key]"),
        None => None,
    }
    .unwrap_or_else(|| text.to_owned());
    let text = words(&text);
    if text.is_empty() { String::new() } else { format!(" It said: {text}") }
}

fn words(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= MAX_WORDS { text } else { text.chars().take(MAX_WORDS).chain("...".chars()).collect() }
}

/// `retry-after-ms`, or Retry-After in seconds or as a date. A date counts from
/// the provider's own Date header, so that its clock and ours may differ.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(|ms| ms.parse::<f64>().ok()).and_then(|ms| seconds(ms / 1000.0))
    {
        return Some(wait);
    }
    let value = text(RETRY_AFTER.as_str())?;
    if let Ok(number) = value.parse::<f64>() {
        return seconds(number);
    }
    let until = DateTime::parse_from_rfc2822(value).ok()?;
    let now = DateTime::parse_from_rfc2822(text(DATE.as_str())?).ok()?;
    // A date in the past means now.
    Some((until - now).to_std().unwrap_or_default().min(MAX_WAIT))
}

/// Gemini's `retryDelay: "34s"`, in the details of its error.
fn gemini_delay(body: &Value) -> Option<Duration> {
    let details = body.pointer("/error/details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    seconds(delay.strip_suffix('s')?.parse().ok()?)
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok().map(|wait| wait.min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;

    fn asked(key: Option<&SecretString>) -> Asked<'_> {
        Asked { provider: "openai", model: "gpt-x", key }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().expect("a name"), HeaderValue::from_str(v).expect("a value"))).collect()
    }

    fn refused(status: u16, pairs: &[(&'static str, &str)], body: &Value) -> ProviderError {
        let key = SecretString::from("sk-secret-1234567890");
        refusal(asked(Some(&key)), status, &headers(pairs), body.to_string().as_bytes(), Some("req-1".into()))
    }

    #[test]
    fn statuses_mean_what_a_retry_would_do() {
        let retry = ErrorKind::Retry { after: None };
        for (status, kind) in [
            (302, ErrorKind::Rejected),
            (400, ErrorKind::Rejected),
            (401, ErrorKind::Rejected),
            (402, ErrorKind::Rejected),
            (403, ErrorKind::Rejected),
            (404, ErrorKind::Rejected),
            (408, retry),
            (409, retry),
            (413, ErrorKind::Rejected),
            (422, ErrorKind::Rejected),
            (429, retry),
            (500, retry),
            (502, retry),
            (503, retry),
            (504, retry),
            (529, retry),
        ] {
            let error = refused(status, &[], &json!({"error": {"message": "no"}}));
            assert_eq!((error.kind, error.status), (kind, Some(status)));
            assert_eq!(error.request_id.as_deref(), Some("req-1"));
            assert!(error.message.contains("openai") && error.message.contains(&status.to_string()));
        }
    }

    #[test]
    fn the_wait_is_read_in_all_its_forms() {
        type Case = (&'static [(&'static str, &'static str)], Option<f64>);
        const DATE: (&str, &str) = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        let cases: [Case; 10] = [
            (&[("retry-after", "7")], Some(7.0)),
            (&[("retry-after", "0.5")], Some(0.5)),
            (&[("retry-after-ms", "250"), ("retry-after", "7")], Some(0.25)),
            (&[("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"), DATE], Some(30.0)),
            (&[("retry-after", "Wed, 21 Oct 2026 07:27:00 GMT"), DATE], Some(0.0)),
            (&[("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT")], None),
            (&[("retry-after", "99999999999")], Some(86_400.0)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "soon")], None),
            (&[], None),
        ];
        for (pairs, seconds) in cases {
            let after = seconds.map(Duration::from_secs_f64);
            assert_eq!(refused(429, pairs, &json!({})).kind, ErrorKind::Retry { after }, "{pairs:?}");
            assert_eq!(refused(503, pairs, &json!({})).kind, ErrorKind::Retry { after }, "{pairs:?}");
        }
        let body = json!({"error": {"details": [{"@type": "x"}, {"retryDelay": "34s"}]}});
        assert_eq!(refused(429, &[], &body).kind, ErrorKind::Retry { after: Some(Duration::from_secs(34)) });
    }

    #[test]
    fn a_rate_limit_passes_and_an_empty_account_does_not() {
        let limit = json!({"error": {"code": "rate_limit_exceeded", "message": "slow down"}});
        assert_eq!(refused(429, &[], &limit).kind, ErrorKind::Retry { after: None });
        let broke = json!({"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}});
        let error = refused(429, &[("retry-after", "1")], &broke);
        assert_eq!(error.kind, ErrorKind::Rejected);
        assert!(error.message.contains("no credit left"), "{}", error.message);
    }

    #[test]
    fn a_refused_key_names_the_secret_and_never_shows_the_key() {
        let body = json!({"error": {"message": "Incorrect API key provided: sk-secret-1234567890."}});
        let error = refused(401, &[], &body);
        assert_eq!(
            error.message,
            "openai refused the key (401): check the secret openai_api_key. It said: Incorrect API key provided: [key]."
        );
        let gemini = json!({"error": {"message": "API key not valid.", "details": [{"reason": "API_KEY_INVALID"}]}});
        assert!(refused(400, &[], &gemini).message.contains("check the secret"));
        let missing = refusal(asked(None), 401, &HeaderMap::new(), b"{}", None);
        assert!(missing.message.contains("store the secret openai_api_key"), "{}", missing.message);
    }

    #[test]
    fn a_providers_words_are_cut_and_a_page_is_left_out() {
        let error = refused(400, &[], &json!({"error": {"message": "word \n ".repeat(500)}}));
        assert!(error.message.chars().count() < 400 && error.message.ends_with("..."));
        let page = refusal(asked(None), 502, &HeaderMap::new(), b"<html>Bad Gateway</html>", None);
        assert_eq!(page.message, "openai cannot answer now (502).");
        let text = refusal(asked(None), 503, &HeaderMap::new(), b"try later", None);
        assert_eq!(text.message, "openai cannot answer now (503). It said: try later");
        // The key straddles the cut: none of it may stay, in any spelling.
        for said in ["sk-secret-1234567890", "c2stc2VjcmV0LTEyMzQ1Njc4OTA="] {
            let body = json!({"error": {"message": format!("{}{said}", "x".repeat(290))}});
            let message = refused(400, &[], &body).message;
            assert!(!message.contains("sk-") && !message.contains("c2st"), "{message}");
        }
    }

    #[test]
    fn an_error_in_a_200_is_classified_by_its_code() {
        let error = |code: Value| in_body(asked(None), &json!({"error": {"code": code, "message": "m"}}), None).kind;
        assert_eq!(error(json!(429)), ErrorKind::Retry { after: None });
        assert_eq!(error(json!(400)), ErrorKind::Rejected);
        assert_eq!(error(json!("odd")), ErrorKind::Unknown);
        assert_eq!(error(json!(200)), ErrorKind::Unknown);
        let named = |name: &str| in_body(asked(None), &json!({"error": {"type": name, "message": "m"}}), None).kind;
        assert_eq!(named("overloaded_error"), ErrorKind::Retry { after: None });
        assert_eq!(named("invalid_request_error"), ErrorKind::Rejected);
    }
}
