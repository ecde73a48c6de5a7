//! The guarded HTTP client for every address that a tenant or a page can name.
//!
//! - [`address`]: which addresses are public
//! - [`policy`]: which URLs may be asked at all; what operators allow
//! - [`resolve`]: names to checked addresses, at the moment of dialling
//! - [`client`]: one request, its redirects, its limits

mod address;
mod client;
mod error;
#[cfg(fuzzing)]
pub mod fuzz;
mod policy;
mod redirect;
mod request;
mod resolve;
mod response;
#[cfg(test)]
mod tests;

pub use client::{Client, Room};
pub use error::{Error, ErrorKind};
pub use policy::{Policy, parse_url, shown};
pub use request::{Limits, Request};
pub use reqwest::{Method, StatusCode, Url, header};
pub use resolve::{Lookup, SystemLookup};
pub use response::{Redirect, Response};

/// What the client calls itself where the request does not say.
pub const USER_AGENT: &str = concat!("TeamAI/", env!("CARGO_PKG_VERSION"));
