//! The one gate that outputs, errors and ledger lines pass before they are written:
//! secrets out, what Postgres cannot keep replaced, size bounded.

use std::sync::Mutex;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::{
    base::{spelling::spellings, weight},
    components::ComponentError,
};

/// A node's output as JSON text.
const MAX_OUTPUT_BYTES: usize = 16 * 1024 * 1024;
/// Shorter secrets would blank out ordinary text.
const MIN_SECRET_CHARS: usize = 6;
const REDACTED: &str = "[redacted]";

/// Every secret that a run has opened, in each of its spellings.
///
/// The longest spellings come first, so that none is cut by one that it contains.
#[derive(Debug, Default)]
pub struct Redactor(Mutex<Vec<SecretString>>);

impl Redactor {
    pub fn add(&self, secret: &SecretString) {
        if secret.expose_secret().chars().count() < MIN_SECRET_CHARS {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.iter().any(|k| k.expose_secret() == secret.expose_secret()) {
            return;
        }
        for spelling in spellings(secret.expose_secret()) {
            if !known.iter().any(|k| k.expose_secret() == spelling) {
                known.push(spelling.into());
            }
        }
        known.sort_by_key(|spelling| std::cmp::Reverse(spelling.expose_secret().len()));
    }

    /// The text without secrets and NUL characters, which jsonb refuses.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut clean = text.replace('\0', "\u{fffd}");
        for secret in known.iter() {
            if clean.contains(secret.expose_secret()) {
                clean = clean.replace(secret.expose_secret(), REDACTED);
            }
        }
        clean
    }

    fn is_clean(&self, text: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        !text.contains('\0') && !known.iter().any(|secret| text.contains(secret.expose_secret()))
    }

    /// Cleans every string of a value, keys included.
    pub fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) if !self.is_clean(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(map) => {
                if map.keys().any(|key| !self.is_clean(key)) {
                    *map = std::mem::take(map).into_iter().map(|(key, value)| (self.text(&key), value)).collect();
                }
                map.values_mut().for_each(|value| self.value(value));
            }
            _ => {}
        }
    }

    #[must_use]
    pub fn cleaned(&self, mut value: Value) -> Value {
        self.value(&mut value);
        value
    }

    /// A node's output as it may be written.
    ///
    /// # Errors
    /// It is too large.
    pub fn output(&self, mut value: Value) -> Result<Value, ComponentError> {
        let (bytes, held) = (approximate_size(&value), weight::of(&value));
        if held > weight::MOST {
            return Err(ComponentError::new(
                "output_too_large",
                format!(
                    "the output has so many values that they hold {} MiB of memory, and {} may be held: pick fewer \
                     with a Transform",
                    held >> 20,
                    weight::MOST >> 20
                ),
            ));
        }
        if bytes > MAX_OUTPUT_BYTES {
            return Err(ComponentError::new(
                "output_too_large",
                format!(
                    "the output has about {} MiB and {} are kept: lower max_pages, or pick fields with a Transform",
                    bytes >> 20,
                    MAX_OUTPUT_BYTES >> 20
                ),
            ));
        }
        self.value(&mut value);
        Ok(value)
    }

    #[must_use]
    pub fn error(&self, mut error: ComponentError) -> ComponentError {
        error.message = self.text(&error.message);
        error
    }
}

/// Bytes as JSON text, escapes aside.
fn approximate_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| approximate_size(item) + 1).sum::<usize>() + 2,
        Value::Object(map) => map.iter().map(|(k, v)| k.len() + 4 + approximate_size(v)).sum::<usize>() + 2,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_taken_out_of_every_corner() {
        let redactor = Redactor::default();
        redactor.add(&"sk-canary-123456".into());
        let mut value = json!({"a": ["x sk-canary-123456 y"], "sk-canary-123456": {"b": "sk-canary-123456"}});
        redactor.value(&mut value);
        assert!(!value.to_string().contains("canary"), "{value}");
        let error = redactor.error(ComponentError::new("x", "key sk-canary-123456 refused"));
        assert_eq!(error.message, "key [redacted] refused");
    }

    #[test]
    fn a_secret_that_contains_another_goes_whole() {
        for order in [["inside", "all around inside"], ["all around inside", "inside"]] {
            let redactor = Redactor::default();
            for secret in order {
                redactor.add(&secret.into());
            }
            assert_eq!(redactor.text("<all around inside>"), "<[redacted]>");
        }
    }

    #[test]
    fn a_short_secret_does_not_blank_out_ordinary_text() {
        let redactor = Redactor::default();
        redactor.add(&"a".into());
        assert_eq!(redactor.text("banana"), "banana");
    }

    #[test]
    fn nul_characters_are_replaced_and_other_text_is_kept() {
        let redactor = Redactor::default();
        let output = redactor.output(json!({"t": "a\u{0}b", "u": "Ünï {{ 7*7 }}"})).unwrap();
        assert_eq!(output, json!({"t": "a\u{fffd}b", "u": "Ünï {{ 7*7 }}"}));
    }

    #[test]
    fn an_output_over_the_bound_is_refused_with_a_remedy() {
        let error = Redactor::default().output(json!("x".repeat(MAX_OUTPUT_BYTES + 1))).unwrap_err();
        assert_eq!(error.code, "output_too_large");
        assert!(error.message.contains("max_pages"));
    }
}
