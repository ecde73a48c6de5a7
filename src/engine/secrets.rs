//! What a node may open, and where its provider keys come from.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use secrecy::SecretString;

use super::clean::Redactor;
use crate::{
    base::{RunScope, SecretHost},
    billing::PriceBook,
    catalog::model::{SecretRef, SecretScope},
    components::{Bound, ComponentError, Opened, ProviderKeys, Retry},
    db, egress,
    locker::{self, Locker, LockerError, Lookup},
    providers::{Provider, Registry, key_secret, provider_of_key},
};

/// The locker as one run sees it: the agency's, and its team's first.
#[derive(Debug)]
pub struct RunSecrets {
    pub locker: Arc<Locker>,
    pub pool: sqlx::PgPool,
    pub scope: RunScope,
    pub redactor: Arc<Redactor>,
    pub prices: Arc<PriceBook>,
    pub providers: Registry,
}

impl RunSecrets {
    async fn open(&self, name: &str, lookup: Lookup, field: &str) -> Result<Option<locker::Opened>, ComponentError> {
        let asked = self.locker.resolve(&self.scope, &self.pool, name, lookup);
        let found = db::bounded(db::ANSWER_WITHIN, asked).await.map_err(|error| {
            let retry = match &error {
                LockerError::Database(error) if db::is_unavailable(error) => Retry::May { after: None },
                _ => Retry::Never,
            };
            ComponentError::new("secret_unreadable", format!("the secret {name} could not be read: {error}"))
                .field(field)
                .retry(retry)
        })?;
        if let Some(secret) = &found {
            self.redactor.add(&secret.value).map_err(|error| error.field(field))?;
        }
        Ok(found)
    }

    fn provider(&self, key_name: &str) -> Option<Arc<dyn Provider>> {
        provider_of_key(key_name).and_then(|name| self.providers.get(name))
    }

    /// A provider's key is the provider's, whatever hosts were stored with it.
    fn bound(&self, key_name: &str, hosts: Vec<SecretHost>) -> Bound {
        match self.provider(key_name) {
            Some(provider) => Bound::Provider { name: provider.name().to_owned(), host: provider.host() },
            None => Bound::To(hosts),
        }
    }

    /// The node's `secrets:`, by local name.
    ///
    /// # Errors
    /// One is missing; the error names it and where to put it.
    pub async fn of_node(&self, refs: &BTreeMap<String, SecretRef>) -> Result<Vec<Opened>, ComponentError> {
        let mut opened = Vec::with_capacity(refs.len());
        for (local, secret) in refs {
            let field = format!("secrets.{local}");
            let (lookup, whose) = match secret.scope() {
                SecretScope::TeamOnly => (Lookup::TeamOnly, "the agent's team has no"),
                SecretScope::TeamThenAgency => {
                    (Lookup::TeamThenAgency, "neither the agent's team nor the agency has a")
                }
            };
            let name = secret.key_name();
            let mut found = self.open(name, lookup, &field).await?;
            if found.as_ref().is_some_and(|found| found.hosts.is_empty()) && self.provider(name).is_none() {
                // Whoever has just bound it may run.
                self.locker.doubt(self.scope.agency_id(), name);
                found = self.open(name, lookup, &field).await?;
            }
            let Some(locker::Opened { value, hosts }) = found else {
                return Err(ComponentError::new(
                    "secret_missing",
                    format!("{whose} secret {name}: store it with PUT /secrets/{name}"),
                )
                .field(field));
            };
            let bound = self.bound(name, hosts);
            opened.push(Opened { local: local.clone(), key_name: name.to_owned(), value, bound });
        }
        Ok(opened)
    }
}

/// The keys that one node may use for its providers.
pub struct NodeKeys<'a> {
    pub run: &'a RunSecrets,
    /// The node's own `secrets.api_key`, before the locker's `<provider>_api_key`.
    pub own: Option<&'a Opened>,
}

impl NodeKeys<'_> {
    /// Whether the node's own key may go to a provider. What is in this process sends nothing.
    fn may_have(&self, provider: &str, own: &Opened) -> Result<(), ComponentError> {
        let found = self.run.providers.get(provider);
        match found.as_ref().and_then(|found| found.origin()).map(egress::Url::parse) {
            None => Ok(()),
            Some(Ok(url)) => own.may_go_to(&url),
            Some(Err(_)) => {
                let message =
                    format!("the provider {provider} has no address that the secret {} could go to", own.key_name);
                Err(ComponentError::new("secret_host", message).field("secrets.api_key"))
            }
        }
    }
}

#[async_trait]
impl ProviderKeys for NodeKeys<'_> {
    async fn key(&self, provider: &str, own: bool) -> Result<Option<SecretString>, ComponentError> {
        if let Some(own) = self.own.filter(|_| own) {
            self.may_have(provider, own)?;
            return Ok(Some(own.value.clone()));
        }
        let found = self.run.open(&key_secret(provider), Lookup::TeamThenAgency, "secrets.api_key").await?;
        Ok(found.map(|found| found.value))
    }

    fn provider_of(&self, model: &str) -> Option<String> {
        self.run.prices.provider_of(model).map(str::to_owned)
    }
}
