//! Finds filters and tests that do not exist. The engine itself would only say so
//! when a run gets there.

use minijinja::ErrorKind;

use super::engine::ENGINE;

/// The first filter or test that is unknown, as a message.
pub fn unknown(text: &str, is_expression: bool) -> Option<String> {
    if is_expression {
        return in_code(text);
    }
    // What stands in a raw block is no code, whatever it looks like.
    if text.contains("endraw") {
        return None;
    }
    let mut rest = text;
    while let Some(start) = rest.find(['{']) {
        let after = rest.get(start + 1..)?;
        let closing = match after.chars().next() {
            Some('{') => "}}",
            Some('%') => "%}",
            Some('#') => "#}",
            _ => {
                rest = after;
                continue;
            }
        };
        let code = after.get(1..)?;
        let end = if closing == "#}" { code.find(closing)? } else { end_of_code(code, closing)? };
        if closing != "#}"
            && let Some(message) = in_code(&code[..end])
        {
            return Some(message);
        }
        rest = &code[end + closing.len()..];
    }
    None
}

/// Code within a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag<'a> {
    /// Between `{{` and `}}`.
    Print(&'a str),
    /// Between `{%` and `%}`, without the signs for white space.
    Statement(&'a str),
}

/// The code of a text, in order; comments and raw blocks left out. Ends where the text is no template.
pub fn tags(text: &str) -> impl Iterator<Item = Tag<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let after = rest.get(rest.find('{')? + 1..)?;
            let (closing, code) = match after.chars().next() {
                Some('{') => ("}}", after.get(1..)?),
                Some('%') => ("%}", after.get(1..)?),
                Some('#') => {
                    let end = after.find("#}")?;
                    rest = after.get(end + 2..)?;
                    continue;
                }
                _ => {
                    rest = after;
                    continue;
                }
            };
            let end = end_of_code(code, closing)?;
            rest = code.get(end + 2..)?;
            let code = code.get(..end)?.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']);
            if closing == "}}" {
                return Some(Tag::Print(code));
            }
            if code.trim() != "raw" {
                return Some(Tag::Statement(code));
            }
            rest = after_raw(rest)?;
        }
    })
}

/// What stands behind the end of a raw block.
fn after_raw(text: &str) -> Option<&str> {
    text.match_indices("{%").find_map(|(at, _)| {
        let code = text.get(at + 2..)?.trim_start_matches(['-', '+']).trim_start().strip_prefix("endraw")?;
        code.trim_start().trim_start_matches(['-', '+']).strip_prefix("%}")
    })
}

pub fn is_name(word: &str) -> bool {
    word.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
}

/// Where the tag ends, strings passed over.
fn end_of_code(code: &str, closing: &str) -> Option<usize> {
    let mut position = 0;
    loop {
        let rest = code.get(position..)?;
        if rest.starts_with(closing) {
            return Some(position);
        }
        position += match rest.chars().next()? {
            '"' | '\'' => string_length(rest),
            c => c.len_utf8(),
        };
    }
}

/// The bytes of the string at the start of the text, with its quotes.
fn string_length(text: &str) -> usize {
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, quote)| quote);
    while let Some((position, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if Some(c) == quote {
            return position + c.len_utf8();
        }
    }
    text.len()
}

fn in_code(code: &str) -> Option<String> {
    let mut state = ENGINE.empty_state();
    let words = words(code);
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

/// Names, numbers, strings in their quotes, and signs, one by one.
pub fn words(code: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => string_length(rest),
            c if c.is_alphanumeric() || c == '_' => {
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        let (word, behind) = rest.split_at(length);
        words.push(word);
        rest = behind.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

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
