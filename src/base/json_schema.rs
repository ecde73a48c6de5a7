//! JSON Schemas that somebody else wrote. Such a schema is a program: references multiply
//! it, a pattern may be huge, and a small one may take a large answer for ever. So it is
//! measured as it will be expanded before it is compiled, and an answer before it is checked.

mod pattern;

use std::collections::HashMap;

use jsonschema::{PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;

/// Values of a schema, each counted as often as references lead to it.
const MAX_EXPANDED: u64 = 10_000;
/// Levels on the longest way through it, references followed.
const MAX_DEPTH: usize = 100;
/// Expanded as well; each is a program of its own.
const MAX_PATTERNS: u64 = 100;
/// `unevaluatedProperties` and `unevaluatedItems`: each one below another doubles the work.
const MAX_UNEVALUATED: u64 = 4;
/// Bytes of one compiled pattern, and of its cache.
const MAX_PATTERN_BYTES: usize = 64 * 1024;
/// Size of a schema times size of an answer; for `uniqueItems`, items times the size of an answer.
const MAX_WORK: u64 = 50_000_000;
/// Patterns times bytes of text: a pattern may take steps for each byte as it has states.
const MAX_MATCHED: u64 = 1024 * 1024;

/// A compiled schema, and what it weighs.
#[derive(Debug)]
pub struct BoundedSchema {
    validator: Validator,
    weight: Weight,
}

impl BoundedSchema {
    /// # Errors
    /// What is wrong with it, and the remedy, to be put after the name of its key.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        let weight = measure(schema)?;
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
        // An answer's text is not compiled: it could be as huge as a pattern of the schema may not.
        let options = jsonschema::options().with_pattern_options(patterns).with_format("regex", |_: &str| true);
        let compiled = options.build(schema);
        let validator = compiled.map_err(|error| refusal(&error))?;
        Ok(Self { validator, weight })
    }

    /// The first `most` problems of an answer; none when it fits.
    ///
    /// # Errors
    /// The answer is too large to be checked against this schema.
    pub fn problems<'a>(&self, answer: &'a Value, most: usize) -> Result<Vec<ValidationError<'a>>, String> {
        let (size, text) = (size(answer), text_bytes(answer));
        // Lists are compared as wholes where their hashes meet, and many can be made to.
        let compared = self.weight.unique.saturating_mul(most_items(answer)).saturating_mul(size);
        let work = self.weight.values.saturating_mul(size).max(compared);
        if work > MAX_WORK || self.weight.patterns.saturating_mul(text) > MAX_MATCHED {
            return Err("is too large to be checked against its schema; make the answer or the schema smaller".into());
        }
        if self.validator.is_valid(answer) {
            return Ok(Vec::new());
        }
        Ok(self.validator.iter_errors(answer).take(most).map(ValidationError::to_owned).collect())
    }
}

fn refusal(error: &ValidationError<'_>) -> String {
    match (error.kind(), error.instance().as_str()) {
        (ValidationErrorKind::Format { format }, Some(text)) if format == "regex" => {
            pattern::refusal(text, MAX_PATTERN_BYTES)
        }
        _ => format!("is not a usable JSON Schema: {error}"),
    }
}

/// Values, and bytes of text in eights.
fn size(value: &Value) -> u64 {
    let text = |text: &str| 1 + text.len() as u64 / 8;
    match value {
        Value::String(string) => text(string),
        Value::Array(items) => 1 + items.iter().map(size).sum::<u64>(),
        Value::Object(fields) => 1 + fields.iter().map(|(key, value)| text(key) + size(value)).sum::<u64>(),
        _ => 1,
    }
}

/// Of all texts, keys too.
fn text_bytes(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(items) => items.iter().map(text_bytes).sum(),
        Value::Object(fields) => fields.iter().map(|(key, value)| key.len() as u64 + text_bytes(value)).sum(),
        _ => 0,
    }
}

/// Lists and mappings in the list that has most of them.
fn most_items(value: &Value) -> u64 {
    let below = |values: &mut dyn Iterator<Item = &Value>| values.map(most_items).max().unwrap_or(0);
    match value {
        Value::Array(items) => {
            let own = items.iter().filter(|item| item.is_array() || item.is_object()).count() as u64;
            own.max(below(&mut items.iter()))
        }
        Value::Object(fields) => below(&mut fields.values()),
        _ => 0,
    }
}

/// What a part of a schema comes to when its references are followed.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    values: u64,
    patterns: u64,
    unevaluated: u64,
    unique: u64,
    depth: usize,
}

