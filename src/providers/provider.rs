//! What can be asked: one provider at one address.

use std::fmt;

use async_trait::async_trait;
use secrecy::SecretString;
use url::Url;

use super::{completion::Completion, error::ProviderError, heard::Heard, request::Request};
use crate::base::SecretHost;

/// One provider at one address.
#[async_trait]
pub trait Provider: Send + Sync + fmt::Debug {
    /// The name that recipes and the ledger use: `openai`, `groq`, ...
    fn name(&self) -> &str;

    /// Whether a call without a key can succeed (a local server, the scripted provider).
    fn needs_key(&self) -> bool {
        true
    }

    /// Scheme, host and port that calls go to; `None` for what is in this process.
    fn origin(&self) -> Option<&str> {
        None
    }

    /// The host that calls go to, and so the provider's keys; `None` for what is in this process.
    fn host(&self) -> Option<SecretHost> {
        self.origin().and_then(|origin| Url::parse(origin).ok()).as_ref().and_then(SecretHost::of_url)
    }

    /// Calls at once with one key that this process makes; `None` for any number.
    fn max_in_flight(&self) -> Option<u32> {
        None
    }

    /// Asks the model once. No retries: the engine counts attempts. What arrives is
    /// told to `heard` as it does, so that a call that is cut off can be accounted for.
    ///
    /// # Errors
    /// There is no answer; the error says whether the call may have been charged.
    async fn complete(
        &self,
        request: &Request,
        key: Option<&SecretString>,
        heard: &Heard,
    ) -> Result<Completion, ProviderError>;

    /// Asks once for something that costs nothing and that only a good key is given.
    ///
    /// # Errors
    /// See [`ProviderError::refuses_the_key`] for whether the key is at fault.
    async fn check_key(&self, key: &SecretString) -> Result<(), ProviderError>;
}
