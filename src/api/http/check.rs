//! Parses the fields of a body into domain types, and reports all that fail at once.

use poem_openapi::types::MaybeUndefined;

use super::problem::{FieldError, Problem, Result};

/// Collects what is wrong with a body.
#[derive(Debug, Default)]
pub struct Check(Vec<FieldError>);

impl Check {
    /// The parsed value, or a note of why it is none.
    pub fn field<T, E: std::fmt::Display>(&mut self, path: &str, parsed: std::result::Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.0.push(FieldError::new(path, error.to_string()))).ok()
    }

    /// For a parser that names the place itself.
    pub fn noted<T>(&mut self, parsed: std::result::Result<T, FieldError>) -> Option<T> {
        parsed.map_err(|error| self.0.push(error)).ok()
    }

    /// For a field that may be left out.
    pub fn optional<T, E: std::fmt::Display>(
        &mut self,
        path: &str,
        value: Option<&String>,
        parse: impl FnOnce(&str) -> std::result::Result<T, E>,
    ) -> Option<T> {
        value.and_then(|text| self.field(path, parse(text)))
    }

    /// For a field of a PATCH that null clears: `None` leaves it, `Some(None)` clears it.
    pub fn change<T, E: std::fmt::Display>(
        &mut self,
        path: &str,
        value: &MaybeUndefined<String>,
        parse: impl FnOnce(&str) -> std::result::Result<T, E>,
    ) -> Option<Option<T>> {
        match value {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(None),
            MaybeUndefined::Value(text) => Some(self.field(path, parse(text))),
        }
    }

    /// As `change`, for a number.
    pub fn number<N: Copy + poem_openapi::types::Type, T, E: std::fmt::Display>(
        &mut self,
        path: &str,
        value: &MaybeUndefined<N>,
        parse: impl FnOnce(N) -> std::result::Result<T, E>,
    ) -> Option<Option<T>> {
        match value {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(None),
            MaybeUndefined::Value(number) => Some(self.field(path, parse(*number))),
        }
    }

    /// # Errors
    /// 422 with everything that was noted.
    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::validation(self.0)) }
    }
}

/// What [`Check::field`] parsed, once [`Check::finish`] has passed.
///
/// # Errors
/// A field was read before the check was finished: a mistake of ours.
pub fn checked<T>(value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Problem::internal(&"a field was used before its check was finished"))
}
