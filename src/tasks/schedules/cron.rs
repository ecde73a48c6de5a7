//! A cron expression in its time zone, and the times it means.
//!
//! Where the clocks change, the rules are those of Vixie's cron. An expression that
//! names its hours and minutes runs once a day: in an hour that does not exist at the
//! first moment after it, in one that comes twice the first time. One with `*` in them
//! runs whenever the clock shows it, so never in a missing hour and in both of a double one.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

/// Characters that an expression may have.
pub const MAX_CRON_CHARS: usize = 200;

/// A cron expression that has times, in an IANA time zone.
#[derive(Debug, Clone)]
pub struct CronTimes {
    text: String,
    cron: Cron,
    zone: Tz,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    #[error(
        "is not a valid cron expression: {0}; give minute, hour, day of month, month and day of week, as in `0 9 * * MON-FRI`"
    )]
    Expression(String),
    #[error("never comes: no date has that day and month")]
    Never,
    #[error("is not a time zone of the IANA database; give one such as Europe/Berlin, or UTC")]
    Zone,
}

impl CronTimes {
    /// # Errors
    /// The expression has not five fields or means no time; the zone is not known.
    pub fn parse(cron: &str, zone: &str) -> Result<Self, CronError> {
        let zone: Tz = zone.parse().map_err(|_| CronError::Zone)?;
        let text = cron.trim().to_owned();
        if text.chars().count() > MAX_CRON_CHARS {
            return Err(CronError::Expression(format!("it has more than {MAX_CRON_CHARS} characters")));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(&text).map_err(|error| CronError::Expression(error.to_string()))?;
        let times = Self { text, cron, zone };
        // Every date of the calendar is within eight years of the last leap day of a century.
        times.next_after(DateTime::UNIX_EPOCH).map(|_| times).ok_or(CronError::Never)
    }

    /// As it was given.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn time_zone(&self) -> &'static str {
        self.zone.name()
    }

    /// The first time after this one.
    #[must_use]
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = self.cron.find_next_occurrence(&time.with_timezone(&self.zone), false).ok()?;
        Some(next.with_timezone(&Utc))
    }

    /// The last time that is not after this one.
    #[must_use]
    pub fn last_until(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let last = self.cron.find_previous_occurrence(&time.with_timezone(&self.zone), true).ok()?;
        Some(last.with_timezone(&Utc))
    }

    /// The next times after this one, at most so many.
    #[must_use]
    pub fn upcoming(&self, after: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.next_after(after), |time| self.next_after(*time)).take(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn times(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let times = CronTimes::parse(cron, zone).unwrap();
        let zone: Tz = zone.parse().unwrap();
        let shown = |time: &DateTime<Utc>| time.with_timezone(&zone).format("%d %H:%M %z").to_string();
        times.upcoming(at(after), count).iter().map(shown).collect()
    }

    // Berlin: 2026-03-29 has no 02:00 to 02:59, 2026-10-25 has it twice.

    #[test]
    fn an_hour_that_does_not_exist_is_made_good_once() {
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
            ["28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"],
        );
        assert_eq!(
            times("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["29 03:00 +0200", "30 03:00 +0200"],
        );
    }

    #[test]
    fn an_hour_that_comes_twice_runs_the_first_time_only() {
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-10-23T12:00:00Z", 3),
            ["24 02:30 +0200", "25 02:30 +0200", "26 02:30 +0100"],
        );
    }

    #[test]
    fn what_runs_through_the_day_follows_the_clock_on_the_wall() {
        assert_eq!(
            times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 3),
            ["29 01:30 +0100", "29 03:00 +0200", "29 03:30 +0200"],
        );
        assert_eq!(
            times("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:59:00Z", 6),
            [
                "25 02:00 +0200",
                "25 02:30 +0200",
                "25 02:00 +0100",
                "25 02:30 +0100",
                "25 03:00 +0100",
                "25 03:30 +0100"
            ],
        );
    }

    #[test]
    fn zones_without_whole_hours_and_without_changes() {
        // Lord Howe moves by half an hour: 2026-10-04 has no 02:00 to 02:29.
        assert_eq!(
            times("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2),
            ["04 02:30 +1100", "05 02:15 +1100"],
        );
        assert_eq!(
            times("0 9 * * MON-FRI", "Asia/Kolkata", "2026-01-02T12:00:00Z", 2),
            ["05 09:00 +0530", "06 09:00 +0530"],
        );
    }

    #[test]
    fn back_and_forth_agree_over_the_changes_of_the_clocks() {
        for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"] {
            for cron in ["30 2 * * *", "*/20 * * * *", "0 1-3 * * *", "15 2 * * SUN"] {
                let times = CronTimes::parse(cron, zone).unwrap();
                for start in
                    ["2026-03-06T00:00:00Z", "2026-03-27T00:00:00Z", "2026-10-02T00:00:00Z", "2026-10-23T00:00:00Z"]
                {
                    for time in times.upcoming(at(start), 250) {
                        assert_eq!(times.last_until(time), Some(time), "{cron} in {zone}");
                        let before = time - chrono::TimeDelta::seconds(1);
                        let last = times.last_until(before).unwrap();
                        assert_eq!(times.next_after(last), Some(time), "{cron} in {zone} after {last}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_remedy() {
        for (cron, words) in [
            ("", "is not a valid cron expression"),
            ("* * * *", "minute, hour, day of month"),
            ("* * * * * *", "is not a valid cron expression"),
            ("0 0 * * * 2027", "is not a valid cron expression"),
            ("61 * * * *", "is not a valid cron expression"),
            ("every day", "is not a valid cron expression"),
            ("0 0 30 2 *", "never comes"),
        ] {
            let error = CronTimes::parse(cron, "UTC").unwrap_err().to_string();
            assert!(error.contains(words), "{cron}: {error}");
        }
        for zone in ["", "Mars/Base", "CEST", "+02:00"] {
            assert_eq!(CronTimes::parse("* * * * *", zone).unwrap_err(), CronError::Zone, "{zone}");
        }
    }

    #[test]
    fn a_leap_day_and_the_last_of_a_month_come() {
        assert_eq!(times("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1), ["29 00:00 +0000"]);
        assert_eq!(times("0 0 L * *", "UTC", "2026-02-01T00:00:00Z", 2), ["28 00:00 +0000", "31 00:00 +0000"]);
    }
}
