//! Outputs of finished nodes, as a run keeps them: once, and the small ones of a `for_each` as
//! text, which is a hundredth of what they hold as values.

use std::{io, sync::Arc};

use minijinja::{
    Value,
    value::{Enumerator, Object, ObjectRepr, Serde},
};
use serde_json::Value as Json;

use crate::base::weight;

/// Bytes of a text that is parsed whenever it is looked at.
const SMALL: usize = 2048;

/// An output; cheap to clone.
#[derive(Debug, Clone)]
pub struct Kept(Form);

#[derive(Debug, Clone)]
enum Form {
    Text(Arc<str>),
    Whole(Value),
}

impl Kept {
    #[must_use]
    pub fn of(output: &Json) -> Self {
        Self(Form::Whole(Value::from(Serde(output))))
    }

    /// For one of many; `text` is the output as JSON.
    #[must_use]
    pub fn item(text: &str, output: &Json) -> Self {
        if text.len() <= SMALL { Self(Form::Text(text.into())) } else { Self::of(output) }
    }

    #[must_use]
    pub fn list(items: Vec<Self>) -> Self {
        Self(Form::Whole(Value::from_object(List(items))))
    }

    /// Bytes that [`Kept::item`] holds of an output of so many as a value.
    #[must_use]
    pub fn item_weight(text: &str, bytes: usize) -> usize {
        size_of::<Self>() + if text.len() <= SMALL { text.len() + 2 * size_of::<usize>() } else { bytes }
    }

    /// The output as JSON; `None` if that would hold more than `most` bytes of memory.
    #[must_use]
    pub fn json(&self, most: usize) -> Option<Json> {
        let value = self.value();
        weight::of_any(&value, most, io::sink()).ok().flatten()?;
        serde_json::to_value(&value).ok()
    }

    pub(super) fn value(&self) -> Value {
        match &self.0 {
            Form::Text(text) => {
                serde_json::from_str::<Json>(text).map(|output| Value::from(Serde(output))).unwrap_or_default()
            }
            Form::Whole(value) => value.clone(),
        }
    }
}

/// Behaves as the list of the values does.
#[derive(Debug)]
struct List(Vec<Kept>);

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).map(Kept::value)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_texts_is_the_list_of_their_values() {
        let outputs = json!([{"a": 1, "b": ["x", null]}, "text", {"long": "x".repeat(5000)}, 1.5]);
        let items = outputs.as_array().unwrap().iter().map(|output| Kept::item(&output.to_string(), output));
        let items: Vec<_> = items.collect();
        assert_eq!(items.iter().filter(|item| matches!(item.0, Form::Text(_))).count(), 3);
        let kept = Kept::list(items);
        assert_eq!(kept.json(usize::MAX), Some(outputs.clone()));
        assert_eq!(kept.json(1000), None);
        let mut scope = super::super::Scope::new(&serde_json::Map::new(), json!({}));
        scope.finish_kept("list", &kept);
        let engine = &super::super::engine::ENGINE;
        for (expression, value) in [
            ("list[0].b[0]", "x"),
            ("list.output[2].long | length", "5000"),
            ("list | length", "4"),
            ("list[1:] | first", "text"),
            ("(list | last) + 1", "2.5"),
        ] {
            let found = engine.compile_expression(expression).unwrap().eval(scope.root()).unwrap();
            assert_eq!(found.to_string(), value, "{expression}");
        }
    }
}
