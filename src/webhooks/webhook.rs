//! What a webhook and a delivery are, parsed at the edge.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    base::{DeliveryId, TeamId, WebhookId},
    egress,
    events::EventKind,
};

const MAX_URL_BYTES: usize = 2000;
const MAX_DESCRIPTION_CHARS: usize = 200;

/// A webhook as it is stored, without its secrets.
#[derive(Debug, Clone)]
pub struct Webhook {
    pub id: WebhookId,
    /// `None` for the events of all teams.
    pub team_id: Option<TeamId>,
    pub url: String,
    pub description: Option<String>,
    pub events: Vec<String>,
    pub enabled: bool,
    /// Why it was switched off by itself: `endpoint_gone` or `failing`.
    pub disabled_reason: Option<String>,
    pub failing_since: Option<DateTime<Utc>>,
    /// Until when the secret before signs as well.
    pub previous_secret_expires_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What one webhook is to hear of one event.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: DeliveryId,
    pub event_seq: i64,
    pub kind: String,
    pub task_id: Option<Uuid>,
    /// `pending`, `delivered` or `failed`.
    pub status: String,
    pub attempts: i32,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub last_attempt_at: Option<DateTime<Utc>>,
    pub response_status: Option<i32>,
    pub error: Option<String>,
    pub delivered_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
pub struct NewWebhook {
    pub endpoint: Endpoint,
    pub events: Subscriptions,
    pub team_id: Option<TeamId>,
    pub description: Option<Description>,
    pub enabled: bool,
}

/// `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub endpoint: Option<Endpoint>,
    pub events: Option<Subscriptions>,
    /// `Some(None)` clears it.
    pub description: Option<Option<Description>>,
    pub enabled: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// Where deliveries go: an address that the guarded client would ask.
#[derive(Debug, Clone)]
pub struct Endpoint(String);

impl Endpoint {
    /// # Errors
    /// No usable URL, one that is not https unless the operator allowed it, or one that
    /// the guard refuses without looking a name up.
    pub fn parse(text: &str, client: &egress::Client) -> Result<Self, Invalid> {
        if text.len() > MAX_URL_BYTES {
            return Err(Invalid(format!("must have at most {MAX_URL_BYTES} bytes")));
        }
        let mut url = egress::parse_url(text).map_err(|error| Invalid(error.to_string()))?;
        client.check(&url).map_err(|error| Invalid(error.to_string()))?;
        if !client.is_confidential(&url) {
            return Err(Invalid("must begin with https://: what is sent is not for others to read".to_owned()));
        }
        url.set_fragment(None);
        Ok(Self(url.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A line for people, 1 to 200 characters.
#[derive(Debug, Clone)]
pub struct Description(String);

impl Description {
    /// # Errors
    /// Empty, too long, or with control characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let fits = (1..=MAX_DESCRIPTION_CHARS).contains(&text.chars().count()) && !text.contains(char::is_control);
        let message = format!("must have 1 to {MAX_DESCRIPTION_CHARS} characters, none of them control characters");
        if fits { Ok(Self(text.to_owned())) } else { Err(Invalid(message)) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a webhook hears of: one kind or more, each once.
#[derive(Debug, Clone)]
pub struct Subscriptions(Vec<EventKind>);

impl Subscriptions {
    /// # Errors
    /// There is none.
    pub fn new(kinds: impl IntoIterator<Item = EventKind>) -> Result<Self, Invalid> {
        let mut distinct = Vec::new();
        for kind in kinds {
            if !distinct.contains(&kind) {
                distinct.push(kind);
            }
        }
        if distinct.is_empty() {
            return Err(Invalid("must name at least one event, such as task.completed".to_owned()));
        }
        Ok(Self(distinct))
    }

    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|kind| kind.as_str().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::{Client, Policy};

    #[test]
    fn endpoints_are_public_and_encrypted_unless_an_operator_says_otherwise() {
        let client = Client::new(Policy::new(["127.0.0.1:9000"]).unwrap()).unwrap();
        for url in ["https://hooks.example.com/a?b=c", "http://127.0.0.1:9000/in"] {
            assert_eq!(Endpoint::parse(url, &client).unwrap().as_str(), url);
        }
        for (url, why) in [
            ("http://hooks.example.com/a", "https://"),
            ("https://127.0.0.1/", "public"),
            ("https://169.254.169.254/latest", "public"),
            ("https://[::1]/", "public"),
            ("https://10.0.0.1/", "public"),
            ("https://hooks.example.com:8443/", "port 8443"),
            ("https://user:pass@hooks.example.com/", "user name"),
            ("ftp://hooks.example.com/", "ftp"),
            ("hooks.example.com", "URL"),
            ("", "URL"),
        ] {
            let error = Endpoint::parse(url, &client).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("pass@"), "{url}: {error}");
        }
        assert!(Endpoint::parse(&format!("https://a.example/{}", "x".repeat(2000)), &client).is_err());
    }

    #[test]
    fn what_is_heard_of_is_named_once_and_not_empty() {
        let twice = Subscriptions::new([EventKind::TaskFailed, EventKind::TaskFailed]).unwrap();
        assert_eq!(twice.names(), ["task.failed"]);
        assert!(Subscriptions::new([]).is_err());
    }
}
