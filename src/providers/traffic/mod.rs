//! Whether a call may leave now: the pace of each key, and the health of each host.
//!
//! A provider that answers 429 slows the one key ([`lane`]); one that is dead is left
//! alone by everybody for a while ([`breaker`]). Both are kept in each process: a
//! provider tells every worker itself, at the price of one call, and nothing shared
//! has to be there for calls to leave. What never leaves has no ledger line.

mod breaker;
mod lane;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{
    error::{ErrorKind, ProviderError},
    provider::Provider,
};
use breaker::{Breaker, Health};
use lane::{Closed, FIRST_WAIT, Lane, Place};

pub use lane::Patience;

/// Keys and hosts that are remembered before those at rest are forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// The traffic of a process to all providers.
#[derive(Debug, Default)]
pub struct Traffic {
    /// By provider and the hash of the key: who shares a key shares its pace.
    lanes: Remembered<(String, [u8; 32]), Lane>,
    /// By scheme, host and port.
    hosts: Remembered<String, Breaker>,
}

type Remembered<K, V> = Mutex<HashMap<K, Arc<V>>>;

/// The right to make one call. Dropping it without a word, as when a call is cut
/// off, frees its place and says nothing about the provider.
#[derive(Debug)]
pub struct Permit(Option<(Place, Health)>);

impl Traffic {
    /// See [`super::Registry::admit`].
    ///
    /// # Errors
    /// With how long to wait: [`ErrorKind::Retry`], the host is left alone;
    /// [`ErrorKind::Slowed`], the key has to wait.
    pub async fn admit(
        &self,
        provider: &dyn Provider,
        key: Option<&SecretString>,
        patience: Patience,
    ) -> Result<Permit, ProviderError> {
        let Some(origin) = provider.origin() else { return Ok(Permit(None)) };
        let mark = Sha256::digest(key.map_or("", |key| key.expose_secret()).as_bytes()).into();
        let name = provider.name();
        let lane =
            remembered(&self.lanes, (name.to_owned(), mark), || Lane::new(provider.max_in_flight()), Lane::rests);
        let host = remembered(&self.hosts, origin.to_owned(), Breaker::default, Breaker::rests);
        // Who has to wait for the key need not, if the host is dead.
        host.check().map_err(|left| dead(name, left))?;
        let place = lane.enter(patience).await.map_err(|closed| match closed {
            Closed::Slowed(left) => slowed(name, left),
            Closed::Full(most) => full(name, most),
        })?;
        let health = host.try_call().map_err(|left| dead(name, left))?;
        Ok(Permit(Some((place, health))))
    }
}

impl Permit {
    /// How the call went.
    pub fn done<T>(self, answer: &Result<T, ProviderError>) {
        let Some((place, health)) = self.0 else { return };
        match answer {
            Ok(_) => {
                place.answered();
                health.alive();
            }
            Err(error) => match (error.kind, error.status) {
                (ErrorKind::Retry { after }, Some(429)) => {
                    place.slow_down(after);
                    health.alive();
                }
                (ErrorKind::NotSent, _) | (ErrorKind::Retry { .. }, Some(500..)) => health.dead(),
                (_, Some(_)) => health.alive(),
                // A silence may be the model's or the time limit's, which the recipe chose.
                _ => {}
            },
        }
    }
}

/// The entry of a key, made where there is none.
fn remembered<K: Hash + Eq, V>(
    map: &Remembered<K, V>,
    key: K,
    make: impl FnOnce() -> V,
    rests: impl Fn(&V) -> bool,
) -> Arc<V> {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    if map.len() >= MAX_REMEMBERED && !map.contains_key(&key) {
        map.retain(|_, value| Arc::strong_count(value) > 1 || !rests(value));
    }
    Arc::clone(map.entry(key).or_insert_with(|| Arc::new(make())))
}

fn slowed(provider: &str, left: Duration) -> ProviderError {
    let message = format!(
        "{provider} limits the rate of this key: no call is made for another {} s; fewer calls at once, or a higher \
         limit at {provider}, avoid this",
        left.as_secs().max(1)
    );
    ProviderError::new(ErrorKind::Slowed { after: left }, message)
}

fn full(provider: &str, most: u32) -> ProviderError {
    let setting = provider.to_uppercase();
    let message = format!(
        "all of the {most} calls that this worker may make to {provider} at once with one key are in flight: more \
         workers, or a higher TEAMAI_PROVIDERS__{setting}__MAX_IN_FLIGHT, avoid this",
    );
    ProviderError::new(ErrorKind::Slowed { after: FIRST_WAIT }, message)
}

fn dead(provider: &str, left: Duration) -> ProviderError {
    let message = format!(
        "{provider} failed again and again and is left alone for another {} s: see its status page, and check \
         providers.{provider}.base_url",
        left.as_secs().max(1)
    );
    ProviderError::new(ErrorKind::Retry { after: Some(left) }, message)
}
