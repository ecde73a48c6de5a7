//! Webhooks: an agency's endpoints that hear of events, each delivery signed by the
//! Standard Webhooks specification and sent until it arrives.
//!
//! A delivery is written by a trigger in the transaction of its event, so that nothing is
//! lost, whatever is killed; it is sent at least once, always under the event's id.
//!
//! - [`webhook`]: what a webhook is, parsed at the edge
//! - [`manage`]: making one, and rotating its secret
//! - [`store`]: reading and changing
//! - [`signature`]: secrets and signatures
//! - [`schedule`]: when it is tried again, and when no more
//! - [`deliverer`]: what sends deliveries
//! - [`deliver`]: the loop of a worker
//! - [`attempt`]: one request

mod attempt;
mod deliver;
mod deliverer;
mod error;
pub mod manage;
mod schedule;
mod signature;
pub mod store;
mod webhook;

pub use deliver::keep;
pub use deliverer::Deliverer;
pub use error::WebhookError;
pub use signature::Secret;
pub use webhook::{Change, Delivery, Description, Endpoint, Invalid, NewWebhook, Subscriptions, Webhook};

/// The event of a delivery that was asked for with a test.
pub const TEST_EVENT: &str = "webhook.test";
