//! Passwords: which are taken, and argon2id off the async threads with bounded work.

mod memory;

use std::{net::IpAddr, sync::Arc};

use argon2::{Params, password_hash::phc::PasswordHash};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use memory::{MEMORY_KIB, Memory};

use super::AuthError;
use crate::{
    base::{
        network, random,
        shares::{Full, Shares},
    },
    tenancy::{Email, Invalid},
};

const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes computed at once: each takes a core and 19 MiB.
const AT_ONCE: usize = 2;
/// Sign-ins that may wait for their turn, about a second's worth.
const WAITING: usize = 64;
/// Of them, those of one address, so that a stranger cannot keep all others out.
const WAITING_EACH: usize = 8;

/// No password has this hash; verifying against it costs what a real one costs.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Lower case, 12 characters or more, from lists of leaked passwords.
const COMMON: &str = include_str!("common_passwords.txt");

/// A password that may be set: 12 to 128 characters and not a common one.
#[derive(Debug)]
pub struct NewPassword(SecretString);

impl NewPassword {
    /// # Errors
    /// Too short, too long, common, or the account's own address.
    pub fn parse(text: &str, email: &Email) -> Result<Self, Invalid> {
        match text.chars().count() {
            0..12 => return Err(Invalid("must have at least 12 characters".into())),
            129.. => return Err(Invalid("must have at most 128 characters".into())),
            _ => {}
        }
        let lower = text.to_lowercase();
        if lower == email.as_str() {
            return Err(Invalid("must not be the e-mail address".into()));
        }
        if is_monotonous(&lower) || COMMON.lines().any(|common| common == lower) {
            return Err(Invalid("is one of the commonest passwords; choose one that nobody would guess".into()));
        }
        Ok(Self(SecretString::from(text)))
    }

    pub(super) fn secret(&self) -> &SecretString {
        &self.0
    }
}

/// One or two characters over and over.
fn is_monotonous(text: &str) -> bool {
    let mut chars: Vec<char> = text.chars().collect();
    chars.sort_unstable();
    chars.dedup();
    chars.len() <= 2
}

/// Turns to hash: a few at once, a few more waiting, the rest refused.
#[derive(Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    waiting: Arc<Shares<IpAddr>>,
    memory: Arc<Memory>,
}

impl Passwords {
    pub fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Shares::new(WAITING, WAITING_EACH),
            memory: Arc::default(),
        }
    }

    /// Waits for a turn, for a client at this address if there is one.
    ///
    /// # Errors
    /// [`AuthError::BusyAddress`] when too many wait from there, [`AuthError::Busy`] when too many wait at all.
    pub async fn turn(&self, client: Option<IpAddr>) -> Result<Turn, AuthError> {
        let _place = self.waiting.take(client.map(network::site)).map_err(|full| match full {
            Full::Share => AuthError::BusyAddress,
            Full::All => AuthError::Busy,
        })?;
        let permit = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| AuthError::Busy)?;
        Ok(Turn { permit: Arc::new(permit), memory: Arc::clone(&self.memory) })
    }
}

/// The right to hash, one hash after the other.
#[derive(Debug)]
pub struct Turn {
    permit: Arc<OwnedSemaphorePermit>,
    memory: Arc<Memory>,
}

/// What a stored hash says of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    Right,
    /// Right, but made with parameters of the past.
    RightButOld,
}

impl Turn {
    /// A PHC string of the password with a new salt.
    pub async fn hash(&self, password: &SecretString) -> Result<String, AuthError> {
        let (password, salt) = (password.clone(), random::bytes::<16>()?);
        self.blocking(move |memory| hash(memory, &password, &salt)).await?
    }

    /// Compares with a stored hash; without one it takes as long and is wrong.
    pub async fn verify(&self, password: &SecretString, stored: Option<String>) -> Result<Verdict, AuthError> {
        let password = password.clone();
        self.blocking(move |memory| {
            let verdict = verify(memory, &password, stored.as_deref().unwrap_or(DUMMY))?;
            Ok(if stored.is_some() { verdict } else { Verdict::Wrong })
        })
        .await?
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Memory) -> T + Send + 'static,
    ) -> Result<T, AuthError> {
        // The work goes on when its caller goes away, and so must the turn.
        let (permit, memory) = (Arc::clone(&self.permit), Arc::clone(&self.memory));
        tokio::task::spawn_blocking(move || {
            let result = work(&memory);
            drop(permit);
            result
        })
        .await
        .map_err(|error| AuthError::Internal(format!("hashing a password ended early: {error}")))
    }
}

fn params() -> Result<Params, AuthError> {
    Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| AuthError::Internal(error.to_string()))
}

fn hash(memory: &Memory, password: &SecretString, salt: &[u8]) -> Result<String, AuthError> {
    Ok(memory.hash(password.expose_secret().as_bytes(), salt, &params()?)?.to_string())
}

