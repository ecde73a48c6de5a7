//! A node's rendered config, read key by key with errors that name the key.

use std::{ops::RangeInclusive, time::Duration};

use serde_json::{Map, Value};

use super::ComponentError;
use crate::egress::{self, Url};

/// Reads config. A key that is `null`, or empty where text makes no sense, counts
/// as absent: optional inputs render to that.
#[derive(Debug)]
pub struct Settings<'a>(&'a Map<String, Value>);

impl<'a> Settings<'a> {
    /// # Errors
    /// A key that the component does not know; the message lists those it does.
    pub fn new(component: &str, config: &'a Map<String, Value>, known: &[&str]) -> Result<Self, ComponentError> {
        match config.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(Self(config)),
            Some(key) => Err(wrong(key, format!("is not a setting of {component}; it has {}", known.join(", ")))),
        }
    }

    #[must_use]
    pub fn value(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// Text; a number or a boolean is taken as it is written.
    pub fn text(&self, key: &str) -> Result<Option<String>, ComponentError> {
        self.value(key)
            .map(|value| scalar(value).ok_or_else(|| wrong(key, format!("must be text; got {}", brief(value)))))
            .transpose()
    }

    /// Text that is there and not blank.
    pub fn required_text(&self, key: &str) -> Result<String, ComponentError> {
        present_text(key, self.text(key)?)
    }

    /// Text for a model: a list or a mapping is written as JSON, so that a whole
    /// output of another node can be put into a prompt.
    pub fn prose(&self, key: &str) -> Option<String> {
        self.value(key).map(|value| scalar(value).unwrap_or_else(|| value.to_string()))
    }

    pub fn required_prose(&self, key: &str) -> Result<String, ComponentError> {
        present_text(key, self.prose(key))
    }

    pub fn integer(&self, key: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ComponentError> {
        let Some(value) = self.present(key) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
            let (low, high) = (range.start(), range.end());
            wrong(key, format!("must be a whole number from {low} to {high}; got {}", brief(value)))
        })
    }

    pub fn float(&self, key: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, ComponentError> {
        let Some(value) = self.present(key) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
            let (low, high) = (range.start(), range.end());
            wrong(key, format!("must be a number from {low} to {high}; got {}", brief(value)))
        })
    }

    pub fn boolean(&self, key: &str) -> Result<Option<bool>, ComponentError> {
        let Some(value) = self.present(key) else { return Ok(None) };
        let flag = match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        };
        flag.map(Some).ok_or_else(|| wrong(key, format!("must be true or false; got {}", brief(value))))
    }

    /// A duration: a number of seconds, or text such as `500ms`, `2s`, `1m`, `1h`.
    pub fn duration(&self, key: &str, range: RangeInclusive<Duration>) -> Result<Option<Duration>, ComponentError> {
        let Some(value) = self.present(key) else { return Ok(None) };
        let parsed = match value {
            Value::Number(number) => number.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            Value::String(text) => parse_duration(text),
            _ => None,
        };
        parsed.filter(|duration| range.contains(duration)).map(Some).ok_or_else(|| {
            let (low, high) = (range.start(), range.end());
            let got = brief(value);
            wrong(key, format!("must be a duration from {low:?} to {high:?}, such as 500ms, 2s or 1m; got {got}"))
        })
    }

    /// A URL that the guard could be asked for.
    pub fn url(&self, key: &str) -> Result<Url, ComponentError> {
        parse_url(key, &self.required_text(key)?)
    }

    /// A mapping of names to scalars, in order; `null` values are left out. Empty if absent.
    pub fn pairs(&self, key: &str) -> Result<Vec<(String, String)>, ComponentError> {
        let Some(value) = self.present(key) else { return Ok(Vec::new()) };
        let Value::Object(map) = value else {
            return Err(wrong(key, format!("must be a mapping of names to values; got {}", brief(value))));
        };
        let present = map.iter().filter(|(_, value)| !value.is_null());
        present
            .map(|(name, value)| match scalar(value) {
                Some(text) => Ok((name.clone(), text)),
                None => Err(wrong(&format!("{key}.{name}"), format!("must be text or a number; got {}", brief(value)))),
            })
            .collect()
    }

    /// A list of texts; one text alone is a list of one. `None` if absent.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<String>>, ComponentError> {
        let Some(value) = self.present(key) else { return Ok(None) };
        let items = match value {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        let texts: Option<Vec<String>> = items.iter().map(scalar).collect();
        texts.map(Some).ok_or_else(|| wrong(key, format!("must be a list of texts; got {}", brief(value))))
    }

    /// As [`Settings::value`], with blank text as absent.
    fn present(&self, key: &str) -> Option<&'a Value> {
        self.value(key).filter(|value| value.as_str().is_none_or(|text| !text.trim().is_empty()))
    }
}

