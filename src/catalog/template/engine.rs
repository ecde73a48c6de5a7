//! The one way in which templates are set up: strict, bounded, with nothing to load.

use std::sync::LazyLock;

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use super::{charges, filters, limits::FUEL, methods};

const MAX_RECURSION: usize = 100;

/// Runs the programs of the whole process.
pub static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(MAX_RECURSION);
    // It prints the whole context.
    engine.remove_global("debug");
    charges::install(&mut engine);
    filters::install(&mut engine);
    // `.items()`, `.split(',')` and the like, which Jinja has from Python.
    engine.set_unknown_method_callback(methods::call);
    engine
});

/// What went wrong, for a person: the detail, the name that is undefined, the line.
pub fn explain(error: &Error) -> String {
    let mut message = match error.kind() {
        ErrorKind::OutOfFuel => {
            format!(
                "the template was stopped after {},{:03} steps, the most that one may take: each turn of a loop, each \
                 operation and every few bytes of text count; loop over fewer items, or do the work in several nodes",
                FUEL / 1000,
                FUEL % 1000
            )
        }
        kind => match error.detail() {
            Some(detail) => format!("{kind}: {detail}"),
            None => kind.to_string(),
        },
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    if error.kind() == ErrorKind::UndefinedError
        && let (Some(source), Some(range)) = (error.template_source(), error.range())
    {
        message = format!("`{}` is undefined", dotted(source, range));
    }
    match error.line() {
        Some(line) if line > 1 => format!("{message} (line {line} of the template)"),
        _ => message,
    }
}

/// The name at the range: an error marks `.title` of `page.title`, or the filter
/// that was given the name.
fn dotted(source: &str, range: std::ops::Range<usize>) -> &str {
    let part_of_name = |c: char| c.is_alphanumeric() || "_.[]'\"".contains(c);
    let before = source.get(..range.start).unwrap_or_default();
    let (before, end) = match before.trim_end().strip_suffix('|') {
        Some(filtered) => (filtered.trim_end(), filtered.trim_end().len()),
        None => (before, range.end),
    };
    let start = before.trim_end_matches(part_of_name).len();
    source.get(start..end).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use crate::catalog::template::{Escape, program::Program};

    #[test]
    fn a_template_out_of_steps_says_what_happened_and_what_to_do() {
        let program = Program::template(
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            Escape::None,
        );
        let scope = minijinja::Value::from(minijinja::value::Serde(serde_json::json!({})));
        let message = super::explain(&program.unwrap().text(scope).unwrap_err());
        let wanted = "the template was stopped after 750,000 steps, the most that one may take: each turn of a loop, \
                      each operation and every few bytes of text count; loop over fewer items, or do the work in \
                      several nodes";
        assert_eq!(message, wanted);
    }
}
