//! Says everything that is wrong with a JSON body, and where, from its documented schema.

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::Type,
};
use serde_json::{Map, Value};

use super::{problem::FieldError, time};

/// Compares a value with the schema of `T`. Only used when parsing failed.
pub fn explain<T: Type>(value: &Value) -> Vec<FieldError> {
    let mut registry = Registry::new();
    T::register(&mut registry);
    let mut walk = Walk { registry, errors: Vec::new() };
    walk.reference(&T::schema_ref(), value, "");
    walk.errors
}

struct Walk {
    registry: Registry,
    errors: Vec<FieldError>,
}

impl Walk {
    fn reference(&mut self, schema: &MetaSchemaRef, value: &Value, path: &str) {
        match schema {
            MetaSchemaRef::Inline(schema) => self.value(schema, value, path),
            MetaSchemaRef::Reference(name) => {
                if let Some(schema) = self.registry.schemas.get(name).cloned() {
                    self.value(&schema, value, path);
                }
            }
        }
    }

    fn value(&mut self, schema: &MetaSchema, value: &Value, path: &str) {
        // A field that refers to another schema wears its own limits around it.
        for part in &schema.all_of {
            self.reference(part, value, path);
        }
        if !matches_type(schema.ty, value) {
            return self.report(path, format!("must be {}, not {}", article(schema.ty), kind(value)));
        }
        if !schema.enum_items.is_empty() && !schema.enum_items.contains(value) {
            let known: Vec<String> = schema.enum_items.iter().map(Value::to_string).collect();
            return self.report(path, format!("must be one of {}", known.join(", ")));
        }
        match value {
            Value::Object(object) => self.object(schema, object, path),
            Value::Array(items) => self.array(schema, items, path),
            Value::String(text) => self.text(schema, text, path),
            Value::Number(number) => self.number(schema, number.as_f64().unwrap_or_default(), path),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn object(&mut self, schema: &MetaSchema, object: &Map<String, Value>, path: &str) {
        let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for name in &schema.required {
            if object.get(*name).is_none_or(Value::is_null) {
                self.report(&at(name), "is required".to_owned());
            }
        }
        for (name, value) in object {
            match schema.properties.iter().find(|(known, _)| known == name) {
                // `null` stands for "not given".
                Some(_) if value.is_null() => {}
                Some((_, property)) => self.reference(property, value, &at(name)),
                None => match &schema.additional_properties {
                    Some(any) => self.reference(any, value, &at(name)),
                    None if schema.properties.is_empty() => {}
                    None => {
                        let known: Vec<&str> = schema.properties.iter().map(|(known, _)| *known).collect();
                        self.report(&at(name), format!("is not a known name here; use one of {}", known.join(", ")));
                    }
                },
            }
        }
    }

    fn array(&mut self, schema: &MetaSchema, items: &[Value], path: &str) {
        if schema.min_items.is_some_and(|min| items.len() < min) {
            self.report(path, format!("must have at least {} items", schema.min_items.unwrap_or_default()));
        }
        if schema.max_items.is_some_and(|max| items.len() > max) {
            return self.report(path, format!("must have at most {} items", schema.max_items.unwrap_or_default()));
        }
        if let Some(item) = &schema.items {
            for (n, value) in items.iter().enumerate() {
                self.reference(item, value, &format!("{path}[{n}]"));
            }
        }
    }

    fn text(&mut self, schema: &MetaSchema, text: &str, path: &str) {
        let length = text.chars().count();
        if schema.min_length.is_some_and(|min| length < min) {
            self.report(path, format!("must have at least {} characters", schema.min_length.unwrap_or_default()));
        }
        if schema.max_length.is_some_and(|max| length > max) {
            self.report(path, format!("must have at most {} characters", schema.max_length.unwrap_or_default()));
        }
        if let Some(form) = schema.format.and_then(|format| misformed(format, text)) {
            self.report(path, format!("must be {form}"));
        }
    }

    fn number(&mut self, schema: &MetaSchema, number: f64, path: &str) {
        let over = |max| number > max || (schema.exclusive_maximum == Some(true) && number >= max);
        let under = |min| number < min || (schema.exclusive_minimum == Some(true) && number <= min);
        if let Some(max) = schema.maximum.filter(|max| over(*max)) {
            self.report(path, format!("must be at most {max}"));
        }
        if let Some(min) = schema.minimum.filter(|min| under(*min)) {
            self.report(path, format!("must be at least {min}"));
        }
        let bounded = schema.minimum.is_some() && schema.maximum.is_some();
        if let Some(message) = out_of_range(schema.format, number).filter(|_| !bounded) {
            self.report(path, message);
        }
    }

    fn report(&mut self, path: &str, message: String) {
        self.errors.push(FieldError::new(path, message));
    }
}

fn matches_type(ty: &str, value: &Value) -> bool {
    match ty {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn article(ty: &str) -> String {
    if ty.starts_with(['a', 'i', 'o']) { format!("an {ty}") } else { format!("a {ty}") }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number of this kind",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// What the text should have been, if it does not have the format.
fn misformed(format: &str, text: &str) -> Option<&'static str> {
    match format {
        "uuid" => uuid::Uuid::parse_str(text).is_err().then_some("a UUID"),
        "date-time" => time::parse(text).is_none().then_some(time::WANTED),
        "date" => text.parse::<chrono::NaiveDate>().is_err().then_some("a date, such as 2026-01-31"),
        "decimal" => text.parse::<rust_decimal::Decimal>().is_err().then_some("a decimal number in a string"),
        _ => None,
    }
}

fn out_of_range(format: Option<&str>, number: f64) -> Option<String> {
    let (min, max) = match format? {
        "int32" => (f64::from(i32::MIN), f64::from(i32::MAX)),
        "uint32" => (0.0, f64::from(u32::MAX)),
        "uint8" => (0.0, 255.0),
        "uint16" => (0.0, 65535.0),
        "uint64" => (0.0, f64::MAX),
        _ => return None,
    };
    (number < min || number > max).then(|| format!("must be between {min} and {max}"))
}
