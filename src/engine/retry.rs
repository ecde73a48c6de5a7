//! When a node is tried again.

use std::time::Duration;

use crate::components::{ComponentError, Retry};

/// A provider that asks for a longer wait than this is taken as failed.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
const FIRST_SLOWED: Duration = Duration::from_secs(1);
const LAST_SLOWED: Duration = Duration::from_mins(1);

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
        let (Retry::May { after } | Retry::Slowed { after }) = error.retry else { return None };
        if attempt >= self.max_attempts {
            return None;
        }
        let backoff = backoff(self.initial_delay, self.max_delay, attempt, jitter);
        match after {
            Some(after) if after > LONGEST_WAIT => None,
            Some(after) => Some(after.max(backoff)),
            None => Some(backoff),
        }
    }
}

/// How long to wait when a slowed key put the node off for the `nth` time (from 1), or
/// `None` if it would not be tried again before it is `oldest`. `age`: since its first try.
#[must_use]
pub fn slowed_wait(
    nth: u32,
    age: Duration,
    oldest: Duration,
    after: Option<Duration>,
    jitter: f64,
) -> Option<Duration> {
    let backoff = backoff(FIRST_SLOWED, LAST_SLOWED, nth, jitter);
    let wait = after.map_or(backoff, |after| after.max(backoff));
    (age.saturating_add(wait) <= oldest).then_some(wait)
}

/// Doubled each time, up to `most`.
fn backoff(first: Duration, most: Duration, nth: u32, jitter: f64) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(nth - 1).unwrap_or(u32::MAX));
    doubled.min(most).mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
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
    fn a_slowed_key_is_waited_for_up_to_a_bound_however_often_it_refuses() {
        let minutes = |minutes| Duration::from_mins(minutes);
        let wait = |nth, age, after, jitter| slowed_wait(nth, age, minutes(60), after, jitter);
        let waits: Vec<_> = [1, 2, 6, 7, 400].map(|nth| wait(nth, minutes(1), None, 1.0)).into();
        assert_eq!(waits, [1, 2, 32, 60, 60].map(|seconds| Some(Duration::from_secs(seconds))));
        assert_eq!(wait(1, minutes(1), Some(minutes(20)), 0.0), Some(minutes(20)), "as the provider says");
        assert_eq!(wait(9, minutes(59), Some(minutes(1)), 0.0), Some(minutes(1)));
        assert_eq!(wait(1, minutes(59), Some(minutes(2)), 0.0), None);
        assert_eq!(wait(1, minutes(61), None, 0.0), None);
        let put_off = error(Retry::Slowed { after: Some(minutes(2)) });
        assert_eq!(Policy::default().wait(1, &put_off, 0.0), Some(minutes(2)), "then it is a try as any other");
        assert_eq!(Policy::default().wait(3, &put_off, 0.0), None);
    }

    #[test]
    fn what_may_not_be_retried_is_not() {
        assert_eq!(Policy::default().wait(1, &error(Retry::Never), 0.5), None);
        assert_eq!(Policy::default().wait(1, &error(Retry::Stop), 0.5), None);
    }
}
