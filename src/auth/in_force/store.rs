//! Checks batches of credentials, of any agencies, through two functions of the definer.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    base::{AgencyId, ApiKeyId, Clock, Role, SessionId, TeamId, UserId},
    db::lane::Flush,
};

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
