//! Methods that Jinja has from Python. Those that could make a long text out of
//! short ones go through the engine's own filters, which pay for it beforehand.

use minijinja::{Error, State, Value};
use minijinja_contrib::pycompat;

use super::{
    charges::{self, too_long},
    limits::MAX_OUTPUT,
};

/// Digits of a width in a format: `{:>99999}`.
const MAX_WIDTH_DIGITS: usize = 5;

pub fn call(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    charges::for_items(state, std::slice::from_ref(value))?;
    charges::copied(value)?;
    if matches!(method, "count" | "index") {
        charges::compared(state, std::slice::from_ref(value))?;
    }
    match (value.as_str(), method, args) {
        (Some(_), "join", [items]) => state.apply_filter("join", &[items.clone(), value.clone()]),
        (Some(text), "replace", [old, new, ..]) => {
            if let (Some(old), Some(new)) = (old.as_str(), new.as_str()) {
                let places = if old.is_empty() { text.len() + 1 } else { text.matches(old).count() };
                within(places.saturating_mul(new.len()).saturating_add(text.len()))?;
            }
            pycompat::unknown_method_callback(state, value, method, args)
        }
        (Some(text), "split" | "splitlines", _) => {
            let pieces = match args.first().and_then(Value::as_str) {
                Some("") => text.len(),
                Some(sign) => text.matches(sign).count(),
                None => text.split(char::is_whitespace).count(),
            };
            state.consume_fuel(pieces as u64)?;
            pycompat::unknown_method_callback(state, value, method, args)
        }
        (Some(text), "format", _) => {
            if text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > MAX_WIDTH_DIGITS) {
                return Err(too_long());
            }
            // Written out once under the fuel limit: a list can hold another many times over.
            for arg in args.iter().filter(|arg| arg.as_object().is_some()) {
                state.apply_filter("string", std::slice::from_ref(arg))?;
            }
            pycompat::unknown_method_callback(state, value, method, args)
        }
        _ => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn within(bytes: usize) -> Result<(), Error> {
    if bytes <= MAX_OUTPUT { Ok(()) } else { Err(too_long()) }
}
