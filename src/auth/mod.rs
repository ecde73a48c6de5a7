//! Sign-in: passwords, access and refresh tokens, and the check of every request.
//!
//! The only maker of a [`TenantScope`]: whoever holds one was checked here.

mod caller;
mod error;
#[cfg(fuzzing)]
pub mod fuzz;
pub mod keys;
mod password;
mod scopes;
mod sign_in;
mod store;
mod throttle;
mod token;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

pub use caller::{Caller, Session};
pub use error::AuthError;
pub use password::NewPassword;
pub use scopes::{Need, Scope, Scopes, UnknownScope, need};
pub use sign_in::{Registration, SignedIn, Tokens};

use crate::base::{AgencyId, Clock, SessionId, UserId, cache::Cache};

/// How long a checked token is believed: the longest that a change made through
/// another process goes unseen. Changes made through this one are seen at once.
const BELIEVED_FOR: Duration = Duration::from_secs(2);
const MAX_BELIEVED: usize = 20_000;
/// Ours are a third of this.
const MAX_TOKEN_BYTES: usize = 4096;

/// The sign-in service of a process.
#[derive(Debug)]
pub struct Auth {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    signer: token::Signer,
    passwords: password::Passwords,
    throttle: throttle::Throttle,
    /// With the token's end.
    checked: Cache<[u8; 32], (Session, DateTime<Utc>)>,
}

impl Auth {
    /// # Errors
    /// The signing key is not an Ed25519 private key in PEM (PKCS#8).
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, signing_key: &SecretString) -> Result<Self, AuthError> {
        Ok(Self {
            pool,
            clock,
            signer: token::Signer::new(signing_key)?,
            passwords: password::Passwords::new(),
            throttle: throttle::Throttle::new(signing_key)?,
            checked: Cache::new(BELIEVED_FOR, MAX_BELIEVED),
        })
    }

    /// Checks an access token: its signature and times, and that its session,
    /// user and agency are still in force, with the role that the user has now.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`] for anything wrong with it; the database is away.
    pub async fn authenticate(&self, token: &str) -> Result<Caller, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::InvalidToken("the access token is too long to be one of ours"));
        }
        let now = self.clock.now();
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let ticket = match self.checked.get(&key) {
            Ok((session, end)) if !token::expired(end, now) => return Ok(Caller::Person(session)),
            Ok(_) => return Err(token::EXPIRED),
            Err(ticket) => ticket,
        };
        let claims = self.signer.verify(token, now)?;
        let state = store::session_state(&self.pool, claims.agency_id, claims.sid, claims.sub, now).await?;
        let Some((role, team_id)) = state else {
            return Err(AuthError::InvalidToken("the session has ended; sign in again"));
        };
        let session = Session::verified(claims.agency_id, claims.sub, claims.sid, role, team_id);
        self.checked.keep(ticket, key, (session, claims.expires_at()));
        Ok(Caller::Person(session))
    }

    /// Call after a change of a user's role, team or status has been committed.
    pub fn forget_user(&self, user: UserId) {
        self.checked.forget(|_, (session, _)| session.user_id() == user);
    }

    /// Call after an agency was suspended.
    pub fn forget_agency(&self, agency: AgencyId) {
        self.checked.forget(|_, (session, _)| session.scope().agency_id() == agency);
    }

    fn forget_session(&self, id: SessionId) {
        self.checked.forget(|_, (session, _)| session.id() == id);
    }
}
