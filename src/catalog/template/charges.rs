//! What work costs that the engine itself does not charge for, or only afterwards.
//!
//! A program has the functions of this page called where its operators, loops and names
//! stand (see [`super::program`]); a template cannot name them itself. Each takes its
//! steps from the tank of the string that is rendered before the work is done, and ends
//! the string once its time is over.

use std::{cell::Cell, time::Instant};

use minijinja::{Environment, Error, ErrorKind, State, Value, value::ValueKind};

use super::{
    Budget,
    limits::{FUEL, MAX_OUTPUT},
};
use crate::base::apart;

/// Pays for what is compared: containers are compared item by item, however deep.
pub const COMPARED: &str = "!compared";
/// Pays for what becomes a text.
pub const WRITTEN: &str = "!written";
/// Makes a list whole, and pays for a text that is cut: lists that are added up, repeated or cut are views of one another,
/// without end when that happens in a loop.
pub const WHOLE: &str = "!whole";
/// Ends a loop whose time is over.
pub const TICK: &str = "!tick";

/// Bytes that are written for one step: each is walked to, counted and copied.
const WRITTEN_A_STEP: u64 = 16;
/// Bytes that are compared for one step, as the engine charges for texts.
const COMPARED_A_STEP: u64 = 64;
/// Pieces that are compared for one step.
const PIECES_A_STEP: u64 = 16;

thread_local! {
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs work whose templates end when the time is over.
pub fn until<T>(end: Instant, work: impl FnOnce() -> T) -> T {
    let _before = Restored(UNTIL.replace(Some(end)));
    work()
}

struct Restored(Option<Instant>);

impl Drop for Restored {
    fn drop(&mut self) {
        UNTIL.set(self.0);
    }
}

pub fn install(engine: &mut Environment<'_>) {
    engine.add_function(TICK, |state: &State<'_, '_>| in_time(state));
    engine.add_function(COMPARED, |state: &State<'_, '_>, value: Value| {
        compared(state, std::slice::from_ref(&value)).map(|()| value)
    });
    engine.add_function(WRITTEN, |state: &State<'_, '_>, value: Value| {
        written(state, std::slice::from_ref(&value)).map(|()| value)
    });
    engine.add_function(WHOLE, |state: &State<'_, '_>, value: Value| whole(state, value));
}

/// # Errors
/// The time of the string is over.
pub fn in_time(state: &State<'_, '_>) -> Result<(), Error> {
    if UNTIL.get().is_some_and(|end| Instant::now() > end) {
        // Nothing that catches errors can go on without fuel.
        state.consume_fuel(FUEL).ok();
        return Err(Error::new(ErrorKind::InvalidOperation, late()));
    }
    Ok(())
}

/// Why a rendering ended.
pub fn late() -> String {
    format!("the templates of one config take more than {} s; loop over less", apart::END.as_secs())
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
        let most = left.saturating_mul(COMPARED_A_STEP) / times.max(1);
        let (bytes, pieces) = Budget::of(usize::try_from(most).unwrap_or(usize::MAX)).measure(container);
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
    let budget = Budget::of(MAX_OUTPUT);
    for container in values.iter().filter(|value| value.as_object().is_some()) {
        budget.take_value(container).map_err(|_| too_long())?;
    }
    written_bytes(state, MAX_OUTPUT - budget.left())
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
    use std::time::Duration;

    use super::*;
    use crate::catalog::template::{Escape, engine::ENGINE, program::Program};

    #[test]
    fn a_loop_ends_when_its_time_is_over() {
        let program = Program::template("{% for i in range(9) %}{{ i }}{% endfor %}", Escape::None).unwrap();
        let scope = || Value::from(minijinja::value::Serde(serde_json::json!({})));
        let now = Instant::now();
        let late = until(now, || program.text(scope())).unwrap_err();
        assert!(late.to_string().contains("more than"), "{late}");
        assert_eq!(until(now + Duration::from_mins(1), || program.text(scope())).unwrap(), "012345678");
        assert_eq!(UNTIL.get(), None);
    }

    #[test]
    fn comparing_costs_by_size_and_often() {
        let costs = |value: serde_json::Value, times| {
            let state = ENGINE.empty_state();
            let value = Value::from(minijinja::value::Serde(value));
            let paid = compared_times(&state, &[value], times);
            paid.map(|()| state.fuel_levels().unwrap().0)
        };
        let list = serde_json::json!(vec!["a".repeat(640); 100]);
        assert!((1_000..1_200).contains(&costs(list.clone(), 1).unwrap()));
        assert!((10_000..12_000).contains(&costs(list.clone(), 10).unwrap()));
        assert!(costs(list, 10_000).is_err());
        assert_eq!(costs(serde_json::json!("text"), 1).unwrap(), 0);
    }
}
