//! The HTTP API: one file a resource, and the frame around them.
//!
//! To add a resource: write `mod name;` and put its API into [`resources`].

mod agency;
mod agents;
mod api_keys;
mod approvals;
mod audit_logs;
mod auth;
mod catalogue;
mod events;
mod feedback;
mod health;
pub mod http;
mod identities;
mod invites;
mod oidc;
mod pauses;
mod queue;
mod resources;
mod routes;
mod schedules;
mod secrets;
mod sessions;
mod subscriptions;
mod tasks;
mod teams;
mod users;
mod webhooks;
mod workers;

pub use http::browsers::Browsers;
pub use http::connections::Connections;
pub use http::problem::{Problem, Result};
pub use http::security::{Admin, Member, Open, Person, PersonAdmin};
pub use http::state::ApiState;
pub use resources::spec;
pub use routes::routes;

pub use crate::auth::need;
