//! `/secrets`: the locker. Values go in and never come out.

use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Password,
};
use uuid::Uuid;

use super::{
    Admin, ApiState, Problem, Result,
    body::Body,
    page::{Listing, page},
    tags::Tag,
};
use crate::{
    base::TeamId,
    locker::{self, KeyName, SecretValue},
};

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct SecretBody {
    /// 1 to 16384 bytes. Never shown again.
    #[oai(validator(max_length = 16384))]
    value: Password,
}

/// What may be known of a secret.
#[derive(Debug, Object)]
struct Secret {
    key_name: String,
    /// Null for the whole agency's.
    team_id: Option<Uuid>,
    /// 1, then one more with each new value.
    version: i32,
    /// The end of a value of 12 characters or more, else empty.
    last4: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// To the minute; null if no run used it yet.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<locker::Secret> for Secret {
    fn from(secret: locker::Secret) -> Self {
        Self {
            key_name: secret.key_name,
            team_id: secret.team_id.map(|id| id.0),
            version: secret.version,
            last4: secret.last4,
            created_at: secret.created_at,
            updated_at: secret.updated_at,
            last_used_at: secret.last_used_at,
        }
    }
}

#[derive(ApiResponse)]
enum Put {
    /// A new secret.
    #[oai(status = 201)]
    New(Json<Secret>),
    /// The next version of a secret.
    #[oai(status = 200)]
    Changed(Json<Secret>),
}

#[derive(ApiResponse)]
enum Deleted {
    #[oai(status = 204)]
    Done,
}

#[derive(Clone)]
pub struct SecretsApi;

#[OpenApi(prefix_path = "/secrets", tag = "Tag::Secrets")]
impl SecretsApi {
    /// List secrets: all of them, or those of one team.
    #[oai(path = "/", method = "get", operation_id = "list_secrets")]
    async fn list_secrets(
        &self,
        admin: Admin,
        state: Data<&ApiState>,
        team_id: Query<Option<Uuid>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Secret>>> {
        let (agency, team) = (admin.scope().agency_id(), team_id.0.map(TeamId));
        let found = locker::list(&state.pool, agency, team, page(limit, cursor)?).await?;
        Ok(Json(Listing::of(found)))
    }

    /// Store a value under a name, for the agency or with `team_id` for a team, whose own comes first.
    #[oai(path = "/:key_name", method = "put", operation_id = "put_secret")]
    async fn put_secret(
        &self,
        admin: Admin,
        state: Data<&ApiState>,
        #[oai(validator(max_length = 100))] key_name: Path<String>,
        team_id: Query<Option<Uuid>>,
        body: Body<SecretBody>,
    ) -> Result<Put> {
        let name = KeyName::parse(&key_name.0).map_err(|error| Problem::invalid("key_name", error))?;
        let value = SecretValue::parse(&body.0.value.0).map_err(|error| Problem::invalid("value", error))?;
        let (agency, team) = (admin.scope().agency_id(), team_id.0.map(TeamId));
        let now = state.clock.now();
        let (secret, new) = state.locker.put(&state.pool, agency, team, &name, &value, now).await?;
        let secret = Json(secret.into());
        Ok(if new { Put::New(secret) } else { Put::Changed(secret) })
    }

    /// Get what may be known of a secret.
    #[oai(path = "/:key_name", method = "get", operation_id = "get_secret")]
    async fn get_secret(
        &self,
        admin: Admin,
        state: Data<&ApiState>,
        #[oai(validator(max_length = 100))] key_name: Path<String>,
        team_id: Query<Option<Uuid>>,
    ) -> Result<Json<Secret>> {
        let name = KeyName::parse(&key_name.0).map_err(|_| Problem::not_found())?;
        let (agency, team) = (admin.scope().agency_id(), team_id.0.map(TeamId));
        let secret = locker::get(&state.pool, agency, team, &name).await?;
        secret.map(|secret| Json(secret.into())).ok_or_else(Problem::not_found)
    }

    /// Delete a secret. Runs that need it fail from now on, and say so.
    #[oai(path = "/:key_name", method = "delete", operation_id = "delete_secret")]
    async fn delete_secret(
        &self,
        admin: Admin,
        state: Data<&ApiState>,
        #[oai(validator(max_length = 100))] key_name: Path<String>,
        team_id: Query<Option<Uuid>>,
    ) -> Result<Deleted> {
        let name = KeyName::parse(&key_name.0).map_err(|_| Problem::not_found())?;
        let (agency, team) = (admin.scope().agency_id(), team_id.0.map(TeamId));
        let deleted = state.locker.delete(&state.pool, agency, team, &name).await?;
        if deleted { Ok(Deleted::Done) } else { Err(Problem::not_found()) }
    }
}
