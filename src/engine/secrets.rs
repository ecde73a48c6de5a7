//! What a node may open, and where its provider keys come from.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use secrecy::SecretString;

use super::clean::Redactor;
use crate::{
    base::RunScope,
    billing::PriceBook,
    catalog::model::{SecretRef, SecretScope},
    components::{ComponentError, ProviderKeys, Retry},
    db,
    locker::{Locker, LockerError, Lookup},
};

/// The locker as one run sees it: the agency's, and its team's first.
#[derive(Debug)]
pub struct RunSecrets {
    pub locker: Arc<Locker>,
    pub pool: sqlx::PgPool,
    pub scope: RunScope,
    pub redactor: Arc<Redactor>,
    pub prices: Arc<PriceBook>,
}

impl RunSecrets {
    async fn open(&self, name: &str, lookup: Lookup, field: &str) -> Result<Option<SecretString>, ComponentError> {
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
            self.redactor.add(secret);
        }
        Ok(found)
    }

    /// The node's `secrets:`, by local name.
    ///
    /// # Errors
    /// One is missing; the error names it and where to put it.
    pub async fn of_node(
        &self,
        refs: &BTreeMap<String, SecretRef>,
    ) -> Result<Vec<(String, SecretString)>, ComponentError> {
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
            let Some(value) = self.open(name, lookup, &field).await? else {
                return Err(ComponentError::new(
                    "secret_missing",
                    format!("{whose} secret {name}: store it with PUT /secrets/{name}"),
                )
                .field(field));
            };
            opened.push((local.clone(), value));
        }
        Ok(opened)
    }
}

/// The keys that one node may use for its providers.
pub struct NodeKeys<'a> {
    pub run: &'a RunSecrets,
    /// The node's own `secrets.api_key`, before the locker's `<provider>_api_key`.
    pub own: Option<&'a SecretString>,
}

#[async_trait]
impl ProviderKeys for NodeKeys<'_> {
    async fn key(&self, provider: &str, own: bool) -> Result<Option<SecretString>, ComponentError> {
        if let Some(own) = self.own.filter(|_| own) {
            return Ok(Some(own.clone()));
        }
        self.run.open(&format!("{provider}_api_key"), Lookup::TeamThenAgency, "secrets.api_key").await
    }

    fn provider_of(&self, model: &str) -> Option<String> {
        self.run.prices.provider_of(model).map(str::to_owned)
    }
}
