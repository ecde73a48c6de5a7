//! Finds filters and tests that do not exist. The engine itself would only say so
//! when a run gets there.

use minijinja::ErrorKind;

use super::{engine::ENGINE, tokens::Tag};

/// The first filter or test that is unknown, as a message.
pub fn unknown(tags: &[Tag<'_>]) -> Option<String> {
    tags.iter().find_map(|tag| in_words(tag.words()))
}

fn in_words(words: &[&str]) -> Option<String> {
    let mut state = ENGINE.empty_state();
    for (index, word) in words.iter().enumerate() {
        let Some(name) = words.get(index + 1) else { break };
        let before = index.checked_sub(1).and_then(|before| words.get(before));
        if *word == "|" && state.apply_filter(name, &[]).is_err_and(|error| error.kind() == ErrorKind::UnknownFilter) {
            return Some(format!("there is no filter `{name}`"));
        }
        let name = if *name == "not" { words.get(index + 2)? } else { name };
        let is_test = *word == "is" && before.is_some_and(|before| *before != "." && *before != "|");
        if is_test && state.perform_test(name, &[]).is_err_and(|error| error.kind() == ErrorKind::UnknownTest) {
            return Some(format!("there is no test `{name}`"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::catalog::template::tokens;

    fn unknown(text: &str, is_expression: bool) -> Option<String> {
        super::unknown(&tokens::read(text, is_expression).ok()?)
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
