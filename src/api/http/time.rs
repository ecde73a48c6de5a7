//! The one type for a time that comes in.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, Utc};
use poem_openapi::{
    registry::MetaSchemaRef,
    types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type},
};
use serde_json::Value;

/// A time of the years 1970 to 9999, with any offset, in UTC from then on. Postgres knows no year before 4713 BC, and nothing here is older than computers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub DateTime<Utc>);

/// Room for every fraction that is kept, and no more.
const MAX_BYTES: usize = 40;
pub(super) const WANTED: &str = "an RFC 3339 time of the years 1970 to 9999, such as 2026-01-31T12:00:00Z";

/// To the microsecond, as Postgres keeps it; a leap second is the second after it.
pub(super) fn parse(text: &str) -> Option<Time> {
    let time = DateTime::parse_from_rfc3339(text).ok().filter(|_| text.len() <= MAX_BYTES)?;
    let time = DateTime::from_timestamp_micros(time.timestamp_micros())?;
    (1970..=9999).contains(&time.year()).then_some(Time(time))
}

impl Type for Time {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        <DateTime<Utc> as Type>::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        <DateTime<Utc> as Type>::schema_ref()
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Time {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let value = value.unwrap_or_default();
        let Some(text) = value.as_str() else { return Err(ParseError::expected_type(value)) };
        parse(text).ok_or_else(|| ParseError::custom(format!("must be {WANTED}")))
    }
}

impl ParseFromParameter for Time {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        parse(text).ok_or_else(|| ParseError::custom(format!("must be {WANTED}")))
    }
}

impl ToJSON for Time {
    fn to_json(&self) -> Option<Value> {
        self.0.to_json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_1970_to_9999_are_taken_and_no_others() {
        let good = [
            "1970-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
            "2026-01-31T12:00:00+02:00",
            "2026-01-31t12:00:00z",
        ];
        for text in good {
            assert!(Time::parse_from_parameter(text).is_ok(), "{text}");
            assert!(Time::parse_from_json(Some(text.into())).is_ok(), "{text}");
        }
        let bad = [
            "-4714-01-01T00:00:00Z",
            "-9999-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "+10000-01-01T00:00:00Z",
            "+262142-01-01T00:00:00Z",
            "123456-01-01T00:00:00Z",
            "2026-01-31",
            "1700000000",
            "9999-12-31T23:59:60Z",
            "now",
            "",
        ];
        for text in bad {
            assert!(Time::parse_from_parameter(text).is_err(), "{text}");
            assert!(Time::parse_from_json(Some(text.into())).is_err(), "{text}");
        }
    }
}
