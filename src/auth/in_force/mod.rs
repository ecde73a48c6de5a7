//! Whether a credential is in force, asked of the database for every request.
//!
//! Logging out, deactivating, demoting and revoking act on the very next request,
//! whichever process it reaches: nothing of the answer is remembered. What makes
//! that cheap is the lane: requests that come in at once share one statement.

mod store;

use std::sync::Arc;

use sqlx::PgPool;

pub use store::{KeyProof, KeyState, SessionProof, SessionState};

use super::AuthError;
use crate::{
    base::Clock,
    db::lane::{Lane, LaneError},
};
use store::{KeysNow, SessionsNow};

/// Credentials in one statement.
const MAX_BATCH: usize = 256;

/// Asks for many requests at once.
#[derive(Debug)]
pub struct InForce {
    sessions: Lane<SessionsNow>,
    keys: Lane<KeysNow>,
}

impl InForce {
    /// Starts the two lanes; needs a runtime.
    pub fn start(pool: &PgPool, clock: &Arc<dyn Clock>) -> Self {
        Self {
            sessions: Lane::start(SessionsNow { pool: pool.clone(), clock: Arc::clone(clock) }, MAX_BATCH),
            keys: Lane::start(KeysNow { pool: pool.clone(), clock: Arc::clone(clock) }, MAX_BATCH),
        }
    }

    /// The role and team that the user has now; `None` if the session, the user
    /// or the agency is no longer in force.
    pub async fn session(&self, proof: SessionProof) -> Result<Option<SessionState>, AuthError> {
        self.sessions.write(proof).await.map_err(failed)
    }

    /// Whose key it is; `None` if there is no such key or it is no longer in force.
    pub async fn key(&self, proof: KeyProof) -> Result<Option<KeyState>, AuthError> {
        self.keys.write(proof).await.map_err(failed)
    }
}

fn failed(error: LaneError) -> AuthError {
    match error {
        LaneError::Unavailable => AuthError::Unavailable,
        LaneError::Refused(error) => AuthError::Internal(format!("a credential could not be checked: {error}")),
    }
}
