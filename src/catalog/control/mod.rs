//! The config of components that the engine itself carries out: read when a recipe is
//! checked, with its templates passed over, and again when a node runs.

mod approval;
mod sub_recipe;

use serde_json::{Map, Value};

pub use approval::Approval;
pub use sub_recipe::SubRecipe;

use super::{components::ComponentSpec, problem::choices};

/// What is wrong with a key of a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Empty for the config as a whole.
    pub key: String,
    /// Within a list.
    pub index: Option<usize>,
    pub message: String,
}

impl Fault {
    fn new(key: &str, message: impl Into<String>) -> Self {
        Self { key: key.to_owned(), index: None, message: message.into() }
    }

    /// `config.approvers[1]`.
    #[must_use]
    pub fn path(&self) -> String {
        let index = self.index.map_or_else(String::new, |index| format!("[{index}]"));
        if self.key.is_empty() { "config".to_owned() } else { format!("config.{}{index}", self.key) }
    }
}

/// A config with what has been found wrong with it so far.
struct Config<'a> {
    map: &'a Map<String, Value>,
    faults: Vec<Fault>,
}

impl<'a> Config<'a> {
    fn new(spec: &ComponentSpec, map: &'a Map<String, Value>) -> Self {
        let (name, keys) = (spec.name, spec.keys());
        let unknown = map.keys().filter(|key| !keys.contains(&key.as_str()));
        let faults =
            unknown.map(|key| Fault::new(key, format!("is not a setting of {name}{}", choices(key, &keys)))).collect();
        Self { map, faults }
    }

    /// A value that is there, unless a template makes it up later.
    fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null() && !has_template(value))
    }

    /// Whether there is a value, now or later.
    fn has(&self, key: &str) -> bool {
        self.map
            .get(key)
            .is_some_and(|value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty()))
    }

    fn text(&mut self, key: &str, most: usize) -> Option<&'a str> {
        let value = self.value(key)?;
        match value.as_str() {
            Some(text) if text.chars().count() > most => {
                self.fault(key, format!("has {} characters; at most {most} are shown", text.chars().count()));
                None
            }
            Some(text) => Some(text).filter(|text| !text.trim().is_empty()),
            None => {
                self.fault(key, "must be text");
                None
            }
        }
    }

    fn require(&mut self, key: &str, example: &str) {
        if !self.has(key) {
            self.fault(key, format!("is missing or empty; give it a value, such as {example}"));
        }
    }

    fn fault(&mut self, key: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(key, message));
    }

    fn finish<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.faults.is_empty() { Ok(value) } else { Err(self.faults) }
    }
}

pub(in crate::catalog) fn has_template(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("{{") || text.contains("{%"),
        Value::Array(items) => items.iter().any(has_template),
        Value::Object(map) => map.values().any(has_template),
        _ => false,
    }
}
