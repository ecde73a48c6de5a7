//! The names under which the locker keeps providers' keys.

/// What the locker's name for a provider's key ends in.
const KEY_SUFFIX: &str = "_api_key";

/// The locker's name for a provider's key.
#[must_use]
pub fn key_secret(provider: &str) -> String {
    format!("{provider}{KEY_SUFFIX}")
}

/// The provider whose key a secret of this name is, if there is such a provider.
#[must_use]
pub fn provider_of_key(key_name: &str) -> Option<&str> {
    key_name.strip_suffix(KEY_SUFFIX)
}
