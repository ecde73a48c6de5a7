//! Passwords and development keys, made once and kept with the data that they open.

use std::{io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::Context;
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::{
    auth,
    base::random::{self, NoRandomness},
};

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// 32 bytes in base64.
    pub root_key: String,
    /// Ed25519, PKCS#8, PEM.
    pub signing_key: String,
    pub owner_password: String,
    pub api_password: String,
    pub worker_password: String,
    pub redis_password: String,
}

/// Keys are never printed.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// # Errors
    /// The operating system has no randomness.
    pub fn make() -> Result<Self, NoRandomness> {
        Ok(Self {
            root_key: BASE64_STANDARD.encode(random::bytes::<32>()?),
            signing_key: auth::keys::generate_pem()?.expose_secret().to_owned(),
            owner_password: password()?,
            api_password: password()?,
            worker_password: password()?,
            redis_password: password()?,
        })
    }

    /// Reads the file, or makes the keys and the file, which only its owner can read.
    ///
    /// # Errors
    /// The file cannot be read, understood or written.
    pub fn load_or_make(path: &Path) -> anyhow::Result<Self> {
        if path.exists() {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            return serde_json::from_str(&text)
                .with_context(|| format!("{} is damaged; without it the data cannot be opened", path.display()));
        }
        let keys = Self::make()?;
        let part = path.with_extension("part");
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(&serde_json::to_vec_pretty(&keys)?)?;
        file.sync_all()?;
        std::fs::rename(&part, path)?;
        Ok(keys)
    }
}

/// Hex, so that it needs no quoting anywhere.
fn password() -> Result<String, NoRandomness> {
    random::bytes::<24>().map(hex::encode)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn keys_are_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let made = Keys::load_or_make(&path).unwrap();
        assert_eq!(Keys::load_or_make(&path).unwrap().root_key, made.root_key);
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_ne!(Keys::make().unwrap().root_key, made.root_key);
        std::fs::write(&path, "{}").unwrap();
        assert!(Keys::load_or_make(&path).unwrap_err().to_string().contains("is damaged"));
    }
}
