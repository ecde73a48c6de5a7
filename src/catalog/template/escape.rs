//! How what a template prints is made harmless.

use minijinja::HtmlEscape;
use serde_json::Value;

/// The language that a template writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Text for people or models; printed as it is.
    None,
    /// HTML: everything that was not marked `| safe` is escaped.
    Html,
}

impl Escape {
    /// Escapes every string of a value that did not pass through a text template.
    #[must_use]
    pub fn apply(self, value: Value) -> Value {
        match (self, value) {
            (Self::Html, Value::String(text)) => HtmlEscape(&text).to_string().into(),
            (Self::Html, Value::Array(items)) => items.into_iter().map(|item| self.apply(item)).collect(),
            (Self::Html, Value::Object(map)) => {
                Value::Object(map.into_iter().map(|(key, value)| (key, self.apply(value))).collect())
            }
            (_, value) => value,
        }
    }
}
