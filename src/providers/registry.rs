//! The providers of an installation, made from its configuration.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::SecretString;
use url::Url;

use super::{
    error::ProviderError,
    http::Http,
    known::{self, KNOWN, Known, PROTOCOLS},
    protocol::Protocol,
    provider::Provider,
    remote::Remote,
    traffic::{Patience, Permit, Traffic},
};
use crate::config;

/// The providers of this installation, by name, and the traffic to them.
#[derive(Debug, Clone)]
pub struct Registry {
    by_name: BTreeMap<String, Arc<dyn Provider>>,
    traffic: Arc<Traffic>,
}

/// A `providers` setting that cannot be used. Names the setting and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error(
        "providers.{name}: not a provider that is known here; set TEAMAI_PROVIDERS__{}__PROTOCOL to {}, and \
         TEAMAI_PROVIDERS__{}__BASE_URL to its address", .name.to_uppercase(), protocols(" or "), .name.to_uppercase()
    )]
    UnknownName { name: String },
    #[error("providers.{name}: set TEAMAI_PROVIDERS__{}__BASE_URL to the address of this provider", .name.to_uppercase())]
    NoBaseUrl { name: String },
    #[error("providers.{name}: a name is made of a-z, 0-9 and _, begins with a letter and has at most 40 characters")]
    InvalidName { name: String },
    #[error("providers.{name}: the {name} provider runs inside this process and has nothing to set")]
    BuiltIn { name: String },
    #[error("providers.{name}.protocol: `{value}` is not one of {}", protocols(", "))]
    UnknownProtocol { name: String, value: String },
    #[error("providers.{name}.protocol: {name} speaks {own}; give a provider that speaks `{value}` a name of your own")]
    OtherProtocol { name: String, own: &'static str, value: String },
    #[error("providers.{name}.base_url: {reason}; write it like https://api.example.com/v1")]
    InvalidBaseUrl { name: String, reason: String },
    #[error("the HTTP client for model calls cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

impl Registry {
    /// Every known provider, those of the configuration, and those that are built in:
    /// they run inside the process, and no setting is for them.
    ///
    /// # Errors
    /// A setting is wrong; see [`RegistryError`].
    pub fn new(
        settings: &BTreeMap<String, config::Provider>,
        built_in: Vec<Arc<dyn Provider>>,
    ) -> Result<Self, RegistryError> {
        if let Some(provider) = built_in.iter().find(|provider| settings.contains_key(provider.name())) {
            return Err(RegistryError::BuiltIn { name: provider.name().to_owned() });
        }
        let http = Http::new()?;
        let none = config::Provider::default();
        let mut providers = built_in;
        for known in &KNOWN {
            let setting = settings.get(known.name).unwrap_or(&none);
            providers.push(Arc::new(known_provider(known, setting, &http)?));
        }
        for (name, setting) in settings.iter().filter(|(name, _)| known::find(name).is_none()) {
            providers.push(Arc::new(own_provider(name, setting, &http)?));
        }
        Ok(Self::from_providers(providers))
    }

    /// For tests, and for an engine with providers of its own. A later provider
    /// takes the place of an earlier one of the same name.
    #[must_use]
    pub fn from_providers(providers: Vec<Arc<dyn Provider>>) -> Self {
        let by_name = providers.into_iter().map(|provider| (provider.name().to_owned(), provider)).collect();
        Self { by_name, traffic: Arc::default() }
    }

    /// Waits for a call's turn; it leaves under the permit, which is told how it went.
    ///
    /// # Errors
    /// No call may leave now: see [`Traffic::admit`].
    pub async fn admit(
        &self,
        provider: &dyn Provider,
        key: Option<&SecretString>,
        patience: Patience,
    ) -> Result<Permit, ProviderError> {
        self.traffic.admit(provider, key, patience).await
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<dyn Provider>> {
        self.by_name.get(name).cloned()
    }

    /// In alphabetical order.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.by_name.keys().map(String::as_str).collect()
    }
}

/// The names of all protocols, the last one after `last`.
fn protocols(last: &str) -> String {
    let names = PROTOCOLS.map(Protocol::name);
    let (end, others) = names.split_last().unwrap_or((&"", &[]));
    format!("{}{last}{end}", others.join(", "))
}

fn known_provider(known: &Known, setting: &config::Provider, http: &Http) -> Result<Remote, RegistryError> {
    let name = known.name.to_owned();
    if let Some(value) = setting.protocol.clone().filter(|value| value != known.protocol.name()) {
        return Err(RegistryError::OtherProtocol { name, own: known.protocol.name(), value });
    }
    let base = base_url(known.name, setting.base_url.as_deref().unwrap_or(known.base_url), known.protocol)?;
    let remote = Remote::new(name, known.protocol, base, known.needs_key, http);
    Ok(remote.with(setting.stream.unwrap_or(true), setting.max_in_flight))
}

/// A provider of the operator's own naming. Whether it wants a key is not known,
/// so none is insisted upon.
fn own_provider(name: &str, setting: &config::Provider, http: &Http) -> Result<Remote, RegistryError> {
    let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 40
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let name = name.to_owned();
    if !valid {
        return Err(RegistryError::InvalidName { name });
    }
    let Some(value) = setting.protocol.clone() else { return Err(RegistryError::UnknownName { name }) };
    let Some(protocol) = known::protocol(&value) else { return Err(RegistryError::UnknownProtocol { name, value }) };
    let Some(base) = setting.base_url.as_deref() else { return Err(RegistryError::NoBaseUrl { name }) };
    let base = base_url(&name, base, protocol)?;
    let remote = Remote::new(name, protocol, base, false, http);
    Ok(remote.with(setting.stream.unwrap_or(true), setting.max_in_flight))
}

/// A base without a path gets the protocol's usual one, because an address
/// without it is the commonest slip. The value is not repeated in the error: it
/// may hold a password.
fn base_url(name: &str, value: &str, protocol: &dyn Protocol) -> Result<Url, RegistryError> {
    let invalid = |reason: &str| RegistryError::InvalidBaseUrl { name: name.to_owned(), reason: reason.to_owned() };
    let mut url = Url::parse(value.trim()).map_err(|error| invalid(&format!("not a URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(invalid("it has to begin with http:// or https:// and name a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("it must not contain a user name or password; keys belong in the locker"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("it must not have a query or a fragment"));
    }
    if url.path() == "/" {
        url.set_path(protocol.default_path());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(name: &str, base_url: Option<&str>, protocol: Option<&str>) -> BTreeMap<String, config::Provider> {
        let provider = config::Provider {
            base_url: base_url.map(str::to_owned),
            protocol: protocol.map(str::to_owned),
            ..config::Provider::default()
        };
        BTreeMap::from([(name.to_owned(), provider)])
    }

    fn refusal(name: &str, base_url: Option<&str>, protocol: Option<&str>) -> String {
        Registry::new(&settings(name, base_url, protocol), Vec::new()).expect_err("a refusal").to_string()
    }

    #[test]
    fn without_settings_every_known_provider_is_there() {
        let registry = Registry::new(&BTreeMap::new(), Vec::new()).expect("a registry");
        assert_eq!(
            registry.names(),
            ["anthropic", "deepseek", "gemini", "groq", "mistral", "ollama", "openai", "openrouter"]
        );
        assert!(registry.get("openai").expect("openai").needs_key());
        assert!(!registry.get("ollama").expect("ollama").needs_key());
        assert!(registry.get("nobody").is_none());
    }

    #[test]
    fn a_name_of_ones_own_needs_protocol_and_address() {
        let registry = Registry::new(&settings("local_llm", Some("http://10.0.0.5:8080"), Some("openai")), Vec::new());
        assert!(registry.expect("a registry").get("local_llm").is_some());
        let text = refusal("local_llm", Some("http://10.0.0.5:8080"), None);
        assert!(text.contains("TEAMAI_PROVIDERS__LOCAL_LLM__PROTOCOL"), "{text}");
        let text = refusal("local_llm", None, Some("openai"));
        assert!(text.contains("TEAMAI_PROVIDERS__LOCAL_LLM__BASE_URL"), "{text}");
        let text = refusal("local_llm", Some("http://10.0.0.5"), Some("soap"));
        assert!(text.contains("`soap` is not one of openai, anthropic, gemini"), "{text}");
    }

    #[test]
    fn a_wrong_setting_names_itself() {
        assert!(refusal("openai", None, Some("gemini")).contains("openai speaks openai"));
        assert!(refusal("No-Name", Some("http://x"), Some("openai")).contains("a-z"));
        for (base, said) in [
            ("not a url", "not a URL"),
            ("ftp://host/v1", "begin with http"),
            ("https://me:hunter2@host/v1", "user name or password"),
            ("https://host/v1?key=1", "query"),
        ] {
            let text = refusal("groq", Some(base), None);
            assert!(text.starts_with("providers.groq.base_url") && text.contains(said), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_base_without_a_path_gets_the_usual_one() {
        let url = |value, protocol| base_url("x", value, known::protocol(protocol).expect("a protocol"));
        assert_eq!(url("http://h:1/", "openai").expect("a URL").as_str(), "http://h:1/v1");
        assert_eq!(url("http://h:1", "gemini").expect("a URL").as_str(), "http://h:1/v1beta");
        assert_eq!(url("http://h:1/api/", "openai").expect("a URL").as_str(), "http://h:1/api/");
    }
}