impl Weight {
    fn add(&mut self, other: Self) {
        self.values = self.values.saturating_add(other.values);
        self.patterns = self.patterns.saturating_add(other.patterns);
        self.unevaluated = self.unevaluated.saturating_add(other.unevaluated);
        self.unique = self.unique.saturating_add(other.unique);
        self.depth = self.depth.max(other.depth + 1);
    }
}

fn measure(schema: &Value) -> Result<Weight, String> {
    let mut walk = Walk { root: schema, known: HashMap::new() };
    let weight = walk.weigh(schema, 0)?;
    if weight.values > MAX_EXPANDED {
        return Err(format!("has more than {MAX_EXPANDED} values once its references are followed; use fewer `$ref`"));
    }
    if weight.patterns > MAX_PATTERNS {
        return Err(format!("has more than {MAX_PATTERNS} patterns once its references are followed; use fewer"));
    }
    if weight.unevaluated > MAX_UNEVALUATED {
        let message = "`unevaluatedProperties` and `unevaluatedItems`; write `additionalProperties` or `items`";
        return Err(format!("has more than {MAX_UNEVALUATED} {message}"));
    }
    Ok(weight)
}

/// Each value is weighed once, so that measuring never takes longer than the text is long.
struct Walk<'a> {
    root: &'a Value,
    /// By address; `None` while it is being weighed.
    known: HashMap<*const Value, Option<Weight>>,
}

impl<'a> Walk<'a> {
    fn weigh(&mut self, value: &'a Value, above: usize) -> Result<Weight, String> {
        let deep = || format!("is more than {MAX_DEPTH} levels deep once its references are followed; make it flatter");
        if above > MAX_DEPTH {
            return Err(deep());
        }
        match self.known.get(&std::ptr::from_ref(value)) {
            Some(Some(weight)) if above + weight.depth > MAX_DEPTH => return Err(deep()),
            Some(Some(weight)) => return Ok(*weight),
            Some(None) => return Err("refers to itself; write the levels that are needed one by one".into()),
            None => self.known.insert(value, None),
        };
        let mut weight = Weight { values: size(value).min(1 + MAX_EXPANDED), ..Weight::default() };
        if value.is_array() || value.is_object() {
            weight.values = 1;
        }
        for item in value.as_array().into_iter().flatten() {
            weight.add(self.weigh(item, above + 1)?);
        }
        for (key, item) in value.as_object().into_iter().flatten() {
            weight.add(self.keyword(value, key, item, above + 1)?);
        }
        self.known.insert(value, Some(weight));
        Ok(weight)
    }

    fn keyword(&mut self, within: &Value, key: &str, item: &'a Value, above: usize) -> Result<Weight, String> {
        let outermost = std::ptr::eq(within, self.root);
        let mut weight = self.weigh(item, above)?;
        match (key, item) {
            ("$ref", Value::String(to)) => weight.add(self.follow(to, above)?),
            ("$dynamicRef" | "$recursiveRef" | "$dynamicAnchor" | "$anchor", Value::String(_))
            | ("$recursiveAnchor", Value::Bool(_)) => {
                return Err(format!("uses `{key}`; write `$ref: \"#/$defs/NAME\"`"));
            }
            ("$id" | "$schema", Value::String(_)) if !outermost => {
                return Err(format!("has `{key}` inside; only the outermost mapping may have one"));
            }
            ("$schema", Value::String(draft)) if !known_draft(draft) => {
                return Err("has a `$schema` other than JSON Schema draft 6, 7, 2019-09 or 2020-12".into());
            }
            ("pattern", Value::String(_)) => weight.patterns += 1,
            ("patternProperties", Value::Object(patterns)) => weight.patterns += patterns.len() as u64,
            ("uniqueItems", Value::Bool(true)) => weight.unique += 1,
            ("unevaluatedProperties" | "unevaluatedItems", _) => weight.unevaluated += 1,
            _ => {}
        }
        Ok(weight)
    }

    fn follow(&mut self, to: &str, above: usize) -> Result<Weight, String> {
        let pointer = to.strip_prefix('#').filter(|pointer| !pointer.contains('%'));
        let target = pointer.and_then(|pointer| self.root.pointer(pointer));
        let target = target.ok_or("has a `$ref` that leads nowhere in it; write `$ref: \"#/$defs/NAME\"`")?;
        self.weigh(target, above + 1)
    }
}

/// Draft 4 names its parts by `id`, which would make `#` mean another place.
fn known_draft(uri: &str) -> bool {
    ["draft-06/", "draft-07/", "draft/2019-09/", "draft/2020-12/"].iter().any(|draft| uri.contains(draft))
}

#[cfg(test)]
mod tests;
