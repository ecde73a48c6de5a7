//! What work costs that the engine itself does not charge for, or only afterwards.
//!
//! A program has the functions of this page called where its operators, loops and names
//! stand (see [`super::program`]); a template cannot name them itself. Each takes its
//! steps from the tank of the string that is rendered before the work is done, and ends
//! the string once its time is over.

use minijinja::{Environment, Error, ErrorKind, State, Value, value::ValueKind};

use super::{
    Budget,
    budget::{MAX_BYTES, measure},
    deadline,
    limits::{FUEL, MAX_OUTPUT},
    plain,
};
/// Pays for what is compared: containers are compared item by item, however deep.
pub const COMPARED: &str = "!compared";
/// Pays for what becomes a text.
pub const WRITTEN: &str = "!written";
/// Makes a list whole, and pays for a text that is cut: lists that are added up, repeated or cut are views of one another,
/// without end when that happens in a loop.
pub const WHOLE: &str = "!whole";
/// Multiplies, and pays for a text that is repeated.
pub const TIMES: &str = "!times";
/// Ends a loop whose time is over.
pub const TICK: &str = "!tick";

/// Bytes that are written for one step: each is walked to, counted and copied.
const WRITTEN_A_STEP: u64 = 16;
/// Bytes that are compared for one step, as the engine charges for texts.
const COMPARED_A_STEP: u64 = 64;
/// Pieces that are compared for one step.
const PIECES_A_STEP: u64 = 1;

pub fn install(engine: &mut Environment<'_>) {
    engine.add_function(TICK, |state: &State<'_, '_>| in_time(state));
    engine.add_function(COMPARED, |state: &State<'_, '_>, value: Value| {
        compared(state, std::slice::from_ref(&value)).map(|()| value)
    });
    engine.add_function(WRITTEN, |state: &State<'_, '_>, value: Value| {
        written(state, std::slice::from_ref(&value)).map(|()| value)
    });
    engine.add_function(TIMES, |state: &State<'_, '_>, left: Value, right: Value| times(state, left, right));
    engine.add_function(WHOLE, |state: &State<'_, '_>, value: Value| whole(state, value));
}

/// # Errors
/// The time of the string is over.
pub fn in_time(state: &State<'_, '_>) -> Result<(), Error> {
    if deadline::is_late() {
        // Nothing that catches errors can go on without fuel.
        state.consume_fuel(FUEL).ok();
        return Err(Error::new(ErrorKind::InvalidOperation, deadline::late()));
    }
    Ok(())
}

/// Pays for lists and mappings that are compared; the engine charges for texts.
///
/// # Errors
/// It costs more than there is left.
pub fn compared(state: &State<'_, '_>, values: &[Value]) -> Result<(), Error> {
    compared_times(state, values, 1)
}

/// As [`compared`], for values that are compared so often.
///
/// # Errors
/// As [`compared`].
pub fn compared_times(state: &State<'_, '_>, values: &[Value], times: u64) -> Result<(), Error> {
    in_time(state)?;
    for container in values.iter().filter(|value| value.as_object().is_some()) {
        let left = state.fuel_levels().map_or(FUEL, |(_, left)| left);
        let each = left / times.max(1);
        let most = usize::try_from(each.saturating_mul(COMPARED_A_STEP)).unwrap_or(usize::MAX);
        let (bytes, pieces) = measure(container, (most, each.saturating_mul(PIECES_A_STEP)));
        in_time(state)?;
        state.consume_fuel((bytes / COMPARED_A_STEP + pieces / PIECES_A_STEP).saturating_mul(times))?;
    }
    Ok(())
}

/// Pays for lists and mappings that are written out, by what they would be as text.
///
/// # Errors
/// It costs more than there is left, or is longer than any text may be.
pub fn written(state: &State<'_, '_>, values: &[Value]) -> Result<(), Error> {
    in_time(state)?;
    values.iter().try_for_each(copied)?;
    let budget = Budget::of(MAX_OUTPUT);
    for container in values.iter().filter(|value| value.as_object().is_some()) {
        let taken = budget.take_value(container);
        in_time(state)?;
        taken.map_err(|_| too_long())?;
    }
    written_bytes(state, MAX_OUTPUT - budget.left())
}

/// Refuses to copy a text that is longer than any value of a run: a product of texts can be.
///
/// # Errors
/// It is longer.
pub fn copied(value: &Value) -> Result<(), Error> {
    if value.as_str().is_some_and(|text| text.len() > MAX_BYTES) { Err(too_long()) } else { Ok(()) }
}

/// # Errors
/// It costs more than there is left.
pub fn written_bytes(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(u64::try_from(bytes).unwrap_or(u64::MAX) / WRITTEN_A_STEP)
}

/// Pays for a look at every character of a text.
///
/// # Errors
/// It costs more than there is left.
pub fn text(state: &State<'_, '_>, text: &str) -> Result<(), Error> {
    text_times(state, text, 1)
}

/// As [`text`], for so many looks.
///
/// # Errors
/// As [`text`].
pub fn text_times(state: &State<'_, '_>, text: &str, times: u64) -> Result<(), Error> {
    in_time(state)?;
    state.consume_fuel((text.len() as u64 / COMPARED_A_STEP).saturating_mul(times))
}

fn whole(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    // A piece of a text is found by counting its characters.
    text(state, value.as_str().unwrap_or_default())?;
    if !is_list(&value) || value.downcast_object_ref::<Vec<Value>>().is_some() {
        return Ok(value);
    }
    let mut items = Vec::new();
    for item in value.try_iter()? {
        state.consume_fuel(1)?;
        items.push(item);
    }
    Ok(Value::from(items))
}

fn times(state: &State<'_, '_>, left: Value, right: Value) -> Result<Value, Error> {
    let repeated = left.as_str().zip(right.as_usize()).or_else(|| right.as_str().zip(left.as_usize()));
    if let Some((text, times)) = repeated {
        let bytes = text.len().saturating_mul(times);
        if bytes > MAX_OUTPUT {
            return Err(too_long());
        }
        text_times(state, text, times as u64)?;
    }
    plain::product(left, right)
}

/// Pays for a look at every item of lists, which may be repeated without end.
///
/// # Errors
/// It costs more than there is left.
pub fn for_items(state: &State<'_, '_>, values: &[Value]) -> Result<(), Error> {
    in_time(state)?;
    for list in values.iter().filter(|value| is_list(value)) {
        list.try_iter()?.try_for_each(|_| state.consume_fuel(1))?;
    }
    Ok(())
}

pub fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

pub fn too_long() -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("the text would be longer than {MAX_OUTPUT} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::template::engine::ENGINE;

    #[test]
    fn comparing_costs_by_size_and_often() {
        let costs = |value: serde_json::Value, times| {
            let state = ENGINE.empty_state();
            let value = Value::from(minijinja::value::Serde(value));
            let paid = compared_times(&state, &[value], times);
            paid.map(|()| state.fuel_levels().unwrap().0)
        };
        let list = serde_json::json!(vec!["a".repeat(640); 100]);
        assert!((1_000..1_600).contains(&costs(list.clone(), 1).unwrap()));
        assert!((10_000..16_000).contains(&costs(list.clone(), 10).unwrap()));
        assert!(costs(list, 10_000).is_err());
        assert_eq!(costs(serde_json::json!("text"), 1).unwrap(), 0);
    }
}
