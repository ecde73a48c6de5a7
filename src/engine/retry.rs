//! When a node is tried again.

use std::time::Duration;

use crate::components::{ComponentError, Retry};

/// A provider that asks for a longer wait than this is taken as failed.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// A node's `retry:`, with the defaults where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub max_attempts: u32,
    pub initial_delay: Duration,
    pub max_delay: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { max_attempts: 3, initial_delay: Duration::from_secs(1), max_delay: Duration::from_secs(30) }
    }
}

impl Policy {
    /// How long to wait after the failed `attempt` (from 1), or `None` to give up.
    /// `jitter` is from 0 to 1: waiting workers must not come back all at once.
    #[must_use]
    pub fn wait(&self, attempt: u32, error: &ComponentError, jitter: f64) -> Option<Duration> {
        let Retry::May { after } = error.retry else { return None };
        if attempt >= self.max_attempts {
            return None;
        }
        let doubled = self.initial_delay.saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        let backoff = doubled.min(self.max_delay).mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
        match after {
            Some(after) if after > LONGEST_WAIT => None,
            Some(after) => Some(after.max(backoff)),
            None => Some(backoff),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(retry: Retry) -> ComponentError {
        ComponentError::new("x", "x").retry(retry)
    }

    #[test]
    fn the_wait_doubles_up_to_its_bound_and_attempts_run_out() {
        let policy =
            Policy { max_attempts: 5, initial_delay: Duration::from_secs(1), max_delay: Duration::from_secs(3) };
        let waits: Vec<_> =
            (1..=5).map(|n| policy.wait(n, &error(Retry::May { after: None }), 1.0).map(|d| d.as_secs())).collect();
        assert_eq!(waits, [Some(1), Some(2), Some(3), Some(3), None]);
    }

    #[test]
    fn retry_after_is_obeyed_and_a_long_one_gives_up() {
        let policy = Policy::default();
        let after = |secs| error(Retry::May { after: Some(Duration::from_secs(secs)) });
        assert_eq!(policy.wait(1, &after(20), 0.0), Some(Duration::from_secs(20)));
        assert_eq!(policy.wait(1, &after(301), 0.0), None);
    }

    #[test]
    fn what_may_not_be_retried_is_not() {
        assert_eq!(Policy::default().wait(1, &error(Retry::Never), 0.5), None);
        assert_eq!(Policy::default().wait(1, &error(Retry::Stop), 0.5), None);
    }
}
