//! A node's rendered config, read key by key with errors that name the key.

use std::time::Duration;

use serde_json::{Map, Value};

use super::ComponentError;
use crate::{
    catalog::components::{
        ComponentSpec, Kind,
        value::{self, brief, scalar},
    },
    egress::{self, Url},
};

/// Reads config as its component's row in the table says. A key that is `null`, or empty
/// where text makes no sense, counts as absent: optional inputs render to that.
#[derive(Debug)]
pub struct Settings<'a> {
    spec: &'static ComponentSpec,
    config: &'a Map<String, Value>,
}

impl<'a> Settings<'a> {
    /// # Errors
    /// A key that the component does not know; the message lists those it does.
    pub fn of(spec: &'static ComponentSpec, config: &'a Map<String, Value>) -> Result<Self, ComponentError> {
        let known = spec.keys();
        match config.keys().find(|key| !spec.takes_labels && !known.contains(&key.as_str())) {
            None => Ok(Self { spec, config }),
            Some(key) => Err(wrong(key, format!("is not a setting of {}; it has {}", spec.name, known.join(", ")))),
        }
    }

    #[must_use]
    pub fn value(&self, key: &str) -> Option<&'a Value> {
        self.config.get(key).filter(|value| !value.is_null())
    }

    /// A setting that is there, or has a default.
    ///
    /// # Errors
    /// As `read`; it is neither there nor has it a default.
    pub fn required<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Self, &str) -> Result<Option<T>, ComponentError>,
    ) -> Result<T, ComponentError> {
        read(self, key)?.ok_or_else(|| missing(key))
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

    pub fn integer(&self, key: &str) -> Result<Option<u64>, ComponentError> {
        match self.kind(key) {
            Some(Kind::Integer { range, default }) => self.read(key, *default, |value| value::integer(value, range)),
            _ => Err(misread(key)),
        }
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>, ComponentError> {
        match self.kind(key) {
            Some(Kind::Number { range }) => self.read(key, None, |value| value::number(value, range)),
            _ => Err(misread(key)),
        }
    }

    pub fn boolean(&self, key: &str) -> Result<Option<bool>, ComponentError> {
        match self.kind(key) {
            Some(Kind::Boolean { default }) => self.read(key, *default, value::boolean),
            _ => Err(misread(key)),
        }
    }

    pub fn duration(&self, key: &str) -> Result<Option<Duration>, ComponentError> {
        match self.kind(key) {
            Some(Kind::Duration { range, default }) => self.read(key, *default, |value| value::duration(value, range)),
            _ => Err(misread(key)),
        }
    }

    /// The word as the table writes it.
    pub fn word(&self, key: &str) -> Result<Option<&'static str>, ComponentError> {
        match self.kind(key) {
            Some(Kind::Word { words, default }) => self.read(key, Some(default), |value| value::word(value, words)),
            _ => Err(misread(key)),
        }
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

    fn kind(&self, key: &str) -> Option<&'static Kind> {
        self.spec.setting(key).map(|setting| &setting.kind)
    }

    fn read<T>(
        &self,
        key: &str,
        default: Option<T>,
        how: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Result<Option<T>, ComponentError> {
        let read = self.present(key).map(|value| how(value).map_err(|why| wrong(key, why)));
        Ok(read.transpose()?.or(default))
    }

    /// As [`Settings::value`], with blank text as absent.
    fn present(&self, key: &str) -> Option<&'a Value> {
        self.value(key).filter(|value| value.as_str().is_none_or(|text| !text.trim().is_empty()))
    }
}

fn present_text(key: &str, text: Option<String>) -> Result<String, ComponentError> {
    text.filter(|text| !text.trim().is_empty()).ok_or_else(|| missing(key))
}

fn missing(key: &str) -> ComponentError {
    wrong(key, "is missing or empty; give it a value")
}

/// The component reads a setting in another way than its row declares it, which its tests show.
fn misread(key: &str) -> ComponentError {
    ComponentError::new("internal", format!("config.{key} is declared otherwise in the table of components"))
}

/// Parses the URL of a config key.
pub fn parse_url(key: &str, text: &str) -> Result<Url, ComponentError> {
    egress::parse_url(text).map_err(|error| wrong(key, format!("is {error}")))
}

/// An error about a config key: `config.KEY WHY`.
pub fn wrong(key: &str, why: impl std::fmt::Display) -> ComponentError {
    ComponentError::new("invalid_config", format!("config.{key} {why}")).field(format!("config.{key}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::components::Setting;

    static TEST: ComponentSpec = ComponentSpec {
        name: "Test",
        settings: &[&[
            Setting::new("k", Kind::Anything, ""),
            Setting::new("count", Kind::Integer { range: 1..=10, default: None }, ""),
            Setting::new("flag", Kind::Boolean { default: Some(true) }, ""),
        ]],
        ..ComponentSpec::PLAIN
    };

    fn with<T>(key: &str, value: Value, read: impl Fn(Settings) -> T) -> T {
        let config = Map::from_iter([(key.to_owned(), value)]);
        read(Settings::of(&TEST, &config).unwrap())
    }

    #[test]
    fn an_unknown_key_names_itself_and_the_known_ones() {
        let config = Map::from_iter([("foo".to_owned(), json!(1))]);
        let error = Settings::of(&TEST, &config).unwrap_err();
        assert_eq!(error.message, "config.foo is not a setting of Test; it has k, count, flag");
        assert_eq!(error.field.as_deref(), Some("config.foo"));
    }

    #[test]
    fn what_is_absent_has_its_default() {
        for (value, expected) in [(json!(3), Some(3)), (json!("3"), Some(3)), (json!(null), None), (json!(" "), None)] {
            assert_eq!(with("count", value, |s| s.integer("count")).unwrap(), expected);
        }
        let error = with("count", json!(11), |s| s.integer("count")).unwrap_err();
        assert_eq!(error.message, "config.count must be a whole number from 1 to 10; got 11");
        assert_eq!(with("flag", json!(null), |s| s.boolean("flag")).unwrap(), Some(true));
        assert!(!with("flag", json!("no"), |s| s.required("flag", Settings::boolean)).unwrap());
        let error = with("count", json!(" "), |s| s.required("count", Settings::integer)).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("config.count"));
    }

    #[test]
    fn a_setting_is_read_as_it_is_declared() {
        let error = with("count", json!(3), |s| s.boolean("count")).unwrap_err();
        assert_eq!(error.code, "internal");
    }

    #[test]
    fn pairs_and_urls() {
        let pairs = with("k", json!({"a": 1, "b": "x", "c": null}), |s| s.pairs("k")).unwrap();
        assert_eq!(pairs, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x".to_owned())]);
        let error = with("k", json!({"a": {}}), |s| s.pairs("k")).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("config.k.a"));
        for bad in
            [json!("example.com"), json!("ftp://x/"), json!("http://"), json!(""), json!(null), json!("http://u:pw@x/")]
        {
            let error = with("k", bad.clone(), |s| s.url("k")).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("config.k"), "{bad}");
            assert!(!error.message.contains("pw"), "{error}");
        }
        assert_eq!(with("k", json!(" https://x.example "), |s| s.url("k")).unwrap().as_str(), "https://x.example/");
    }
}
