//! Keys that are not taken as any other: `bad-key` is refused, and `rate-<n>-...` may call n times in a second.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The one key that is refused.
pub const BAD_KEY: &str = "bad-key";

const WINDOW: Duration = Duration::from_secs(1);

/// When each key's second began, and its calls since.
#[derive(Debug, Default)]
pub struct Rates(Mutex<HashMap<String, (Instant, u32)>>);

impl Rates {
    /// Counts a call and says whether it is one too many.
    pub fn exceeds(&self, key: &str) -> bool {
        let Some(most) = key.strip_prefix("rate-").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok()) else {
            return false;
        };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (began, calls) = seen.entry(key.to_owned()).or_insert((now, 0));
        if now - *began >= WINDOW {
            (*began, *calls) = (now, 0);
        }
        *calls += 1;
        *calls > most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rated_key_is_limited_and_each_by_itself() {
        let rates = Rates::default();
        let over = |key| rates.exceeds(key);
        assert_eq!([over("rate-1-a"), over("rate-1-a"), over("rate-1-b"), over("rate-x")], [false, true, false, false]);
        assert!((0..100).all(|_| !rates.exceeds("sk-any")));
    }
}