fn verify(memory: &Memory, password: &SecretString, stored: &str) -> Result<Verdict, AuthError> {
    let parsed = PasswordHash::new(stored)
        .map_err(|error| AuthError::Internal(format!("a stored password hash cannot be read: {error}")))?;
    Ok(match memory.fits(password.expose_secret().as_bytes(), &parsed)? {
        true if is_current(&parsed) => Verdict::Right,
        true => Verdict::RightButOld,
        false => Verdict::Wrong,
    })
}

fn is_current(hash: &PasswordHash) -> bool {
    let cost = Params::try_from(hash).map(|p| (p.m_cost(), p.t_cost(), p.p_cost()));
    hash.algorithm.as_str() == "argon2id" && cost == Ok((MEMORY_KIB, PASSES, LANES))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only_and_salts_differ() {
        let turn = Passwords::new().turn(None).await.unwrap();
        let hash = turn.hash(&secret("a long enough one")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, turn.hash(&secret("a long enough one")).await.unwrap());
        assert_eq!(turn.verify(&secret("a long enough one"), Some(hash.clone())).await.unwrap(), Verdict::Right);
        assert_eq!(turn.verify(&secret("a long enough onE"), Some(hash)).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn without_a_hash_the_verdict_is_wrong() {
        let turn = Passwords::new().turn(None).await.unwrap();
        assert_eq!(turn.verify(&secret("whatever it is"), None).await.unwrap(), Verdict::Wrong);
    }

    #[test]
    fn a_hash_with_other_parameters_is_right_but_old() {
        let old = Params::new(8, 1, 1, None).unwrap();
        let memory = Memory::default();
        let hash = memory.hash(b"a long enough one", b"0123456789abcdef", &old).unwrap().to_string();
        assert_eq!(verify(&memory, &secret("a long enough one"), &hash).unwrap(), Verdict::RightButOld);
    }

    #[tokio::test]
    async fn more_than_a_short_queue_is_refused() {
        let passwords = Arc::new(Passwords::new());
        let first = passwords.turn(None).await.unwrap();
        let second = passwords.turn(None).await.unwrap();
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let passwords = Arc::clone(&passwords);
                tokio::spawn(async move { passwords.turn(None).await.is_ok() })
            })
            .collect();
        while passwords.waiting.taken() < WAITING {
            tokio::task::yield_now().await;
        }
        assert!(matches!(passwords.turn(None).await, Err(AuthError::Busy)));
        drop((first, second));
        for turn in waiting {
            assert!(turn.await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_stranger_holds_a_share_of_the_queue_and_no_more() {
        let passwords = Arc::new(Passwords::new());
        let turns = (passwords.turn(None).await.unwrap(), passwords.turn(None).await.unwrap());
        let from = |address: &str, n: u8| Some(format!("{address}{n}").parse::<IpAddr>().unwrap());
        let knock = |client| {
            let passwords = Arc::clone(&passwords);
            tokio::spawn(async move { passwords.turn(client).await.map(drop) })
        };
        let waiting: Vec<_> = (0..WAITING_EACH).map(|_| knock(from("192.0.2.", 1))).collect();
        let networks: Vec<_> = (0..WAITING_EACH).map(|n| knock(from(&format!("2001:db8:1:{n}::"), 1))).collect();
        while passwords.waiting.taken() < 2 * WAITING_EACH {
            tokio::task::yield_now().await;
        }
        for client in [from("192.0.2.", 1), from("::ffff:192.0.2.", 1), from("2001:db8:1:ffff::", 7)] {
            let refused = tokio::time::timeout(Duration::from_secs(5), passwords.turn(client)).await;
            assert!(matches!(refused, Ok(Err(AuthError::BusyAddress))), "{client:?}");
        }
        let another = knock(from("192.0.2.", 2));
        drop(turns);
        assert!(another.await.unwrap().is_ok(), "another's place");
        for knocked in waiting.into_iter().chain(networks) {
            assert!(knocked.await.unwrap().is_ok());
        }
    }

    #[test]
    fn length_is_counted_in_characters_and_common_ones_are_refused() {
        let email = Email::parse("ana@example.com").unwrap();
        let parse = |text: &str| NewPassword::parse(text, &email);
        assert!(parse("ääääöööößßß").is_err());
        assert!(parse("äxääöyööößßß").is_ok());
        assert!(parse(&"ab3".repeat(42)).is_ok());
        assert!(parse(&"ab3".repeat(43)).is_err());
        for text in ["Password1234", "aaaaaaaaaaaaa", "ababababababab", "ANA@example.com", "qwertyuiop123"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(COMMON.lines().all(|line| line.chars().count() >= 12 && line.to_lowercase() == line));
    }
}
