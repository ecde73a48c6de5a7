//! Sign-in through an OpenID Connect provider: the authorization code flow with PKCE.
//!
//! | step | what |
//! |---|---|
//! | [`Oidc::begin`] | to the provider, with state, nonce and challenge; a sealed cookie binds them to the browser |
//! | [`Oidc::finish`] | back from the provider: state, code, ID token, then whose account it is |
//! | [`Oidc::exchange`] | the front end's one-time code, with the browser's cookie, for tokens |
//!
//! Which account an identity belongs to, and why, is told in `docs/decisions/0007-openid-connect.md`.

mod accounts;
mod codes;
mod error;
mod fetch;
mod flow;
mod flows;
pub mod identities;
mod identity;
mod issuer;
mod return_to;
mod sign_in;
mod verify;

pub use error::OidcError;
pub use fetch::{Fetch, FetchError};
pub use sign_in::{Callback, Departure, Oidc, Settings};
