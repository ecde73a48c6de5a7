//! `/auth/sessions`: where a person is signed in.

use chrono::{DateTime, Utc};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

use super::{
    Person, Problem, Result,
    http::{
        page::{Listing, page},
        tags::Tag,
    },
};
use crate::{
    auth::sessions::{self, SignIn},
    base::{Paged, SessionId},
};

/// A sign-in that is in force.
#[derive(Debug, Object)]
pub struct Session {
    id: Uuid,
    /// What the browser or program called itself when it signed in.
    user_agent: Option<String>,
    created_at: DateTime<Utc>,
    /// When its tokens were last renewed.
    renewed_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    /// Whether it is the one that asks.
    current: bool,
}

/// The sessions as shown to whoever asks with the session `own`.
pub fn shown(found: Paged<SignIn>, own: SessionId) -> Json<Listing<Session>> {
    Json(Listing::of(found.map(|sign_in| Session {
        id: sign_in.id.0,
        current: sign_in.id == own,
        user_agent: sign_in.user_agent,
        created_at: sign_in.created_at,
        renewed_at: sign_in.renewed_at,
        expires_at: sign_in.expires_at,
    })))
}

#[derive(ApiResponse)]
pub enum Ended {
    #[oai(status = 204)]
    Done,
}

/// 404 unless there was such a session.
pub fn ended(there_was: bool) -> Result<Ended> {
    if there_was { Ok(Ended::Done) } else { Err(Problem::not_found()) }
}

#[derive(Clone)]
pub struct SessionsApi;

#[OpenApi(prefix_path = "/auth/sessions", tag = "Tag::Auth")]
impl SessionsApi {
    /// List where you are signed in.
    ///
    /// In 50 places at most: to sign in once more ends the oldest session.
    #[oai(path = "/", method = "get", operation_id = "list_own_sessions")]
    async fn list_own_sessions(
        &self,
        person: Person,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Session>>> {
        let (session, state) = (person.session(), &person.state);
        let (page, now) = (page(limit, cursor)?, state.clock.now());
        let found = sessions::list(session.scope(), &state.pool, session.user_id(), page, now).await?;
        Ok(shown(found.ok_or_else(Problem::not_found)?, session.id()))
    }

    /// Sign out somewhere: the session ends, its tokens included.
    #[oai(path = "/:id", method = "delete", operation_id = "end_own_session")]
    async fn end_own_session(&self, person: Person, id: Path<Uuid>) -> Result<Ended> {
        let (session, state) = (person.session(), &person.state);
        let now = state.clock.now();
        ended(sessions::end(session.scope(), &state.pool, session.user_id(), SessionId(id.0), now).await?)
    }
}
