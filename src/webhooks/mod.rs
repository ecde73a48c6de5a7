//! Webhooks: an agency's endpoints that hear of events, each delivery signed by the
//! Standard Webhooks specification and sent until it arrives.
//!
//! A delivery is written by a trigger in the transaction of its event, so that nothing is
//! lost, whatever is killed; it is sent at least once, always under the event's id.
//!
//! - [`webhook`]: what a webhook is, parsed at the edge
//! - [`manage`]: made, read, changed, its secret rotated
//! - [`deliveries`]: what was sent, and sending it again
//! - [`due`]: what is to be sent now, and what came of it
//! - [`signature`]: secrets and signatures
//! - [`schedule`]: when it is tried again, and when no more
//! - [`deliverer`]: what sends deliveries
//! - [`deliver`]: the loop of a worker
//! - [`attempt`]: one request

mod attempt;
mod deliver;
mod deliverer;
pub mod deliveries;
mod due;
mod error;
pub mod manage;
mod schedule;
mod signature;
mod webhook;

pub use deliverer::Deliverer;
pub use due::keep;
pub use error::WebhookError;
pub use signature::Secret;
pub use webhook::{Change, Delivery, Description, Endpoint, Invalid, NewWebhook, Subscriptions, Webhook};

/// The event of a delivery that was asked for with a test.
pub const TEST_EVENT: &str = "webhook.test";
