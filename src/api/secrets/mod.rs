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
    Admin, Problem, Result,
    http::{
        body::Body,
        page::{Listing, page},
        problem::FieldError,
        state::ApiState,
        tags::Tag,
    },
    need,
};
use crate::{
    base::{AgencyId, Paged, SecretHost, TeamId},
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

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct PutSecretBody {
    /// 1 to 16384 bytes. Never shown again.
    #[oai(validator(max_length = 16384))]
    value: Password,
    /// Where the value may be sent: at most 20 exact hosts, `api.example.com` or, off the usual ports,
    /// `api.example.com:8443`; no wildcards. Left out, those that there are stay. While there is none the
    /// value is sent nowhere; the first recipe that somebody with `secrets:write` publishes binds it to
    /// the hosts that it spells out. Not for `<provider>_api_key`, which goes to its provider alone.
    #[oai(validator(max_items = 20, max_length = 255))]
    hosts: Option<Vec<String>>,
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
        let items = found.items.into_iter().map(|secret| admin.state.shown(secret)).collect();
        Ok(Json(Listing::of(Paged { items, next: found.next })))
    }

    /// Store a value under a name, for the agency or with `team_id` for a team, whose own comes first.
    ///
    /// The hosts that a value may be sent to are changed with the value alone, so that whoever does not
    /// know it cannot have it sent elsewhere.
    #[oai(path = "/:key_name", method = "put", operation_id = "put_secret")]
    async fn put_secret(
        &self,
        admin: Admin<need::SecretsWrite>,
        #[oai(validator(max_length = 100))] key_name: Path<String>,
        team_id: Query<Option<Uuid>>,
        body: Body<PutSecretBody>,
    ) -> Result<Put> {
        let name = KeyName::parse(&key_name.0).map_err(|error| Problem::invalid("key_name", error))?;
        let value = SecretValue::parse(&body.0.value.0).map_err(|error| Problem::invalid("value", error))?;
        let team = team_id.0.map(TeamId);
        let hosts = hosts(&admin.state, &name, body.0.hosts.as_deref())?;
        let now = admin.state.clock.now();
        let value = (&value, hosts.as_deref());
        let (secret, new) = admin.state.locker.put(admin.scope(), &admin.state.pool, team, &name, value, now).await?;
        let secret = Json(admin.state.shown(secret));
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
        secret.map(|secret| Json(admin.state.shown(secret))).ok_or_else(Problem::not_found)
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

    /// Store the next version of a secret that is there. Runs use it within a second. Its hosts stay.
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
        secret.map(|secret| Json(admin.state.shown(secret))).ok_or_else(Problem::not_found)
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

/// The hosts of a request: exact, each once.
fn hosts(state: &ApiState, name: &KeyName, given: Option<&[String]>) -> Result<Option<Vec<SecretHost>>> {
    let Some(given) = given else { return Ok(None) };
    if let Some(provider) = state.key_probe.provider(name.as_str()).filter(|_| !given.is_empty()) {
        let place = state.key_probe.host(&provider).map_or_else(String::new, |host| format!(", at {host},"));
        let message = format!(
            "{} is the key of the provider {provider} and goes to it{place} alone: leave hosts out, or store the value \
             under another name",
            name.as_str()
        );
        return Err(Problem::invalid("hosts", message));
    }
    let mut hosts = Vec::with_capacity(given.len());
    let mut wrong = Vec::new();
    for (nth, text) in given.iter().enumerate() {
        match SecretHost::parse(text) {
            Ok(host) if hosts.contains(&host) => {}
            Ok(host) => hosts.push(host),
            Err(message) => wrong.push(FieldError::new(format!("hosts[{nth}]"), message)),
        }
    }
    if wrong.is_empty() { Ok(Some(hosts)) } else { Err(Problem::validation(wrong)) }
}

impl ApiState {
    fn shown(&self, secret: locker::Secret) -> Secret {
        let provider = self.key_probe.provider(&secret.key_name);
        let of = provider.map(|provider| {
            let host = self.key_probe.host(&provider);
            (provider, host)
        });
        Secret::new(secret, of)
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
