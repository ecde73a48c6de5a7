//! Whether a credential is in force, asked of the database for every request.
//!
//! Logging out, deactivating, demoting and revoking act on the very next request,
//! whichever process it reaches: nothing of the answer is remembered. What makes
//! that cheap is the lane: requests that come in at once share one statement.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use uuid::Uuid;

use super::AuthError;
use crate::{
    base::{AgencyId, ApiKeyId, Clock, Role, SessionId, TeamId, UserId},
    db::lane::{Flush, Lane, LaneError},
};

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

/// A request that waits to be let in is not to wait long.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the signature of an access token proved.
#[derive(Debug, Clone, Copy)]
pub struct SessionProof {
    pub session: SessionId,
    pub user: UserId,
    pub agency: AgencyId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionState {
    pub role: Role,
    pub team: Option<TeamId>,
}

/// The two parts of an API key, the second hashed.
#[derive(Debug, Clone, Copy)]
pub struct KeyProof {
    pub id: ApiKeyId,
    pub secret_hash: [u8; 32],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    pub agency: AgencyId,
    pub team: Option<TeamId>,
    /// As stored.
    pub scopes: Vec<String>,
}

#[derive(Debug)]
pub struct SessionsNow {
    pub pool: PgPool,
    pub clock: Arc<dyn Clock>,
}

impl Flush for SessionsNow {
    type Op = SessionProof;
    type Answer = Option<SessionState>;

    const PATIENCE: Duration = PATIENCE;

    async fn flush(&self, batch: &[SessionProof]) -> Result<Vec<Option<SessionState>>, sqlx::Error> {
        let mut answers = vec![None; batch.len()];
        let sessions: Vec<Uuid> = batch.iter().map(|proof| proof.session.0).collect();
        let users: Vec<Uuid> = batch.iter().map(|proof| proof.user.0).collect();
        let agencies: Vec<Uuid> = batch.iter().map(|proof| proof.agency.0).collect();
        let rows = sqlx::query!(
            r#"select place as "place!", role as "role!: Role", team_id as "team: TeamId"
                 from app.sessions_in_force($1, $2, $3, $4)"#,
            &sessions,
            &users,
            &agencies,
            self.clock.now(),
        )
        .fetch_all(&self.pool)
        .await?;
        for row in rows {
            put(&mut answers, row.place, SessionState { role: row.role, team: row.team });
        }
        Ok(answers)
    }
}

#[derive(Debug)]
pub struct KeysNow {
    pub pool: PgPool,
    pub clock: Arc<dyn Clock>,
}

impl Flush for KeysNow {
    type Op = KeyProof;
    type Answer = Option<KeyState>;

    const PATIENCE: Duration = PATIENCE;

    async fn flush(&self, batch: &[KeyProof]) -> Result<Vec<Option<KeyState>>, sqlx::Error> {
        let mut answers = vec![None; batch.len()];
        let ids: Vec<Uuid> = batch.iter().map(|proof| proof.id.0).collect();
        let hashes: Vec<Vec<u8>> = batch.iter().map(|proof| proof.secret_hash.to_vec()).collect();
        let rows = sqlx::query!(
            r#"select place as "place!", agency_id as "agency!: AgencyId", team_id as "team: TeamId", scopes as "scopes!"
                 from app.api_keys_in_force($1, $2, $3)"#,
            &ids,
            &hashes,
            self.clock.now(),
        )
        .fetch_all(&self.pool)
        .await?;
        for row in rows {
            put(&mut answers, row.place, KeyState { agency: row.agency, team: row.team, scopes: row.scopes });
        }
        Ok(answers)
    }
}

/// Postgres counts from 1.
fn put<T>(answers: &mut [Option<T>], place: i64, state: T) {
    let answer = usize::try_from(place).ok().and_then(|place| answers.get_mut(place.checked_sub(1)?));
    if let Some(answer) = answer {
        *answer = Some(state);
    }
}
