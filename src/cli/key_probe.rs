//! Tries keys on the installed providers, for the API, which knows none of them.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::{
    base::SecretHost,
    locker::{KeyProbe, Probed},
    providers::{Registry, key_secret, provider_of_key},
};

#[derive(Debug)]
pub struct ProviderKeys(pub Registry);

#[async_trait]
impl KeyProbe for ProviderKeys {
    fn provider(&self, key_name: &str) -> Option<String> {
        let provider = provider_of_key(key_name)?;
        self.0.get(provider).map(|_| provider.to_owned())
    }

    fn host(&self, provider: &str) -> Option<SecretHost> {
        self.0.get(provider)?.host()
    }

    fn key_names(&self) -> Vec<String> {
        self.0.names().into_iter().map(key_secret).collect()
    }

    async fn probe(&self, provider: &str, key: &SecretString) -> Probed {
        let Some(found) = self.0.get(provider) else {
            return Probed::Untold(format!("{provider} is not installed here"));
        };
        match found.check_key(key).await {
            Ok(()) => Probed::Works(format!("{provider} took the key")),
            Err(error) if error.refuses_the_key() => Probed::Refused(error.message),
            Err(error) => Probed::Untold(error.message),
        }
    }
}
