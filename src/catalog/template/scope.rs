//! The names that a template can use: inputs, facts of the run, and finished nodes.

use std::{collections::BTreeMap, fmt, sync::Arc};

use minijinja::{
    Value,
    value::{Enumerator, Object, ObjectRepr, Serde, ValueKind},
};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::Kept;

/// The context of one run. A clone shares every value with its original, so each
/// of several nodes in work at once can have its own.
#[derive(Debug, Clone)]
pub struct Scope(Arc<Names>);

#[derive(Debug, Clone, Default)]
struct Names(BTreeMap<String, Value>);

impl Scope {
    /// `runtime` is the map of what templates see as `runtime.*`.
    #[must_use]
    pub fn new(inputs: &Map<String, Json>, runtime: impl Serialize) -> Self {
        let mut names = Names::default();
        names.0.insert("inputs".to_owned(), Value::from(Serde(inputs)));
        names.0.insert("runtime".to_owned(), Value::from(Serde(runtime)));
        Self(Arc::new(names))
    }

    /// Makes a node's output known as `NODE.field` and as `NODE.output.field`.
    pub fn finish(&mut self, node: &str, output: &Json) {
        self.finish_kept(node, &Kept::of(output));
    }

    /// As [`Scope::finish`], sharing what is kept.
    pub fn finish_kept(&mut self, node: &str, output: &Kept) {
        self.set(node, Value::from_object(Finished::new(output.value())));
    }

    /// Makes known that a node has no output: its fields are undefined, so that
    /// `NODE.field | default(..)` works and everything else says what is missing.
    pub fn skip(&mut self, node: &str) {
        self.set(node, Value::from_object(Skipped));
    }

    /// The scope of one entry of a `for_each`.
    #[must_use]
    pub fn with_item(&self, item: &Json, index: usize) -> Self {
        let mut scope = self.clone();
        scope.set("item", Value::from(Serde(item)));
        scope.set("index", Value::from(index));
        scope
    }

    fn set(&mut self, name: &str, value: Value) {
        Arc::make_mut(&mut self.0).0.insert(name.to_owned(), value);
    }

    pub(super) fn root(&self) -> Value {
        Value::from_dyn_object(self.0.clone())
    }

    /// The data behind a value that only stands for a node.
    pub(super) fn plain(value: Value) -> Value {
        match value.downcast_object_ref::<Finished>() {
            Some(finished) => finished.shown.clone(),
            None => value,
        }
    }
}

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.get(key).cloned()
    }
}

/// A node's output, under both of its names. It behaves as the output does, and
/// knows one key more. No list is copied for it.
#[derive(Debug)]
struct Finished {
    shown: Value,
    output: Value,
    /// Where a key is looked for that `shown` does not have.
    around: Option<Value>,
}

impl Finished {
    fn new(output: Value) -> Self {
        // An output with a field `output` of its own (a report) answers to both:
        // NODE.output is the field, and NODE.output.filename is still found.
        let under_output = match field(&output, &Value::from("output")) {
            Some(inner) => {
                Value::from_object(Self { output: inner.clone(), shown: inner, around: Some(output.clone()) })
            }
            None => output.clone(),
        };
        Self { shown: output, output: under_output, around: None }
    }
}

fn field(value: &Value, key: &Value) -> Option<Value> {
    value.get_item(key).ok().filter(|found| !found.is_undefined())
}

impl Object for Finished {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.shown.kind() {
            ValueKind::Map => ObjectRepr::Map,
            ValueKind::Seq => ObjectRepr::Seq,
            _ => ObjectRepr::Plain,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if key.as_str() == Some("output") {
            return Some(self.output.clone());
        }
        field(&self.shown, key).or_else(|| field(self.around.as_ref()?, key))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.shown.kind() {
            ValueKind::Map => Enumerator::Values(self.shown.try_iter().into_iter().flatten().collect()),
            ValueKind::Seq => Enumerator::Seq(self.shown.len().unwrap_or(0)),
            _ => Enumerator::NonEnumerable,
        }
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.shown.is_true()
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.shown, f)
    }
}

#[derive(Debug)]
struct Skipped;

impl Object for Skipped {
    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("")
    }
}

#[cfg(test)]
mod tests;
