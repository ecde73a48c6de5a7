//! `/api-keys`: credentials of machines. Made, listed and revoked by people.

use chrono::{DateTime, Utc};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

use super::{
    PersonAdmin, Problem, Result,
    http::{
        body::Body,
        check::{Check, checked},
        page::{Listing, page},
        problem::FieldError,
        scope_name::ScopeName,
        tags::Tag,
        time::Time,
    },
};
use crate::{
    auth::api_keys::{self, NewApiKey},
    base::{ApiKeyId, TeamId},
    tenancy::Name,
};

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct ApiKeyBody {
    #[oai(validator(max_length = 200))]
    name: String,
    /// What the key may be used for.
    #[oai(validator(min_items = 1, max_items = 64))]
    scopes: Vec<ScopeName>,
    /// With it the key is a member of the team, without it an admin, within its scopes.
    team_id: Option<Uuid>,
    /// In the future; without it the key is good until it is revoked.
    expires_at: Option<Time>,
}

/// What may be known of an API key.
#[derive(Debug, Object)]
struct ApiKey {
    id: Uuid,
    name: String,
    /// Null for the whole agency's.
    team_id: Option<Uuid>,
    scopes: Vec<ScopeName>,
    /// Null once that person is gone. The key stays.
    created_by: Option<Uuid>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    /// To the minute; null if it was never used.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<api_keys::ApiKey> for ApiKey {
    fn from(key: api_keys::ApiKey) -> Self {
        Self {
            id: key.id.0,
            name: key.name,
            team_id: key.team_id.map(|id| id.0),
            scopes: key.scopes.iter().filter_map(|scope| scope.parse().ok().map(ScopeName)).collect(),
            created_by: key.created_by.map(|id| id.0),
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}

#[derive(Object)]
struct NewApiKeyShown {
    api_key: ApiKey,
    /// For `Authorization: Bearer`. Shown this once.
    key: String,
}

#[derive(ApiResponse)]
enum Made {
    #[oai(status = 201)]
    New(Json<NewApiKeyShown>),
}

#[derive(ApiResponse)]
enum Revoked {
    #[oai(status = 204)]
    Done,
}

#[derive(Clone)]
pub struct ApiKeysApi;

#[OpenApi(prefix_path = "/api-keys", tag = "Tag::Auth")]
impl ApiKeysApi {
    /// List the API keys that are not revoked.
    #[oai(path = "/", method = "get", operation_id = "list_api_keys")]
    async fn list_api_keys(
        &self,
        admin: PersonAdmin,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<ApiKey>>> {
        let found = api_keys::list(admin.scope(), &admin.state.pool, page(limit, cursor)?).await?;
        Ok(Json(Listing::of(found)))
    }

    /// Make an API key. The key is shown this once.
    ///
    /// It belongs to the agency: it stays when the person who made it leaves.
    #[oai(path = "/", method = "post", operation_id = "create_api_key")]
    async fn create_api_key(&self, admin: PersonAdmin, body: Body<ApiKeyBody>) -> Result<Made> {
        let (state, now) = (&admin.state, admin.state.clock.now());
        let new = new_key(&body.0, now)?;
        let made = api_keys::create(admin.session(), &state.pool, &new, now).await?;
        let key = made.expose().to_owned();
        Ok(Made::New(Json(NewApiKeyShown { api_key: made.key.into(), key })))
    }

    /// Revoke an API key, at once and for good.
    #[oai(path = "/:id", method = "delete", operation_id = "revoke_api_key")]
    async fn revoke_api_key(&self, admin: PersonAdmin, id: Path<Uuid>) -> Result<Revoked> {
        let state = &admin.state;
        let revoked = api_keys::revoke(admin.scope(), &state.pool, ApiKeyId(id.0), state.clock.now()).await?;
        if revoked { Ok(Revoked::Done) } else { Err(Problem::not_found()) }
    }
}

fn new_key(body: &ApiKeyBody, now: DateTime<Utc>) -> Result<NewApiKey> {
    let mut check = Check::default();
    let name = check.field("name", Name::parse(&body.name));
    let expires_at = check.noted(match body.expires_at.map(|time| time.0) {
        Some(at) if at <= now => Err(FieldError::new("expires_at", "must be in the future")),
        at => Ok(at),
    });
    check.finish()?;
    Ok(NewApiKey {
        name: checked(name)?,
        scopes: body.scopes.iter().map(|scope| scope.0).collect(),
        team_id: body.team_id.map(TeamId),
        expires_at: checked(expires_at)?,
    })
}
