//! Finds filters, tests and functions that do not exist. The engine itself would only say so
//! when a run gets there.

use std::collections::BTreeSet;

use minijinja::{ErrorKind, machinery::ast::Expr};

use super::{super::problem::suggestion, engine::ENGINE, syntax::Tree};

/// The first filter or test that is unknown, as a message.
pub fn unknown(tree: &Tree<'_>) -> Option<String> {
    let mut state = ENGINE.empty_state();
    tree.expressions().into_iter().find_map(|expression| match expression {
        Expr::Filter(filter) => state
            .apply_filter(filter.name, &[])
            .is_err_and(|error| error.kind() == ErrorKind::UnknownFilter)
            .then(|| format!("there is no filter `{}`", filter.name)),
        Expr::Test(test) => state
            .perform_test(test.name, &[])
            .is_err_and(|error| error.kind() == ErrorKind::UnknownTest)
            .then(|| format!("there is no test `{}`", test.name)),
        _ => None,
    })
}

/// The names that are called as functions are.
pub fn called<'a>(tree: &Tree<'a>) -> Vec<&'a str> {
    let name = |expression: &Expr<'a>| match expression {
        Expr::Call(call) => match &call.expr {
            Expr::Var(var) => Some(var.id),
            _ => None,
        },
        _ => None,
    };
    tree.expressions().into_iter().filter_map(name).collect()
}

/// The first of the names that is called and is no function, as a message. `undeclared` are
/// those that the template takes from outside.
pub fn unknown_function(called: &[&str], undeclared: &BTreeSet<String>) -> Option<String> {
    let name = called.iter().find(|name| undeclared.contains(**name))?;
    // Ours have names that no template can say.
    let mut known: Vec<&str> = ENGINE.globals().map(|(name, _)| name).filter(|name| !name.starts_with('!')).collect();
    known.sort_unstable();
    let near = suggestion(name, known.iter().copied());
    let last = known.pop().unwrap_or_default();
    let known = format!("functions are {} and {last}", known.join(", "));
    Some(if near.is_empty() {
        format!("there is no function `{name}`; the {known}")
    } else {
        format!("there is no function `{name}`{near} The {known}")
    })
}

#[cfg(test)]
mod tests {
    use crate::catalog::template::syntax;

    fn unknown(text: &str, is_expression: bool) -> Option<String> {
        super::unknown(&syntax::parse(text, is_expression).ok()?)
    }

    #[test]
    fn unknown_filters_and_tests_are_named() {
        for (text, message) in [
            ("{{ a | strftime('%Y') }}", "there is no filter `strftime`"),
            ("x {% for p in pages | reject_all %}{% endfor %}", "there is no filter `reject_all`"),
            ("{{ 'x | y' }}{% if a is empty %}{% endif %}", "there is no test `empty`"),
            ("{{ a is not blank }}", "there is no test `blank`"),
            ("{{ \"}}\" | nope }}", "there is no filter `nope`"),
            ("{{ a|upper|lowerr }}", "there is no filter `lowerr`"),
            ("{% set a | nope %}{% endset %}", "there is no filter `nope`"),
            ("{% filter upper | nope %}{% endfilter %}", "there is no filter `nope`"),
        ] {
            assert_eq!(unknown(text, false).as_deref(), Some(message), "{text}");
        }
        assert!(unknown("a | nope", true).is_some());
    }

    #[test]
    fn what_only_looks_like_one_is_let_through() {
        for text in [
            "a | nope, {x | y}",
            "{{ 'a | nope' }}",
            "{# a | nope #}",
            "{{ 'it\\'s | nope' | upper }}",
            "{{ a is defined and b is not none }}",
            "{{ a | default('x') | tojson }} is not a test | {{ b | truncate(5) }}",
            "{% raw %}{{ a | nope }}{% endraw %}",
            "{{ a.is }}",
        ] {
            assert_eq!(unknown(text, false), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_looked_through(text in "[{}%#|'\"\\\\a-c is\u{e9}]{0,40}") {
            drop(unknown(&text, false));
            drop(unknown(&text, true));
        }
    }
}
