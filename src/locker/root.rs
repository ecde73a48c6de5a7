//! The root keys: the one that wraps, and those that are read as well while it is replaced.

use secrecy::ExposeSecret;

use super::{
    LockerError,
    seal::{self, Key, Sealed},
};
use crate::{base::AgencyId, config::SecretBytes};

/// An agency's key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    pub version: i32,
    pub root_key_id: String,
    pub wrapped: Sealed,
}

pub struct RootKeys {
    current: RootKey,
    previous: Vec<RootKey>,
}

struct RootKey {
    id: String,
    bytes: SecretBytes,
}

impl RootKeys {
    /// `current` wraps; all of them unwrap.
    pub fn new(current: SecretBytes, previous: &[SecretBytes]) -> Self {
        let named = |bytes: SecretBytes| RootKey { id: seal::key_id(bytes.expose_secret()), bytes };
        let current = named(current);
        let previous = previous.iter().cloned().map(named).filter(|key| key.id != current.id).collect();
        Self { current, previous }
    }

    pub fn current_id(&self) -> &str {
        &self.current.id
    }

    pub fn knows(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    /// The ids of all, the wrapping one first.
    pub fn ids(&self) -> String {
        let ids: Vec<&str> = self.all().map(|key| key.id.as_str()).collect();
        ids.join(", ")
    }

    pub fn wrap(&self, agency: AgencyId, version: i32, key: &Key) -> Result<WrappedKey, LockerError> {
        let root_key_id = self.current.id.clone();
        let wrapped = seal::seal(&self.current.key(), &aad(agency, version, &root_key_id), key.bytes())?;
        Ok(WrappedKey { version, root_key_id, wrapped })
    }

    pub fn unwrap(&self, agency: AgencyId, key: &WrappedKey) -> Result<Key, LockerError> {
        let root = self
            .find(&key.root_key_id)
            .ok_or_else(|| LockerError::RootKey { wrapped_with: key.root_key_id.clone(), configured: self.ids() })?;
        let bytes = seal::open(&root.key(), &aad(agency, key.version, &root.id), &key.wrapped)?;
        Ok(Key::new(bytes.as_slice().try_into().map_err(|_| LockerError::Tampered)?))
    }

    fn find(&self, id: &str) -> Option<&RootKey> {
        self.all().find(|key| key.id == id)
    }

    fn all(&self) -> impl Iterator<Item = &RootKey> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl RootKey {
    fn key(&self) -> Key {
        Key::new(*self.bytes.expose_secret())
    }
}

/// Binds a wrapped key to its agency, its version and the root key that wraps it.
fn aad(agency: AgencyId, version: i32, root_id: &str) -> Vec<u8> {
    let mut aad = b"teamai agency key".to_vec();
    aad.extend_from_slice(agency.0.as_bytes());
    aad.extend_from_slice(&version.to_be_bytes());
    aad.extend_from_slice(root_id.as_bytes());
    aad
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use secrecy::SecretBox;

    use super::*;

    fn bytes(byte: u8) -> SecretBytes {
        Arc::new(SecretBox::new(Box::new([byte; 32])))
    }

    #[test]
    fn what_an_older_root_key_wrapped_opens_and_the_new_one_wraps() {
        let agency = AgencyId(uuid::Uuid::from_u128(1));
        let (old, both) = (RootKeys::new(bytes(1), &[]), RootKeys::new(bytes(2), &[bytes(1), bytes(2)]));
        let wrapped = old.wrap(agency, 3, &Key::new([9; 32])).unwrap();
        let key = both.unwrap(agency, &wrapped).unwrap();
        assert_eq!(key.bytes(), [9; 32]);
        let again = both.wrap(agency, 3, &key).unwrap();
        assert_eq!(again.root_key_id, both.current_id());
        assert_eq!(both.unwrap(agency, &again).unwrap().bytes(), [9; 32]);
        let Err(LockerError::RootKey { wrapped_with, configured }) = old.unwrap(agency, &again) else { panic!() };
        assert_eq!((wrapped_with.as_str(), configured.as_str()), (both.current_id(), old.current_id()));
        assert_eq!(both.ids(), format!("{wrapped_with}, {configured}"));
    }

    #[test]
    fn a_wrapped_key_is_its_agencys_its_versions_and_its_root_keys_alone() {
        let (one, two) = (AgencyId(uuid::Uuid::from_u128(1)), AgencyId(uuid::Uuid::from_u128(2)));
        let roots = RootKeys::new(bytes(1), &[bytes(2)]);
        let wrapped = roots.wrap(one, 1, &Key::new([9; 32])).unwrap();
        let other_root = RootKeys::new(bytes(2), &[]).current_id().to_owned();
        assert!(roots.unwrap(two, &wrapped).is_err());
        assert!(roots.unwrap(one, &WrappedKey { version: 2, ..wrapped.clone() }).is_err());
        assert!(roots.unwrap(one, &WrappedKey { root_key_id: other_root, ..wrapped }).is_err());
    }
}
