//! The one gate that outputs, errors and ledger lines pass before they are written:
//! secrets out, what Postgres cannot keep replaced, size bounded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::{
    base::{spelling::Seeker, weight},
    components::ComponentError,
};

/// A node's output as JSON text.
const MAX_OUTPUT_BYTES: usize = 16 * 1024 * 1024;
/// Shorter secrets would blank out ordinary text.
const MIN_SECRET_CHARS: usize = 6;
/// Each is searched for in every text that the run writes.
const MAX_OPENED_BYTES: usize = 256 * 1024;
const REDACTED: &str = "[redacted]";

/// Every secret that a run has opened.
#[derive(Debug, Default)]
pub struct Redactor(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    opened: Vec<SecretString>,
    bytes: usize,
    /// Made anew once it is needed after another secret was opened.
    gate: Option<Arc<Gate>>,
}

/// The secrets that were opened up to now, as they are searched for.
#[derive(Debug)]
struct Gate {
    seeker: Seeker,
    /// Whether one of them can be written as a number.
    has_number: bool,
}

impl Redactor {
    /// # Errors
    /// The run has opened more than can be searched for in everything that it writes.
    pub fn add(&self, secret: &SecretString) -> Result<(), ComponentError> {
        let text = secret.expose_secret();
        let mut known = self.known();
        if text.chars().count() < MIN_SECRET_CHARS || known.opened.iter().any(|other| other.expose_secret() == text) {
            return Ok(());
        }
        if known.bytes + text.len() > MAX_OPENED_BYTES {
            let message = format!(
                "the secrets that this run opens have more than {} KiB together; split the recipe, or store shorter ones",
                MAX_OPENED_BYTES >> 10
            );
            return Err(ComponentError::new("secrets_too_large", message));
        }
        known.bytes += text.len();
        known.opened.push(secret.clone());
        known.gate = None;
        Ok(())
    }

    /// The text without secrets and NUL characters, which jsonb refuses.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.gate().text(text)
    }

    /// Cleans every string of a value, keys included; whether there was something to clean.
    pub fn value(&self, value: &mut Value) -> bool {
        self.gate().value(value)
    }

    #[must_use]
    pub fn cleaned(&self, mut value: Value) -> Value {
        self.value(&mut value);
        value
    }

    #[must_use]
    pub fn error(&self, mut error: ComponentError) -> ComponentError {
        error.message = self.text(&error.message);
        error
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asked for once a value, however many parts that has.
    fn gate(&self) -> Arc<Gate> {
        let mut known = self.known();
        let known = &mut *known;
        Arc::clone(known.gate.get_or_insert_with(|| Arc::new(Gate::of(&known.opened))))
    }
}

impl Gate {
    fn of(opened: &[SecretString]) -> Self {
        let secrets = || opened.iter().map(ExposeSecret::expose_secret);
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        Self { seeker: Seeker::of(secrets()), has_number: secrets().any(is_number) }
    }

    fn text(&self, text: &str) -> String {
        self.changed(text).unwrap_or_else(|| text.to_owned())
    }

    /// `None` if the text may stand as it is.
    fn changed(&self, text: &str) -> Option<String> {
        let without_nul = text.contains('\0').then(|| text.replace('\0', "\u{fffd}"));
        self.seeker.without(without_nul.as_deref().unwrap_or(text), REDACTED).or(without_nul)
    }

    /// `None` if they are no bytes, or hold no secret.
    fn changed_bytes(&self, items: &[Value]) -> Option<String> {
        if self.seeker.is_idle() { None } else { self.changed(&bytes_as_text(items)?) }
    }

    fn value(&self, value: &mut Value) -> bool {
        let clean = match value {
            Value::String(text) => self.changed(text),
            Value::Array(items) => match self.changed_bytes(items) {
                None => return items.iter_mut().fold(false, |changed, item| self.value(item) | changed),
                clean => clean,
            },
            Value::Object(map) => {
                let has_key = map.keys().any(|key| self.changed(key).is_some());
                if has_key {
                    *map = std::mem::take(map).into_iter().map(|(key, value)| (self.text(&key), value)).collect();
                }
                return map.values_mut().fold(has_key, |changed, value| self.value(value) | changed);
            }
            // A secret of digits alone may come back as a number.
            Value::Number(number) if self.has_number => self.changed(&number.to_string()),
            _ => None,
        };
        match clean {
            Some(clean) => {
                *value = Value::String(clean);
                true
            }
            None => false,
        }
    }
}

/// Bytes one by one, as some servers repeat a body, as programs print them.
fn bytes_as_text(items: &[Value]) -> Option<String> {
    let is_byte = |item: &Value| item.as_u64().is_some_and(|number| number <= 0xFF);
    if items.len() < MIN_SECRET_CHARS || !items.iter().all(is_byte) {
        return None;
    }
    Some(items.iter().fold(String::with_capacity(items.len() * 4), |text, item| text + &item.to_string() + " "))
}

/// Bytes of memory that a node's output holds.
///
/// # Errors
/// It is too large to be kept.
pub fn weight_of_output(value: &Value) -> Result<usize, ComponentError> {
    let (bytes, held) = (approximate_size(value), weight::of(value));
    let too_large = |message| Err(ComponentError::new("output_too_large", message));
    if held > weight::MOST {
        return too_large(format!(
            "the output has so many values that they hold {} MiB of memory, and {} may be held: pick fewer with a \
             Transform",
            held >> 20,
            weight::MOST >> 20
        ));
    }
    if bytes > MAX_OUTPUT_BYTES {
        return too_large(format!(
            "the output has about {} MiB and {} are kept: lower max_pages, or pick fields with a Transform",
            bytes >> 20,
            MAX_OUTPUT_BYTES >> 20
        ));
    }
    Ok(held)
}

