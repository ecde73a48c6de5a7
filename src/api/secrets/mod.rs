//! `/secrets`: the locker. Values go in and never come out.

mod shown;

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
    need,
    page::{Listing, page},
    tags::Tag,
};
use crate::{
    base::{AgencyId, TeamId},
    billing::{self, PriceBook},
    catalog::needs::{self, ProviderKey},
    locker::{self, KeyName, SecretValue},
};
use shown::{KeyCheck, NeedingRecipe, NeedingRecipes, Secret};

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct SecretBody {
    /// 1 to 16384 bytes. Never shown again.
    #[oai(validator(max_length = 16384))]
    value: Password,
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
        admin: Admin<need::SecretsRead>,
        team_id: Query<Option<Uuid>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Secret>>> {
        let team = team_id.0.map(TeamId);
        let found = locker::list(admin.scope(), &admin.state.pool, team, page(limit, cursor)?).await?;
        Ok(Json(Listing::of(found)))
    }

    /// Store a value under a name, for the agency or with `team_id` for a team, whose own comes first.
    #[oai(path = "/:key_name", method = "put", operation_id = "put_secret")]
    async fn put_secret(
        &self,
        admin: Admin<need::SecretsWrite>,
        #[oai(validator(max_length = 100))] key_name: Path<String>,
        team_id: Query<Option<Uuid>>,
        body: Body<SecretBody>,
    ) -> Result<Put> {
        let name = KeyName::parse(&key_name.0).map_err(|error| Problem::invalid("key_name", error))?;
        let value = SecretValue::parse(&body.0.value.0).map_err(|error| Problem::invalid("value", error))?;
        let team = team_id.0.map(TeamId);
        let now = admin.state.clock.now();
        let (secret, new) = admin.state.locker.put(admin.scope(), &admin.state.pool, team, &name, &value, now).await?;
        let secret = Json(secret.into());
        Ok(if new { Put::New(secret) } else { Put::Changed(secret) })
    }

    /// Get what may be known of a secret.
    #[oai(path = "/:key_name", method = "get", operation_id = "get_secret")]
    async fn get_secret(
        &self,
        admin: Admin<need::SecretsRead>,
        #[oai(validator(max_length = 100))] key_name: Path<String>,
        team_id: Query<Option<Uuid>>,
    ) -> Result<Json<Secret>> {
        let name = KeyName::parse(&key_name.0).map_err(|_| Problem::not_found())?;
        let team = team_id.0.map(TeamId);
        let secret = locker::get(admin.scope(), &admin.state.pool, team, &name).await?;
        secret.map(|secret| Json(secret.into())).ok_or_else(Problem::not_found)
    }

    /// Delete a secret. Runs that need it fail from now on, and say so.
    #[oai(path = "/:key_name", method = "delete", operation_id = "delete_secret")]
    async fn delete_secret(
        &self,
        admin: Admin<need::SecretsWrite>,
        #[oai(validator(max_length = 100))] key_name: Path<String>,
        team_id: Query<Option<Uuid>>,
    ) -> Result<Deleted> {
        let name = KeyName::parse(&key_name.0).map_err(|_| Problem::not_found())?;
        let team = team_id.0.map(TeamId);
        let deleted = admin.state.locker.delete(admin.scope(), &admin.state.pool, team, &name).await?;
        if deleted { Ok(Deleted::Done) } else { Err(Problem::not_found()) }
    }

    /// Store the next version of a secret that is there. Runs use it within a second.
    #[oai(path = "/:key_name/rotate", method = "post", operation_id = "rotate_secret")]
    async fn rotate_secret(
        &self,
        admin: Admin<need::SecretsWrite>,
        #[oai(validator(max_length = 100))] key_name: Path<String>,
        team_id: Query<Option<Uuid>>,
        body: Body<SecretBody>,
    ) -> Result<Json<Secret>> {
        let name = KeyName::parse(&key_name.0).map_err(|_| Problem::not_found())?;
        let value = SecretValue::parse(&body.0.value.0).map_err(|error| Problem::invalid("value", error))?;
        let team = team_id.0.map(TeamId);
        let secret = admin.state.locker.replace(admin.scope(), &admin.state.pool, team, &name, &value).await?;
        secret.map(|secret| Json(secret.into())).ok_or_else(Problem::not_found)
    }

    /// Ask a provider once whether its key, `<provider>_api_key`, works. Costs nothing.
    ///
    /// 422 for other names; 429 if this secret was checked in the last five seconds;
    /// 503 if the provider's answer tells nothing of the key.
    #[oai(path = "/:key_name/check", method = "post", operation_id = "check_secret")]
    async fn check_secret(
        &self,
        admin: Admin<need::SecretsWrite>,
        #[oai(validator(max_length = 100))] key_name: Path<String>,
        team_id: Query<Option<Uuid>>,
    ) -> Result<Json<KeyCheck>> {
        let name = KeyName::parse(&key_name.0).map_err(|_| Problem::not_found())?;
        let team = team_id.0.map(TeamId);
        let (probe, now) = (admin.state.key_probe.as_ref(), admin.state.clock.now());
        let checked = admin.state.locker.check(admin.scope(), &admin.state.pool, team, &name, probe, now).await?;
        checked.map(|checked| Json(checked.into())).ok_or_else(Problem::not_found)
    }

    /// List the recipes that need a secret of this name, whether it is stored or not.
    ///
    /// Those whose newest version names it, and for `<provider>_api_key` those that ask
    /// a model of that provider. A model that is only known when a recipe runs is not counted.
    #[oai(path = "/:key_name/recipes", method = "get", operation_id = "list_recipes_needing_secret")]
    async fn list_recipes_needing_secret(
        &self,
        admin: Admin<need::SecretsRead>,
        #[oai(validator(max_length = 100))] key_name: Path<String>,
    ) -> Result<Json<NeedingRecipes>> {
        let name = KeyName::parse(&key_name.0).map_err(|_| Problem::not_found())?;
        let items = needing(&admin.state, admin.scope().agency_id(), name.as_str()).await?;
        Ok(Json(NeedingRecipes { items }))
    }
}

async fn needing(state: &ApiState, agency: AgencyId, key_name: &str) -> Result<Vec<NeedingRecipe>> {
    let recipes = needs::of_agency(&state.pool, agency).await?;
    let Some(provider) = state.key_probe.provider(key_name) else {
        return Ok(shown::needing(&recipes, key_name, None));
    };
    let prices = PriceBook::new(billing::store::all_visible(&state.pool).await?);
    let provider_of = |model: &str| prices.provider_of(model).map(str::to_owned);
    let is_default = needs::is_default_provider(&state.pool, agency, &provider).await?;
    let key = ProviderKey { provider: &provider, provider_of: &provider_of, is_default };
    Ok(shown::needing(&recipes, key_name, Some(&key)))
}
