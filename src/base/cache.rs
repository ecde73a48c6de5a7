//! A small bounded cache whose entries live a short, fixed time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Remembers answers for `ttl` at most. A change made through this process is
/// seen at once: it calls [`Cache::forget`], and an answer that was being looked
/// up meanwhile is not kept.
#[derive(Debug)]
pub struct Cache<K, V> {
    ttl: Duration,
    capacity: usize,
    inner: Mutex<Inner<K, V>>,
}

#[derive(Debug)]
struct Inner<K, V> {
    entries: HashMap<K, (V, Instant)>,
    generation: u64,
}

/// The state of the cache before a look-up began.
#[derive(Debug, Clone, Copy)]
pub struct Ticket(u64);

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    #[must_use]
    pub fn new(ttl: Duration, capacity: usize) -> Self {
        Self { ttl, capacity, inner: Mutex::new(Inner { entries: HashMap::new(), generation: 0 }) }
    }

    /// The answer if it is known and young enough, else the ticket for keeping a new one.
    ///
    /// # Errors
    /// Not known; look it up and [`Cache::keep`] it.
    pub fn get(&self, key: &K) -> Result<V, Ticket> {
        let inner = self.lock();
        match inner.entries.get(key) {
            Some((value, kept)) if kept.elapsed() < self.ttl => Ok(value.clone()),
            _ => Err(Ticket(inner.generation)),
        }
    }

    /// Keeps an answer, unless something was forgotten since the ticket was given.
    pub fn keep(&self, ticket: Ticket, key: K, value: V) {
        let mut inner = self.lock();
        if inner.generation != ticket.0 {
            return;
        }
        if inner.entries.len() >= self.capacity {
            inner.entries.retain(|_, (_, kept)| kept.elapsed() < self.ttl);
        }
        // Everything is young: start anew rather than grow.
        if inner.entries.len() >= self.capacity {
            inner.entries.clear();
        }
        inner.entries.insert(key, (value, Instant::now()));
    }

    /// Drops the entries for which `stale` holds.
    pub fn forget(&self, stale: impl Fn(&K, &V) -> bool) {
        let mut inner = self.lock();
        inner.generation += 1;
        inner.entries.retain(|key, (value, _)| !stale(key, value));
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(cache: &Cache<u32, u32>, key: u32) {
        let ticket = cache.get(&key).unwrap_err();
        cache.keep(ticket, key, key);
    }

    #[test]
    fn an_entry_lives_for_its_time_only() {
        let (young, old) = (Cache::new(Duration::from_mins(1), 10), Cache::new(Duration::ZERO, 10));
        keep(&young, 1);
        keep(&old, 1);
        assert_eq!(young.get(&1).ok(), Some(1));
        assert!(old.get(&1).is_err());
    }

    #[test]
    fn an_answer_looked_up_while_something_changed_is_not_kept() {
        let cache = Cache::<u32, u32>::new(Duration::from_secs(2), 10);
        let ticket = cache.get(&1).unwrap_err();
        cache.forget(|key, _| *key == 1);
        cache.keep(ticket, 1, 1);
        assert!(cache.get(&1).is_err());
    }

    #[test]
    fn the_cache_never_grows_past_its_capacity() {
        let cache = Cache::new(Duration::from_mins(1), 3);
        (0..10).for_each(|key| keep(&cache, key));
        assert!(cache.lock().entries.len() <= 3);
        assert_eq!(cache.get(&9).ok(), Some(9));
    }
}
