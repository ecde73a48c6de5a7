//! Sign-in: passwords, access and refresh tokens, API keys, and the check of every request.
//!
//! The only maker of a [`crate::base::TenantScope`]: whoever holds one was checked here.

pub mod api_keys;
mod caller;
mod credentials;
mod error;
mod failures;
#[cfg(fuzzing)]
pub mod fuzz;
mod in_force;
pub mod keys;
pub mod oidc;
mod password;
mod people;
mod refresh_tokens;
mod scopes;
pub mod sessions;
mod sign_in;
mod throttle;
mod token;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

pub use caller::{Caller, Client, Session};
pub use error::AuthError;
pub use password::NewPassword;
pub use people::{Acceptance, FirstAdmin, Registration, create_admin, create_agency};
pub use scopes::{Need, Scope, Scopes, UnknownScope, need};
pub use sign_in::{SignedIn, Tokens};

use crate::base::{Clock, cache::Cache};
use in_force::{InForce, KeyProof, SessionProof};

/// Signatures that were verified are remembered about as long as a token is good:
/// they do not change. Whether the session is in force is never remembered.
const SIGNATURE_KEPT_FOR: Duration = Duration::from_mins(11);
const MAX_SIGNATURES: usize = 20_000;
/// Ours are a third of this.
const MAX_TOKEN_BYTES: usize = 4096;

const SESSION_ENDED: AuthError = AuthError::InvalidToken("the session has ended; sign in again");
const NO_KEY: AuthError =
    AuthError::InvalidToken("the API key is unknown, revoked or expired; make one with POST /api-keys");

/// The sign-in service of a process.
#[derive(Debug)]
pub struct Auth {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    signer: token::Signer,
    passwords: password::Passwords,
    throttle: throttle::Throttle,
    in_force: InForce,
    /// By the hash of the token: what its signature proved, and until when it is good.
    verified: Cache<[u8; 32], (SessionProof, DateTime<Utc>)>,
}

impl Auth {
    /// Needs a runtime: it starts the lanes that check credentials.
    ///
    /// # Errors
    /// The signing key is not an Ed25519 private key in PEM (PKCS#8).
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, signing_key: &SecretString) -> Result<Self, AuthError> {
        Ok(Self {
            signer: token::Signer::new(signing_key)?,
            passwords: password::Passwords::new(),
            throttle: throttle::Throttle::new(signing_key)?,
            in_force: InForce::start(&pool, &clock),
            verified: Cache::new(SIGNATURE_KEPT_FOR, MAX_SIGNATURES),
            pool,
            clock,
        })
    }

    /// Checks an access token or an API key, and that everything that it stands
    /// for is in force at this moment, with the role, team and scopes of now.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`] for anything wrong with it; the database is unavailable.
    pub async fn authenticate(&self, credential: &str) -> Result<Caller, AuthError> {
        if credential.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::InvalidToken("the access token is too long to be one of ours"));
        }
        if credential.starts_with(api_keys::PREFIX) { self.key(credential).await } else { self.token(credential).await }
    }

    async fn key(&self, text: &str) -> Result<Caller, AuthError> {
        let api_keys::Parts { id, secret_hash } = api_keys::parse(text).ok_or(NO_KEY)?;
        let state = self.in_force.key(KeyProof { id, secret_hash }).await?.ok_or(NO_KEY)?;
        // A scope that this version does not know allows nothing in it.
        let scopes = state.scopes.iter().filter_map(|scope| scope.parse::<Scope>().ok()).collect();
        Ok(Caller::key(state.agency, id, state.team, scopes))
    }

    async fn token(&self, token: &str) -> Result<Caller, AuthError> {
        let proof = self.verified(token)?;
        let state = self.in_force.session(proof).await?.ok_or(SESSION_ENDED)?;
        let SessionProof { agency, user, session } = proof;
        Ok(Caller::Person(Session::verified(agency, user, session, state.role, state.team)))
    }

    /// What the token's signature proves, if the token is good at this time.
    fn verified(&self, token: &str) -> Result<SessionProof, AuthError> {
        let now = self.clock.now();
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let ticket = match self.verified.get(&key) {
            Ok((proof, end)) if !token::expired(end, now) => return Ok(proof),
            Ok(_) => return Err(token::EXPIRED),
            Err(ticket) => ticket,
        };
        let claims = self.signer.verify(token, now)?;
        let proof = SessionProof { session: claims.sid, user: claims.sub, agency: claims.agency_id };
        self.verified.keep(ticket, key, (proof, claims.expires_at()));
        Ok(proof)
    }
}
