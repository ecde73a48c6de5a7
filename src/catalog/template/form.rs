//! Whether a string of a config has a template in it, and which.

use super::syntax;

/// What a string of a config is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form<'a> {
    /// Nothing to render.
    Literal,
    /// Exactly one `{{ expression }}`: the value keeps its type.
    Expression(&'a str),
    Text,
}

impl<'a> Form<'a> {
    pub fn of(text: &'a str) -> Self {
        if !["{{", "{%", "{#"].iter().any(|opening| text.contains(opening)) {
            return Self::Literal;
        }
        // The line break that ends a YAML block is none of the author's.
        let inner = text.trim_end_matches('\n').strip_prefix("{{").and_then(|text| text.strip_suffix("}}"));
        let Some(inner) = inner else { return Self::Text };
        let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
        let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
        // `{{ a }} and {{ b }}` is not one expression, and does not parse as one.
        if syntax::parse(inner, true).is_ok() { Self::Expression(inner) } else { Self::Text }
    }
}
