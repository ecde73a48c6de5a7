//! The frame that every request passes, and what handlers are made of.
//!
//! In the order of a request:
//!
//! - [`connections`]: how many there may be, and how long each may be silent
//! - [`frame`]: an id, a span, headers, metrics, panics; [`browsers`]: pages of other origins
//! - [`gate`]: bounds of address and headers, requests without a token; [`query`]: nothing but UTF-8 in it; [`client_address`]: who asks
//! - [`idempotency`]: a POST that is repeated does its work once
//! - [`security`]: who may call, by the type of the handler's access argument, which gives the [`state`]
//! - [`admit`]: how many requests of those who signed in
//! - [`body`]: JSON, read strictly; [`doubled`], [`explain`], [`check`], [`json_object`]: what is wrong with it
//! - [`page`], [`time`], [`scope_name`], [`json_answer`]: what parameters and answers are made of
//! - [`problem`] and [`errors`]: every error as an RFC 9457 problem
//!
//! And of the specification: [`access`], [`document`], [`docs`], [`tags`].

pub(super) mod access;
pub(super) mod admit;
pub mod body;
pub(super) mod browsers;
pub mod check;
pub(super) mod client_address;
pub(super) mod connections;
pub(super) mod docs;
pub(super) mod document;
pub(super) mod doubled;
pub(super) mod errors;
pub(super) mod explain;
pub(super) mod frame;
pub(super) mod gate;
pub(super) mod idempotency;
pub(super) mod json_answer;
pub mod json_object;
pub mod page;
pub mod problem;
pub(super) mod query;
pub(super) mod scope_name;
pub mod security;
pub(super) mod state;
pub(super) mod tags;
pub(super) mod time;
