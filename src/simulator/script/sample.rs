//! A JSON value that follows a schema, as far as schemas in recipes go.
//!
//! Understood: type, properties, required, items, minItems, maxItems, enum,
//! const, default, examples, minimum and maximum (exclusive too), minLength,
//! maxLength, the formats date, date-time, email, uri and uuid, anyOf, oneOf,
//! allOf and local `$ref`. Not understood: pattern, multipleOf, conditions.

use std::cell::Cell;

use serde_json::{Map, Value, json};

use super::{
    hash::hash,
    text::{clip, opening},
};
use crate::base::weight;

/// Deeper than this only what is required is given, so that a schema that holds
/// itself ends; at twice the depth nothing is.
const DEPTH: usize = 8;
const MAX_ITEMS: u64 = 50;
/// Values of one answer, and characters of all its texts: lists in lists multiply.
const MAX_VALUES: usize = 5_000;
const MAX_CHARS: usize = 200_000;

/// The value depends on the schema, the seed and the prompt alone.
pub fn of(schema: &Value, seed: u64, prompt: &str) -> Value {
    let topic = clip(&opening(prompt).unwrap_or_else(|| "the request".to_owned()), 60);
    let link = prompt.split(|c: char| c.is_whitespace() || "()<>\"',`".contains(c)).find(|word| is_link(word));
    let link = link.map(|word| word.trim_end_matches(['.', ';', ':']).to_owned());
    let (values, chars) = (Cell::new(MAX_VALUES), Cell::new(MAX_CHARS));
    let sampler = Sampler { root: schema, seed, topic, link, values, chars };
    sampler.value(schema, "answer", 0)
}

struct Sampler<'a> {
    root: &'a Value,
    seed: u64,
    topic: String,
    /// The first address in the prompt.
    link: Option<String>,
    /// What is left of them.
    values: Cell<usize>,
    chars: Cell<usize>,
}

fn is_link(word: &str) -> bool {
    word.starts_with("https://") || word.starts_with("http://")
}

impl Sampler<'_> {
    /// `path` names the value within the answer; it makes equal schemas differ.
    fn value(&self, schema: &Value, path: &str, depth: usize) -> Value {
        if depth > 2 * DEPTH || self.values.get() == 0 {
            return Value::Null;
        }
        self.values.update(|left| left - 1);
        if let Some(given) = self.given(schema, path) {
            let left = self.chars.get().checked_sub(weight::of(&given));
            self.chars.set(left.unwrap_or(0));
            return if left.is_some() { given } else { Value::Null };
        }
        if let Some(target) = schema["$ref"].as_str().and_then(|at| self.root.pointer(at.strip_prefix('#')?)) {
            return self.value(target, path, depth + 1);
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return self.value(&merged(schema, parts), path, depth + 1);
        }
        if let Some(choices) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
            let choice = choices.iter().find(|choice| choice["type"] != "null").or_else(|| choices.first());
            return choice.map_or(Value::Null, |choice| self.value(choice, path, depth + 1));
        }
        match kind(schema) {
            "object" => self.object(schema, path, depth),
            "array" => self.array(schema, path, depth),
            "integer" | "number" => self.number(schema, path),
            "boolean" => Value::Bool(true),
            "null" => Value::Null,
            _ => self.string(schema, path).into(),
        }
    }

    /// A value that the schema itself names.
    fn given(&self, schema: &Value, path: &str) -> Option<Value> {
        if let Some(value) = schema.get("const").or_else(|| schema["examples"].get(0)).or_else(|| schema.get("default"))
        {
            return Some(value.clone());
        }
        let values = schema["enum"].as_array().filter(|values| !values.is_empty())?;
        let index = self.roll(path) % values.len() as u64;
        values.get(usize::try_from(index).unwrap_or(0)).cloned()
    }

    fn object(&self, schema: &Value, path: &str, depth: usize) -> Value {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut out = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if depth < DEPTH || required.contains(&name.as_str()) {
                out.insert(name.clone(), self.value(property, &format!("{path}.{name}"), depth + 1));
            }
        }
        for name in required {
            if !out.contains_key(name) {
                out.insert(name.to_owned(), self.string(&Value::Null, &format!("{path}.{name}")).into());
            }
        }
        Value::Object(out)
    }

    fn array(&self, schema: &Value, path: &str, depth: usize) -> Value {
        let most = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let wanted = if depth < DEPTH { 2 } else { 0 };
        let count = wanted.max(least).min(most).min(MAX_ITEMS);
        (1..=count)
            .take_while(|_| self.values.get() > 0)
            .map(|n| self.value(&schema["items"], &format!("{path} {n}"), depth + 1))
            .collect()
    }

    /// Strictly between the bounds, where they leave room.
    fn number(&self, schema: &Value, path: &str) -> Value {
        let bound = |keys: [&str; 2]| keys.iter().find_map(|key| schema[*key].as_f64());
        let low = bound(["minimum", "exclusiveMinimum"]);
        let high = bound(["maximum", "exclusiveMaximum"]);
        let low_or = low.unwrap_or_else(|| high.map_or(0.0, |high| high.min(0.0)));
        let high_or = high.unwrap_or(low_or + 100.0).max(low_or);
        #[expect(clippy::cast_precision_loss, reason = "a roll below 1000 is exact")]
        let share = 0.1 + 0.8 * ((self.roll(path) % 1000) as f64 / 1000.0);
        let value = low_or + share * (high_or - low_or);
        if kind(schema) == "integer" {
            let least = if schema["exclusiveMinimum"].is_number() { low_or.floor() + 1.0 } else { low_or.ceil() };
            #[expect(clippy::cast_possible_truncation, reason = "casts of floats saturate, and bounds are small")]
            return json!(value.round().max(least) as i64);
        }
        if high_or - low_or > 0.1 { json!((value * 100.0).round() / 100.0) } else { json!(value) }
    }

    fn string(&self, schema: &Value, path: &str) -> String {
        let n = self.roll(path) % 1000;
        match schema["format"].as_str() {
            Some("date") => return "2026-01-15".to_owned(),
            Some("date-time") => return "2026-01-15T09:00:00Z".to_owned(),
            Some("email") => return format!("person{n}@example.com"),
            Some("uri" | "url") => return self.link.clone().unwrap_or_else(|| format!("https://example.com/{n}")),
            Some("uuid") => return format!("00000000-0000-4000-8000-{n:012}"),
            _ => {}
        }
        let name = path.rsplit('.').next().unwrap_or(path).replace('_', " ");
        let mut text = format!("{name}: {}", self.topic);
        let least = usize::try_from(schema["minLength"].as_u64().unwrap_or(0).min(10_000)).unwrap_or(0);
        let missing = least.saturating_sub(text.chars().count()).min(self.chars.get());
        text.push_str(&" and more".repeat(missing.div_ceil(" and more".len())));
        self.chars.set(self.chars.get().saturating_sub(text.len()));
        let most = usize::try_from(schema["maxLength"].as_u64().unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        text.chars().take(most).collect()
    }

    fn roll(&self, path: &str) -> u64 {
        hash(&[&self.seed.to_string(), path])
    }
}

