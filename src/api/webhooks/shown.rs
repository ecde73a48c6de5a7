//! Webhooks and deliveries as the API takes and shows them.

use chrono::{DateTime, Utc};
use poem_openapi::{Enum, Object, types::MaybeUndefined};
use uuid::Uuid;

use crate::{
    api::{
        Problem, Result,
        http::check::{Check, checked},
    },
    base::TeamId,
    egress,
    events::{self, EventKind},
    webhooks::{self, Change, Description, Endpoint, NewWebhook, Subscriptions},
};

macro_rules! kinds {
    ($($name:ident $text:literal,)+) => {
        /// What a webhook can hear of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
        pub enum EventType { $(#[oai(rename = $text)] $name,)+ }

        impl From<EventType> for EventKind {
            fn from(kind: EventType) -> Self {
                match kind { $(EventType::$name => Self::$name,)+ }
            }
        }
    };
}

kinds! {
    TaskQueued "task.queued",
    TaskStarted "task.started",
    TaskWaiting "task.waiting",
    TaskParked "task.parked",
    TaskCompleted "task.completed",
    TaskFailed "task.failed",
    TaskCancelled "task.cancelled",
    TaskDead "task.dead",
    StepStarted "step.started",
    StepCompleted "step.completed",
    StepFailed "step.failed",
    StepSkipped "step.skipped",
}

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct WebhookBody {
    /// https on a public address, unless the operator allowed another host and port.
    #[oai(validator(max_length = 2000))]
    url: String,
    /// What it is to hear of.
    #[oai(validator(min_items = 1, max_items = 32))]
    events: Vec<EventType>,
    /// With it, only of this team's tasks.
    team_id: Option<Uuid>,
    #[oai(validator(max_length = 200))]
    description: Option<String>,
    #[oai(default = "on")]
    enabled: bool,
}

fn on() -> bool {
    true
}

/// What is left out stays as it is.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct WebhookChangeBody {
    #[oai(validator(max_length = 2000))]
    url: Option<String>,
    #[oai(validator(min_items = 1, max_items = 32))]
    events: Option<Vec<EventType>>,
    /// Null clears it.
    #[oai(validator(max_length = 200))]
    description: MaybeUndefined<String>,
    /// Off: nothing more is sent, and what waits has failed. On: it begins anew.
    enabled: Option<bool>,
}

/// A webhook. Its secret is shown once, where it is made.
#[derive(Debug, Object)]
pub struct Webhook {
    id: Uuid,
    url: String,
    events: Vec<String>,
    /// Null for the events of all teams.
    team_id: Option<Uuid>,
    description: Option<String>,
    enabled: bool,
    /// Why it was switched off by itself: `endpoint_gone` (it answered 410) or `failing` (for five days).
    disabled_reason: Option<String>,
    /// Since when no delivery arrived; null while all is well.
    failing_since: Option<DateTime<Utc>>,
    /// After a rotation: until when deliveries are signed with the secret before, too.
    previous_secret_expires_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<webhooks::Webhook> for Webhook {
    fn from(webhook: webhooks::Webhook) -> Self {
        Self {
            id: webhook.id.0,
            url: webhook.url,
            events: webhook.events,
            team_id: webhook.team_id.map(|id| id.0),
            description: webhook.description,
            enabled: webhook.enabled,
            disabled_reason: webhook.disabled_reason,
            failing_since: webhook.failing_since,
            previous_secret_expires_at: webhook.previous_secret_expires_at,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

/// A webhook with its new secret.
#[derive(Object)]
pub struct WebhookWithSecret {
    #[oai(flatten)]
    webhook: Webhook,
    /// `whsec_` and base64: for verifying `webhook-signature` by the Standard Webhooks specification. Shown this once.
    secret: String,
}

impl WebhookWithSecret {
    pub fn new(webhook: webhooks::Webhook, secret: &webhooks::Secret) -> Self {
        Self { webhook: webhook.into(), secret: secret.expose().to_owned() }
    }
}

/// What one webhook hears of one event.
#[derive(Debug, Object)]
pub struct Delivery {
    id: Uuid,
    /// The `webhook-id` of every attempt, and the `id` of the event in the task's stream.
    event_id: String,
    /// The event's type, or `webhook.test`.
    r#type: String,
    task_id: Option<Uuid>,
    /// `pending`, `delivered` or `failed`.
    status: String,
    attempts: i32,
    /// The HTTP status of the last attempt that was answered.
    response_status: Option<i32>,
    /// What went wrong with the last attempt.
    error: Option<String>,
    /// Null once it was delivered or has failed.
    next_attempt_at: Option<DateTime<Utc>>,
    last_attempt_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<webhooks::Delivery> for Delivery {
    fn from(delivery: webhooks::Delivery) -> Self {
        Self {
            id: delivery.id.0,
            event_id: events::public_id(delivery.event_seq),
            r#type: delivery.kind,
            task_id: delivery.task_id,
            status: delivery.status,
            attempts: delivery.attempts,
            response_status: delivery.response_status,
            error: delivery.error,
            next_attempt_at: delivery.next_attempt_at,
            last_attempt_at: delivery.last_attempt_at,
            delivered_at: delivery.delivered_at,
            created_at: delivery.created_at,
        }
    }
}

fn subscriptions(kinds: &[EventType]) -> std::result::Result<Subscriptions, webhooks::Invalid> {
    Subscriptions::new(kinds.iter().map(|kind| EventKind::from(*kind)))
}

pub fn new(body: &WebhookBody, client: &egress::Client) -> Result<NewWebhook> {
    let mut check = Check::default();
    let endpoint = check.field("url", Endpoint::parse(&body.url, client));
    let events = check.field("events", subscriptions(&body.events));
    let description = check.optional("description", body.description.as_ref(), Description::parse);
    check.finish()?;
    Ok(NewWebhook {
        endpoint: checked(endpoint)?,
        events: checked(events)?,
        team_id: body.team_id.map(TeamId),
        description,
        enabled: body.enabled,
    })
}

pub fn change(body: &WebhookChangeBody, client: &egress::Client) -> Result<Change> {
    let mut check = Check::default();
    let endpoint = check.optional("url", body.url.as_ref(), |url| Endpoint::parse(url, client));
    let events = body.events.as_ref().and_then(|kinds| check.field("events", subscriptions(kinds)));
    let description = check.change("description", &body.description, Description::parse);
    check.finish()?;
    Ok(Change { endpoint, events, description, enabled: body.enabled })
}

impl From<webhooks::WebhookError> for Problem {
    fn from(error: webhooks::WebhookError) -> Self {
        use webhooks::WebhookError as E;
        let detail = error.to_string();
        match error {
            E::TeamUnknown => Self::no_such("team_id", "team"),
            E::TooMany => {
                let remedy = "An agency has at most 50 webhooks; delete one, or subscribe one of them to more events.";
                Self::conflict("too_many_webhooks", remedy)
            }
            E::SwitchedOff => Self::conflict("webhook_disabled", detail),
            E::Locker(error) => error.into(),
            E::Database(error) => error.into(),
        }
    }
}
