//! Which of the times that came make a task.

use chrono::{DateTime, TimeDelta, Utc};

use super::{CronTimes, Missed};

/// Times that were missed and are made good at most, one after the other.
pub const MAX_CATCH_UP: usize = 100;
/// A time is missed when it came longer ago: a restart of the workers is no reason to skip one.
const ON_TIME_WITHIN: TimeDelta = TimeDelta::minutes(5);

/// What to do for a schedule that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The time whose task is made; `None` if all that came are skipped.
    pub fire_at: Option<DateTime<Utc>>,
    /// When to look again: in the past while there is more to make good.
    pub next: Option<DateTime<Utc>>,
}

impl Plan {
    /// `due_at` is the first time that came and was not seen to, not after `now`.
    pub fn new(times: &CronTimes, missed: Missed, due_at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let latest = times.last_until(now).unwrap_or(due_at).max(due_at);
        let fire_at = match missed {
            Missed::Skip => (now - latest <= ON_TIME_WITHIN).then_some(latest),
            Missed::RunOnce => Some(latest),
            Missed::RunAll => Some(first_to_make_good(times, due_at, latest)),
        };
        let after = if missed == Missed::RunAll { fire_at.unwrap_or(now) } else { now };
        Self { fire_at, next: times.next_after(after) }
    }
}

/// The oldest of the last [`MAX_CATCH_UP`] times that is not before `due_at`.
fn first_to_make_good(times: &CronTimes, due_at: DateTime<Utc>, latest: DateTime<Utc>) -> DateTime<Utc> {
    let before = |time: &DateTime<Utc>| times.last_until(*time - TimeDelta::seconds(1));
    let back = std::iter::successors(Some(latest), before).take(MAX_CATCH_UP);
    back.take_while(|time| *time >= due_at).last().unwrap_or(due_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn plan(cron: &str, missed: Missed, due: &str, now: &str) -> (Option<String>, String) {
        let times = CronTimes::parse(cron, "UTC").unwrap();
        let plan = Plan::new(&times, missed, at(due), at(now));
        let shown = |time: DateTime<Utc>| time.format("%d %H:%M").to_string();
        (plan.fire_at.map(shown), plan.next.map(shown).unwrap())
    }

    #[test]
    fn a_time_that_just_came_makes_a_task_under_every_policy() {
        for missed in [Missed::Skip, Missed::RunOnce, Missed::RunAll] {
            let plan = plan("0 * * * *", missed, "2026-01-01T10:00:00Z", "2026-01-01T10:00:02Z");
            assert_eq!(plan, (Some("01 10:00".to_owned()), "01 11:00".to_owned()), "{missed:?}");
        }
    }

    #[test]
    fn after_a_long_night_skip_makes_none_and_run_once_one() {
        let (due, now) = ("2026-01-01T22:00:00Z", "2026-01-02T06:30:00Z");
        assert_eq!(plan("0 * * * *", Missed::Skip, due, now), (None, "02 07:00".to_owned()));
        assert_eq!(plan("0 * * * *", Missed::RunOnce, due, now), (Some("02 06:00".to_owned()), "02 07:00".to_owned()));
        // The last one is fresh enough.
        let now = "2026-01-02T06:04:00Z";
        assert_eq!(plan("0 * * * *", Missed::Skip, due, now), (Some("02 06:00".to_owned()), "02 07:00".to_owned()));
    }

    #[test]
    fn run_all_goes_through_them_one_by_one_and_not_for_ever() {
        let times = CronTimes::parse("* * * * *", "UTC").unwrap();
        let now = at("2026-01-02T06:00:30Z");
        let (mut due, mut fired) = (at("2026-01-01T22:00:00Z"), Vec::new());
        while due <= now {
            let plan = Plan::new(&times, Missed::RunAll, due, now);
            fired.extend(plan.fire_at);
            due = plan.next.unwrap();
        }
        assert_eq!((fired.len(), fired.last()), (MAX_CATCH_UP, Some(&at("2026-01-02T06:00:00Z"))));
        assert!(fired.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::minutes(1)), "one after the other");
        assert_eq!(due, at("2026-01-02T06:01:00Z"));
        let few = plan("0 * * * *", Missed::RunAll, "2026-01-01T22:00:00Z", "2026-01-02T01:30:00Z");
        assert_eq!(few, (Some("01 22:00".to_owned()), "01 23:00".to_owned()));
    }
}
