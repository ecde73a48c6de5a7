//! Reads the value of a setting; what is wrong with it comes back in words that follow the key.

use std::{ops::RangeInclusive, time::Duration};

use serde_json::Value;

/// # Errors
/// It is no whole number in the range.
pub fn integer(value: &Value, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let number = match value {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        format!("must be a whole number from {} to {}; got {}", range.start(), range.end(), brief(value))
    })
}

/// # Errors
/// It is no number in the range.
pub fn number(value: &Value, range: &RangeInclusive<f64>) -> Result<f64, String> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("must be a number from {} to {}; got {}", range.start(), range.end(), brief(value)))
}

/// # Errors
/// It is neither true nor false, in any of the ways that people write them.
pub fn boolean(value: &Value) -> Result<bool, String> {
    let flag = match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    };
    flag.ok_or_else(|| format!("must be true or false; got {}", brief(value)))
}

/// A number of seconds, or text such as `500ms`, `2s`, `1m`, `1h`.
///
/// # Errors
/// It is no duration in the range.
pub fn duration(value: &Value, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let parsed = match value {
        Value::Number(number) => number.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        Value::String(text) => parse_duration(text),
        _ => None,
    };
    parsed.filter(|duration| range.contains(duration)).ok_or_else(|| {
        let (low, high, got) = (range.start(), range.end(), brief(value));
        format!("must be a duration from {low:?} to {high:?}, such as 500ms, 2s or 1m; got {got}")
    })
}

/// The word of the list that stands there, in capital or small letters.
///
/// # Errors
/// It is none of them.
pub fn word(value: &Value, words: &[&'static str]) -> Result<&'static str, String> {
    let text = scalar(value).ok_or_else(|| format!("must be text; got {}", brief(value)))?;
    let found = words.iter().find(|word| word.eq_ignore_ascii_case(text.trim()));
    found.copied().ok_or_else(|| format!("must be one of {}; got \"{}\"", words.join(", "), text.trim()))
}

/// A text, a number or a boolean as text.
#[must_use]
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A value shortened for a message.
#[must_use]
pub fn brief(value: &Value) -> String {
    const LONGEST: usize = 80;
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(map) => format!("a mapping of {}", map.len()),
        other => {
            let text = other.to_string();
            match text.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("{}...", &text[..end]),
                None => text,
            }
        }
    }
}

/// A float that is a whole number small enough to be exact.
fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 || !(0.0..=EXACT).contains(&number) {
        return None;
    }
    // Shown without exponent or fraction, so that no cast is needed.
    format!("{number:.0}").parse().ok()
}

fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit.trim() {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn integers() {
        for value in [json!(3), json!("3"), json!(3.0)] {
            assert_eq!(integer(&value, &(1..=10)), Ok(3));
        }
        for bad in [json!(0), json!(11), json!(-1), json!(2.5), json!("x"), json!(true), json!([1]), json!(1e300)] {
            let why = integer(&bad, &(1..=10)).unwrap_err();
            assert!(why.starts_with("must be a whole number from 1 to 10; got "), "{bad}: {why}");
        }
    }

    #[test]
    fn booleans_and_numbers() {
        assert_eq!(boolean(&json!("Yes")), Ok(true));
        assert_eq!(boolean(&json!(false)), Ok(false));
        assert!(boolean(&json!("maybe")).is_err());
        assert_eq!(number(&json!("0.5"), &(0.0..=2.0)), Ok(0.5));
        assert!(number(&json!("NaN"), &(0.0..=2.0)).is_err());
        assert!(number(&json!(2.1), &(0.0..=2.0)).is_err());
    }

    #[test]
    fn durations() {
        let range = Duration::ZERO..=Duration::from_hours(1);
        for (value, ms) in [
            (json!("500ms"), 500),
            (json!("2s"), 2000),
            (json!(2), 2000),
            (json!(0.5), 500),
            (json!("1.5 s"), 1500),
            (json!("1m"), 60_000),
            (json!("1h"), 3_600_000),
            (json!("3"), 3000),
        ] {
            assert_eq!(duration(&value, &range), Ok(Duration::from_millis(ms)), "{value}");
        }
        for bad in [json!("2h"), json!("-1s"), json!("soon"), json!("1e"), json!(-1), json!(1e300), json!(["1s"])] {
            let why = duration(&bad, &range).unwrap_err();
            assert!(why.contains("such as 500ms"), "{bad}: {why}");
        }
    }

    #[test]
    fn words() {
        for value in [json!("GET"), json!(" get ")] {
            assert_eq!(word(&value, &["GET", "HEAD"]), Ok("GET"));
        }
        assert_eq!(word(&json!("gets"), &["GET", "HEAD"]).unwrap_err(), "must be one of GET, HEAD; got \"gets\"");
        assert!(word(&json!(["GET"]), &["GET"]).is_err());
    }
}
