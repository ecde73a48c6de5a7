//! The engine's own filters and operators, before [`super::filters`] put others in their place.

use std::{collections::BTreeMap, sync::LazyLock};

use minijinja::{Environment, Error, ErrorKind, Expression, UndefinedBehavior, Value};

use super::limits::FUEL;

/// Tests that only look whether there is a value.
pub const LOOKS: [&str; 4] = ["defined", "undefined", "none", "safe"];

/// They pay from a tank of their own, full each time: what they do is paid for before the work.
pub static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut plain = Environment::new();
    plain.set_undefined_behavior(UndefinedBehavior::Strict);
    plain.set_fuel(Some(FUEL));
    plain
});

static PRODUCT: LazyLock<Result<Expression<'static, 'static>, Error>> =
    LazyLock::new(|| PLAIN.compile_expression("left * right"));

/// # Errors
/// The two cannot be multiplied.
pub fn product(left: Value, right: Value) -> Result<Value, Error> {
    PRODUCT
        .as_ref()
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?
        .eval(BTreeMap::from([("left", left), ("right", right)]))
}
