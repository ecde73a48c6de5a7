//! Argon2id in memory that is kept. Freed buffers of 19 MiB stay with the allocator, one
//! for each of its arenas, so that a burst of sign-ins would leave a process ten times as large.

use std::sync::{Mutex, PoisonError};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use subtle::ConstantTimeEq;

use crate::auth::AuthError;

/// Of a hash that is made today.
pub(super) const MEMORY_KIB: u32 = 19_456;

/// Buffers between two hashes; as many as hashes are computed at once, and no more.
#[derive(Default)]
pub(super) struct Memory(Mutex<Vec<Vec<Block>>>);

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    /// Argon2id of a password with a salt.
    pub(super) fn hash(&self, password: &[u8], salt: &[u8], params: &Params) -> Result<PasswordHash, AuthError> {
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        let mut room = [0; Output::MAX_LENGTH];
        let out = room.get_mut(..Params::DEFAULT_OUTPUT_LEN).ok_or_else(|| failed("its length"))?;
        self.fill(&Argon2::new(algorithm, version, params.clone()), params, (password, salt), out)?;
        Ok(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(params).map_err(failed)?,
            salt: Some(Salt::new(salt).map_err(failed)?),
            hash: Some(Output::new(out).map_err(failed)?),
        })
    }

    /// Whether the stored hash is that of the password, by the parameters that it names.
    pub(super) fn fits(&self, password: &[u8], stored: &PasswordHash) -> Result<bool, AuthError> {
        let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else {
            return Err(unreadable("it has no salt or no hash"));
        };
        let algorithm = Algorithm::try_from(stored.algorithm.as_str()).map_err(unreadable)?;
        let version = stored.version.map_or(Ok(Version::default()), Version::try_from).map_err(unreadable)?;
        let params = Params::try_from(stored).map_err(unreadable)?;
        let mut room = [0; Output::MAX_LENGTH];
        let out = room.get_mut(..expected.len()).ok_or_else(|| unreadable("its length"))?;
        self.fill(&Argon2::new(algorithm, version, params.clone()), &params, (password, salt), out)?;
        Ok(out.ct_eq(expected.as_ref()).into())
    }

    fn fill(
        &self,
        argon2: &Argon2<'_>,
        params: &Params,
        (password, salt): (&[u8], &[u8]),
        out: &mut [u8],
    ) -> Result<(), AuthError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut blocks = kept.unwrap_or_else(|| vec![Block::new(); MEMORY_KIB as usize]);
        // A hash of the past may have asked for more; that much is not kept.
        let filled = if params.block_count() > blocks.len() {
            argon2.hash_password_into(password, salt, out)
        } else {
            argon2.hash_password_into_with_memory(password, salt, out, &mut blocks[..])
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(blocks);
        filled.map_err(failed)
    }
}

fn failed(error: impl std::fmt::Display) -> AuthError {
    AuthError::Internal(format!("a password could not be hashed: {error}"))
}

fn unreadable(error: impl std::fmt::Display) -> AuthError {
    AuthError::Internal(format!("a stored password hash cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordVerifier;

    use super::*;

    #[test]
    fn what_was_hashed_before_in_the_same_memory_does_not_matter() {
        let memory = Memory::default();
        let hash = |password: &[u8], cost: (u32, u32, u32)| {
            let params = Params::new(cost.0, cost.1, cost.2, None).unwrap();
            let hash = memory.hash(password, b"0123456789abcdef", &params).unwrap();
            // The crate's own way, in memory of its own, is the measure.
            assert_eq!(Argon2::default().verify_password(password, &hash), Ok(()));
            assert!(memory.fits(password, &hash).unwrap() && !memory.fits(b"another", &hash).unwrap());
            hash.to_string()
        };
        let first = hash(b"one", (64, 2, 1));
        for cost in [(19_456, 2, 1), (8, 1, 1), (64, 3, 4), (20_000, 1, 1)] {
            hash(b"two", cost);
        }
        assert_eq!(hash(b"one", (64, 2, 1)), first);
        let kept: Vec<usize> = memory.0.lock().unwrap().iter().map(Vec::len).collect();
        assert_eq!(kept, [MEMORY_KIB as usize]);
    }
}
