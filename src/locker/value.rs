//! Names and values of secrets, parsed at the edge.

use secrecy::{ExposeSecret, SecretString};

const MAX_VALUE_BYTES: usize = 16_384;
/// Of a shorter value the last characters would tell too much.
const MIN_CHARS_FOR_LAST4: usize = 12;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl From<Invalid> for String {
    fn from(invalid: Invalid) -> Self {
        invalid.0
    }
}

/// The name of a secret: `openai_api_key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(String);

impl KeyName {
    /// # Errors
    /// Not 1 to 100 of `a-z 0-9 _ . -`, beginning with a letter or digit.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = (1..=100).contains(&text.len())
            && text.starts_with(plain)
            && text.chars().all(|c| plain(c) || "_.-".contains(c));
        if !fits {
            return Err(Invalid(
                "must have 1 to 100 of the characters a-z, 0-9, _, . and -, and begin with a letter or digit".into(),
            ));
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A value to be kept: 1 to 16,384 bytes of text. Never printed.
#[derive(Debug, Clone)]
pub struct SecretValue(SecretString);

impl SecretValue {
    /// # Errors
    /// Empty or too long.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text.len() {
            0 => Err(Invalid("must not be empty".into())),
            1..=MAX_VALUE_BYTES => Ok(Self(SecretString::from(text))),
            _ => Err(Invalid(format!("must have at most {MAX_VALUE_BYTES} bytes"))),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }

    /// The end of the value, for telling secrets apart; empty for a short one.
    pub(super) fn last4(&self) -> String {
        let chars: Vec<char> = self.0.expose_secret().chars().collect();
        if chars.len() < MIN_CHARS_FOR_LAST4 {
            return String::new();
        }
        // A control character is no help to a reader and PostgreSQL refuses NUL.
        chars[chars.len() - 4..].iter().filter(|c| !c.is_control()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_bounded() {
        for name in ["a", "openai_api_key", "0.x-y", &"a".repeat(100)] {
            assert!(KeyName::parse(name).is_ok(), "{name}");
        }
        for name in ["", "_a", "A", "a b", "ä", "a/b", &"a".repeat(101)] {
            assert!(KeyName::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn values_are_bounded_in_bytes_and_never_printed() {
        assert!(SecretValue::parse("").is_err());
        assert!(SecretValue::parse(&"x".repeat(16_384)).is_ok());
        assert!(SecretValue::parse(&"ä".repeat(8_193)).is_err());
        assert!(!format!("{:?}", SecretValue::parse("hunter2hunter2").unwrap()).contains("hunter2"));
    }

    #[test]
    fn only_a_long_value_shows_its_end() {
        assert_eq!(SecretValue::parse("12345678901").unwrap().last4(), "");
        assert_eq!(SecretValue::parse("123456789012").unwrap().last4(), "9012");
        assert_eq!(SecretValue::parse("12345678901\u{0}").unwrap().last4(), "901");
    }
}
