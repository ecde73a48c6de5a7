//! `/auth/identities`: a person's accounts at providers.

use chrono::{DateTime, Utc};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

use super::{
    Person, Result,
    http::{
        page::{Listing, page},
        tags::Tag,
    },
    sessions::{Ended, ended},
};
use crate::{
    auth::oidc::identities::{self, LinkedIdentity},
    base::IdentityId,
};

/// An account at a provider that signs you in.
#[derive(Debug, Object)]
struct Identity {
    id: Uuid,
    /// The provider, as in `https://accounts.google.com`.
    issuer: String,
    /// What the provider calls the account.
    subject: String,
    created_at: DateTime<Utc>,
}

impl From<LinkedIdentity> for Identity {
    fn from(LinkedIdentity { id, issuer, subject, created_at }: LinkedIdentity) -> Self {
        Self { id: id.0, issuer, subject, created_at }
    }
}

#[derive(Clone)]
pub struct IdentitiesApi;

#[OpenApi(prefix_path = "/auth/identities", tag = "Tag::Auth")]
impl IdentitiesApi {
    /// List your accounts at providers; each signs you in.
    #[oai(path = "/", method = "get", operation_id = "list_own_identities")]
    async fn list_own_identities(
        &self,
        person: Person,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Identity>>> {
        let found = identities::list(person.session(), &person.state.pool, page(limit, cursor)?).await?;
        Ok(Json(Listing::of(found.map(Identity::from))))
    }

    /// Unlink an account at a provider: it signs you in no more. Sessions go on until they
    /// are ended. 409 `last_way_in` if you have neither a password nor another account.
    #[oai(path = "/:id", method = "delete", operation_id = "unlink_own_identity")]
    async fn unlink_own_identity(&self, person: Person, id: Path<Uuid>) -> Result<Ended> {
        ended(identities::unlink(person.session(), &person.state.pool, IdentityId(id.0)).await?)
    }
}
