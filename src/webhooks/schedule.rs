//! When a delivery is tried again, and when no more.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Seconds after the first, second, ... attempt of a round. Then the delivery has failed,
/// about 30 hours after the first.
const DELAYS: [u64; 8] = [5, 60, 300, 1_800, 7_200, 18_000, 36_000, 43_200];
/// An endpoint may ask for more time than the schedule gives, up to this.
const LONGEST: Duration = Duration::from_hours(12);
/// A webhook of which nothing arrived for so long is switched off.
const GIVE_UP_AFTER: TimeDelta = TimeDelta::days(5);

/// How long to wait after so many attempts of this round, `None` for no more. `jitter`
/// spreads what failed together: 0 to 255 adds up to a fifth.
#[must_use]
pub fn delay(round_attempts: i32, asked: Option<Duration>, jitter: u8) -> Option<Duration> {
    let at = usize::try_from(round_attempts.max(1) - 1).ok()?;
    let planned = Duration::from_secs(*DELAYS.get(at)?);
    let spread = planned * u32::from(jitter) / (5 * 255);
    Some((planned + spread).max(asked.unwrap_or_default().min(LONGEST)))
}

/// Whether a webhook that fails since then is switched off now.
#[must_use]
pub fn is_over(failing_since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    failing_since.is_some_and(|since| now - since >= GIVE_UP_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_longer_each_time_and_ends_after_more_than_a_day() {
        let delays: Vec<u64> = (1..).map_while(|n| delay(n, None, 0)).map(|delay| delay.as_secs()).collect();
        assert_eq!(delays, DELAYS);
        assert!(delays.is_sorted() && (24 * 3600..48 * 3600).contains(&delays.iter().sum::<u64>()));
        assert_eq!(delay(2, None, 255), Some(Duration::from_secs(72)), "a fifth more at most");
    }

    #[test]
    fn an_endpoint_may_ask_for_more_time_and_not_for_less_or_for_ever() {
        let asked = |seconds| delay(2, Some(Duration::from_secs(seconds)), 0).unwrap().as_secs();
        assert_eq!((asked(1), asked(600), asked(u64::MAX)), (60, 600, LONGEST.as_secs()));
    }

    #[test]
    fn an_endpoint_that_fails_for_days_is_given_up() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(10);
        assert!(is_over(Some(now - TimeDelta::days(5)), now));
        assert!(!is_over(Some(now - TimeDelta::days(4)), now) && !is_over(None, now));
    }
}
