//! What a document says, as a tree with the place of every value.

use serde_json::{Map, Number, Value};

use crate::catalog::problem::{Mark, Path, Step};

#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    pub mark: Mark,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Null,
    Bool(bool),
    /// The number, and how it was written: `0.50` is money, `1.10` may be a version.
    Number(Number, String),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(Key, Tree)>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub name: String,
    pub mark: Mark,
}

impl Tree {
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    /// What it is, for a message.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(value) => format!("the boolean {value}"),
            Kind::Number(_, raw) => format!("the number {raw}"),
            Kind::Text(text) if text.chars().count() <= 40 => format!("the text `{text}`"),
            Kind::Text(_) => "a text".to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        }
    }

    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(number, _) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => Value::Object(
                entries.iter().map(|(key, value)| (key.name.clone(), value.to_json())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// The value at the step.
    #[must_use]
    pub fn child(&self, step: Step<'_>) -> Option<&Self> {
        match (&self.kind, step) {
            (Kind::Map(entries), Step::Key(key)) => {
                entries.iter().find(|(name, _)| name.name == key).map(|(_, value)| value)
            }
            (Kind::List(items), Step::Index(index)) => items.get(index),
            _ => None,
        }
    }

    /// The value at the path.
    #[must_use]
    pub fn get(&self, path: &Path<'_>) -> Option<&Self> {
        path.0.iter().try_fold(self, |tree, step| tree.child(*step))
    }

    /// The place of the value at the path, or of the nearest one around it.
    #[must_use]
    pub fn mark_of(&self, path: &Path<'_>) -> Mark {
        let mut tree = self;
        for step in &path.0 {
            let Some(child) = tree.child(*step) else { break };
            tree = child;
        }
        tree.mark
    }
}