/// Bytes as JSON text.
fn approximate_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + escapes(text) + 2,
        Value::Array(items) => items.iter().map(|item| approximate_size(item) + 1).sum::<usize>() + 2,
        Value::Object(map) => {
            map.iter().map(|(k, v)| k.len() + escapes(k) + 4 + approximate_size(v)).sum::<usize>() + 2
        }
        _ => 8,
    }
}

/// Bytes that a text has more as JSON.
fn escapes(text: &str) -> usize {
    let more = |byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.bytes().map(more).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_taken_out_of_every_corner() {
        let redactor = Redactor::default();
        redactor.add(&"sk-canary-123456".into()).unwrap();
        let mut value = json!({"a": ["x sk-canary-123456 y"], "sk-canary-123456": {"b": "sk-canary-123456"}});
        redactor.value(&mut value);
        assert!(!value.to_string().contains("canary"), "{value}");
        let error = redactor.error(ComponentError::new("x", "key sk-canary-123456 refused"));
        assert_eq!(error.message, "key [redacted] refused");
    }

    #[test]
    fn a_secret_of_digits_is_taken_out_of_numbers() {
        let redactor = Redactor::default();
        for secret in ["918273645546372", "2.14159265358979"] {
            redactor.add(&secret.into()).unwrap();
        }
        let cleaned =
            redactor.cleaned(json!([918_273_645_546_372_u64, -918_273_645_546_372_i64, 2.141_592_653_589_79, 7]));
        assert_eq!(cleaned, json!(["[redacted]", "-[redacted]", "[redacted]", 7]));
    }

    #[test]
    fn a_secret_is_taken_out_of_lists_of_bytes() {
        let redactor = Redactor::default();
        redactor.add(&"sk-live-0123456789".into()).unwrap();
        let bytes = |text: &str| json!({"type": "Buffer", "data": text.bytes().collect::<Vec<_>>()});
        assert_eq!(redactor.cleaned(bytes("key=sk-live-0123456789"))["data"], "107 101 121 61 [redacted] ");
        assert_eq!(redactor.cleaned(bytes("key=sk-live-0123456780")), bytes("key=sk-live-0123456780"));
    }

    #[test]
    fn it_is_told_whether_there_was_something_to_clean() {
        let redactor = Redactor::default();
        for secret in ["sk-canary-123456", "918273645546372"] {
            redactor.add(&secret.into()).unwrap();
        }
        let clean = json!({"a": ["b", 7, null], "c": {"d": "e"}});
        assert!(!redactor.value(&mut clean.clone()));
        for found in [json!("sk-canary-123456"), json!(918_273_645_546_372_u64), json!("a\u{0}b")] {
            assert!(redactor.value(&mut json!([clean, found, clean])), "{found}");
            assert!(redactor.value(&mut json!({"x": {"y": found}, "z": 1})), "{found}");
        }
        assert!(redactor.value(&mut json!([{"sk-canary-123456": 1}, 2])));
    }

    #[test]
    fn a_secret_that_is_opened_later_is_searched_for_from_then_on() {
        let redactor = Redactor::default();
        redactor.add(&"first-secret".into()).unwrap();
        assert_eq!(redactor.text("first-secret second-one"), "[redacted] second-one");
        redactor.add(&"second-one".into()).unwrap();
        assert_eq!(redactor.text("first-secret second-one"), "[redacted] [redacted]");
    }

    #[test]
    fn a_secret_that_contains_another_goes_whole() {
        for order in [["inside", "all around inside"], ["all around inside", "inside"]] {
            let redactor = Redactor::default();
            for secret in order {
                redactor.add(&secret.into()).unwrap();
            }
            assert_eq!(redactor.text("<all around inside>"), "<[redacted]>");
        }
    }

    #[test]
    fn secrets_that_cannot_be_searched_for_are_not_opened() {
        let redactor = Redactor::default();
        for nth in 0..16 {
            redactor.add(&format!("{nth:02}{}", "x".repeat(16_382)).into()).unwrap();
        }
        let error = redactor.add(&"one-more".into()).unwrap_err();
        assert_eq!(error.code, "secrets_too_large");
        redactor.add(&format!("00{}", "x".repeat(16_382)).into()).unwrap();
    }

    #[test]
    fn a_short_secret_does_not_blank_out_ordinary_text() {
        let redactor = Redactor::default();
        redactor.add(&"a".into()).unwrap();
        assert_eq!(redactor.text("banana"), "banana");
    }

    #[test]
    fn nul_characters_are_replaced_and_other_text_is_kept() {
        let output = Redactor::default().cleaned(json!({"t": "a\u{0}b", "u": "Ünï {{ 7*7 }}"}));
        assert_eq!(output, json!({"t": "a\u{fffd}b", "u": "Ünï {{ 7*7 }}"}));
    }

    #[test]
    fn an_output_over_the_bound_is_refused_with_a_remedy() {
        let error = weight_of_output(&json!("x".repeat(MAX_OUTPUT_BYTES + 1))).unwrap_err();
        assert_eq!(error.code, "output_too_large");
        let escaped = weight_of_output(&json!("\u{1}".repeat(MAX_OUTPUT_BYTES / 4))).unwrap_err();
        assert_eq!(escaped.code, "output_too_large", "six bytes each");
        let many = weight_of_output(&json!(vec![json!({}); 2_000_000])).unwrap_err();
        assert_eq!(many.code, "output_too_large", "it holds more than it says");
        assert!(error.message.contains("max_pages"));
    }
}
