//! Readers of single values.

use serde_json::{Map, Value};

use super::{Kind, Read, Reader, Tree};

impl Read for bool {
    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        match tree.kind {
            Kind::Bool(value) => value,
            _ => at.refuse(tree, format!("expected true or false, found {}", tree.describe())),
        }
    }
}

impl Read for u32 {
    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        let number = whole(tree).and_then(|n| Self::try_from(n).ok());
        number.unwrap_or_else(|| {
            at.refuse(tree, format!("expected a whole number from 0 to {}, found {}", Self::MAX, tree.describe()))
        })
    }
}

impl Read for u64 {
    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        // Stored as JSON and counted in BIGINT: 2^53 is plenty and exact in both.
        const MAX: u64 = 1 << 53;
        let number = whole(tree).filter(|n| *n <= MAX);
        number.unwrap_or_else(|| {
            at.refuse(tree, format!("expected a whole number from 0 to {MAX}, found {}", tree.describe()))
        })
    }
}

fn whole(tree: &Tree) -> Option<u64> {
    match &tree.kind {
        Kind::Number(number, _) => number.as_u64(),
        _ => None,
    }
}

/// Free text of at most 5,000 characters. The places that need less say so themselves.
impl Read for String {
    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        text(tree, at, 5_000).unwrap_or_default().to_owned()
    }
}

/// The text, unless it is something else or too long.
pub fn text<'t>(tree: &'t Tree, at: &mut Reader<'t>, max_chars: usize) -> Option<&'t str> {
    match &tree.kind {
        Kind::Text(text) if text.chars().count() <= max_chars => Some(text),
        Kind::Text(text) => {
            at.refuse(tree, format!("{} characters; at most {max_chars} are accepted", text.chars().count()))
        }
        Kind::Number(_, raw) => {
            at.refuse(tree, format!("expected a text, found the number {raw}; put it in quotes: \"{raw}\""))
        }
        _ => at.refuse(tree, format!("expected a text, found {}", tree.describe())),
    }
}

/// Free JSON, as a component's config is.
impl Read for Map<String, Value> {
    const REQUIRED: bool = false;

    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        match tree.to_json() {
            Value::Object(map) => map,
            Value::Null => Self::new(),
            _ => at.refuse(tree, format!("expected a mapping, found {}", tree.describe())),
        }
    }
}

impl Read for Value {
    const REQUIRED: bool = false;

    fn read<'t>(tree: &'t Tree, _: &mut Reader<'t>) -> Self {
        tree.to_json()
    }
}