/// The schema's type; the first that is not null where there are several.
fn kind(schema: &Value) -> &str {
    let named = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        one => one.as_str(),
    };
    let implied = if schema["properties"].is_object() || schema["required"].is_array() {
        "object"
    } else if schema["items"].is_object() {
        "array"
    } else {
        "string"
    };
    named.unwrap_or(implied)
}

/// One schema with the keywords of all, properties and required ones together.
fn merged(schema: &Value, parts: &[Value]) -> Value {
    let mut out = schema.as_object().cloned().unwrap_or_default();
    out.remove("allOf");
    for (key, value) in parts.iter().filter_map(Value::as_object).flatten() {
        match (out.get_mut(key), value) {
            (Some(Value::Object(mine)), Value::Object(theirs)) => mine.extend(theirs.clone()),
            (Some(Value::Array(mine)), Value::Array(theirs)) => mine.extend(theirs.iter().cloned()),
            _ => drop(out.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(schema: &Value, seed: u64) -> Value {
        let value = of(schema, seed, "Score this lead. It is warm.");
        let valid = jsonschema::validator_for(schema).expect("a schema").is_valid(&value);
        assert!(valid, "{value} does not follow {schema}");
        value
    }

    #[test]
    fn a_lead_score_follows_its_schema() {
        let schema = json!({
            "type": "object",
            "required": ["score", "tier", "reasons", "quality_score", "contact", "extra"],
            "properties": {
                "score": {"type": "integer", "minimum": 1, "maximum": 10},
                "tier": {"enum": ["hot", "warm", "cold"]},
                "quality_score": {"type": "number", "minimum": 0, "maximum": 1},
                "reasons": {"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": true},
                "contact": {"type": ["object", "null"], "properties": {"qualified": {"type": "boolean"}}},
                "note": {"type": "string", "maxLength": 12}
            }
        });
        let value = holds(&schema, 1);
        assert_eq!(value["reasons"][0], "reasons 1: Score this lead.");
        assert_eq!(value, holds(&schema, 1), "the same question, the same answer");
        assert_ne!(value, holds(&schema, 2), "another question, another answer");
    }

    #[test]
    fn references_and_combinations_are_followed() {
        holds(&json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer", "exclusiveMinimum": 5}}}), 3);
        holds(
            &json!({"allOf": [{"required": ["a"]}, {"properties": {"a": {"type": "number"}}}], "required": ["b"]}),
            3,
        );
        holds(&json!({"anyOf": [{"type": "null"}, {"type": "string", "minLength": 200}]}), 3);
        holds(&json!({"type": "array", "maxItems": 1, "items": {"const": 7}}), 3);
        holds(&json!({}), 3);
    }

    #[test]
    fn a_schema_that_holds_itself_ends() {
        let tree = json!({"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}}});
        holds(&tree, 4);
        of(&json!({"$ref": "#"}), 4, "");
    }

    #[test]
    fn lists_in_lists_end() {
        let long = json!({"type": "string", "minLength": 10_000});
        let nested = (0..15).fold(long, |items, _| json!({"type": "array", "minItems": 50, "items": items}));
        let start = std::time::Instant::now();
        let value = of(&nested, 4, "");
        assert!(value.to_string().len() < 3_000_000, "{}", value.to_string().len());
        assert!(start.elapsed().as_secs() < 2);
    }

    proptest! {
        #[test]
        fn numbers_stay_within_their_bounds(low in -1000_i64..1000, width in 0_i64..1000, seed: u64) {
            let high = low + width;
            for kind in ["integer", "number"] {
                holds(&json!({"type": kind, "minimum": low, "maximum": high}), seed);
            }
            holds(&json!({"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": high + 1}), seed);
            holds(&json!({"type": "number", "minimum": 0, "maximum": 0.05}), seed);
        }
    }
}