fn present_text(key: &str, text: Option<String>) -> Result<String, ComponentError> {
    text.filter(|text| !text.trim().is_empty()).ok_or_else(|| wrong(key, "is missing or empty; give it a value"))
}

/// Parses the URL of a config key.
pub fn parse_url(key: &str, text: &str) -> Result<Url, ComponentError> {
    egress::parse_url(text).map_err(|error| wrong(key, format!("is {error}")))
}

/// An error about a config key: `config.KEY WHY`.
pub fn wrong(key: &str, why: impl std::fmt::Display) -> ComponentError {
    ComponentError::new("invalid_config", format!("config.{key} {why}")).field(format!("config.{key}"))
}

/// Text, number or boolean as text.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A value shortened for a message.
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

    fn with<T>(value: Value, read: impl Fn(Settings) -> T) -> T {
        let config = Map::from_iter([("k".to_owned(), value)]);
        read(Settings::new("Test", &config, &["k", "other"]).unwrap())
    }

    #[test]
    fn an_unknown_key_names_itself_and_the_known_ones() {
        let config = Map::from_iter([("foo".to_owned(), json!(1))]);
        let error = Settings::new("Test", &config, &["k", "other"]).unwrap_err();
        assert_eq!(error.message, "config.foo is not a setting of Test; it has k, other");
        assert_eq!(error.field.as_deref(), Some("config.foo"));
    }

    #[test]
    fn integers() {
        for (value, expected) in
            [(json!(3), Some(3)), (json!("3"), Some(3)), (json!(3.0), Some(3)), (json!(null), None), (json!(" "), None)]
        {
            assert_eq!(with(value, |s| s.integer("k", 1..=10)).unwrap(), expected);
        }
        for bad in [json!(0), json!(11), json!(-1), json!(2.5), json!("x"), json!(true), json!([1]), json!(1e300)] {
            let error = with(bad.clone(), |s| s.integer("k", 1..=10)).unwrap_err();
            assert!(error.message.starts_with("config.k must be a whole number from 1 to 10; got "), "{bad}: {error}");
        }
    }

    #[test]
    fn booleans_and_floats() {
        assert_eq!(with(json!("Yes"), |s| s.boolean("k")).unwrap(), Some(true));
        assert_eq!(with(json!(false), |s| s.boolean("k")).unwrap(), Some(false));
        assert!(with(json!("maybe"), |s| s.boolean("k")).is_err());
        assert_eq!(with(json!("0.5"), |s| s.float("k", 0.0..=2.0)).unwrap(), Some(0.5));
        assert!(with(json!("NaN"), |s| s.float("k", 0.0..=2.0)).is_err());
        assert!(with(json!(2.1), |s| s.float("k", 0.0..=2.0)).is_err());
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
            let read = with(value.clone(), |s| s.duration("k", range.clone())).unwrap();
            assert_eq!(read, Some(Duration::from_millis(ms)), "{value}");
        }
        for bad in [json!("2h"), json!("-1s"), json!("soon"), json!("1e"), json!(-1), json!(1e300), json!(["1s"])] {
            let error = with(bad.clone(), |s| s.duration("k", range.clone())).unwrap_err();
            assert!(error.message.contains("such as 500ms"), "{bad}: {error}");
        }
    }

    #[test]
    fn pairs_and_urls() {
        let pairs = with(json!({"a": 1, "b": "x", "c": null}), |s| s.pairs("k")).unwrap();
        assert_eq!(pairs, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x".to_owned())]);
        let error = with(json!({"a": {}}), |s| s.pairs("k")).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("config.k.a"));
        for bad in
            [json!("example.com"), json!("ftp://x/"), json!("http://"), json!(""), json!(null), json!("http://u:pw@x/")]
        {
            let error = with(bad.clone(), |s| s.url("k")).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("config.k"), "{bad}");
            assert!(!error.message.contains("pw"), "{error}");
        }
        assert_eq!(with(json!(" https://x.example "), |s| s.url("k")).unwrap().as_str(), "https://x.example/");
    }
}
