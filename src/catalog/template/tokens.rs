//! The bounds of a template's length, held by the engine's own lexer before anything parses it.
//!
//! The parser, the code generator and the syntax tree go as deep as an expression has
//! links, so that a long chain would end the process; the lexer only goes forward.

use minijinja::{
    machinery::{Token, tokenize},
    syntax::SyntaxConfig,
};

/// Bytes of one template or expression.
const MAX_BYTES: usize = 256 * 1024;
/// Tokens of one `{{ }}` or `{% %}`.
const MAX_TOKENS: usize = 4_000;
/// Signs, operators and opening brackets of one `{{ }}` or `{% %}`.
const MAX_LINKS: usize = 250;
/// `elif`s of one template: each stands within the one before it.
const MAX_ARMS: usize = 100;
/// Words that join expressions as a sign does.
const JOINING: [&str; 7] = ["not", "and", "or", "is", "in", "if", "else"];

/// Refuses a template, or an expression, that is longer than anything should parse.
///
/// # Errors
/// It is, or it cannot be read. The message says what to do.
pub fn bounded(text: &str, is_expression: bool) -> Result<(), String> {
    if text.len() > MAX_BYTES {
        return Err(format!("the template is longer than {MAX_BYTES} bytes; split it over several nodes"));
    }
    let (mut tokens, mut links, mut arms) = (0, 0, 0);
    for token in tokenize(text, is_expression, SyntaxConfig::default()) {
        let (token, _) = token.map_err(|error| super::engine::explain(&error))?;
        if matches!(token, Token::VariableStart | Token::BlockStart) {
            (tokens, links) = (0, 0);
            continue;
        }
        tokens += 1;
        links += usize::from(is_link(&token));
        arms += usize::from(matches!(token, Token::Ident("elif")));
        within(tokens, links, arms)?;
    }
    Ok(())
}

fn within(tokens: usize, links: usize, arms: usize) -> Result<(), String> {
    if tokens > MAX_TOKENS {
        return Err(format!("one expression has more than {MAX_TOKENS} parts; split it over several nodes"));
    }
    if links > MAX_LINKS {
        return Err(format!(
            "one expression has more than {MAX_LINKS} operators, dots, filters and brackets; split it"
        ));
    }
    if arms > MAX_ARMS {
        return Err(format!("the template has more than {MAX_ARMS} `elif`; look the value up in a mapping instead"));
    }
    Ok(())
}

/// Whether the token can put one expression into another.
fn is_link(token: &Token<'_>) -> bool {
    if let Token::Ident(name) = token {
        return JOINING.contains(name);
    }
    let is_value =
        matches!(token, Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Int128(_) | Token::Float(_));
    let parts = matches!(
        token,
        Token::TemplateData(_)
            | Token::VariableEnd
            | Token::BlockEnd
            | Token::Comma
            | Token::Colon
            | Token::Assign
            | Token::BracketClose
            | Token::ParenClose
            | Token::BraceClose
    );
    !is_value && !parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::template::{Budget, Compiled, Escape, Scope, references};

    /// Each of these overflowed the stack of the thread that parsed it.
    #[test]
    fn chains_are_bounded_before_they_are_parsed() {
        for (before, link, after) in [
            ("", "-", "1"),
            ("", "not ", "a"),
            ("inputs", ".x", ""),
            ("a", "[0]", ""),
            ("a", "()", ""),
            ("'a'", "|upper", ""),
            ("a", " is defined", ""),
            ("a", " if b else c", ""),
            ("1", " + 1", ""),
            ("2", " ** 2", ""),
            ("a", " ~ a", ""),
            ("a", " and a", ""),
            ("a", " < a", ""),
            ("a", " not in a", ""),
            ("", "[", ""),
        ] {
            let chain = format!("{before}{}{after}", link.repeat(20_000));
            assert!(bounded(&chain, true).unwrap_err().contains("more than"), "{link}");
            for text in [format!("{{{{ {chain} }}}}"), format!("x{{% if {chain} %}}{{% endif %}}")] {
                assert!(references(&text).is_err(), "{link}");
                assert!(Compiled::new(&text.into(), Escape::None, "c").is_err());
            }
        }
        let arms = format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(5_000));
        assert!(bounded(&arms, false).unwrap_err().contains("elif"));
        assert!(bounded(&"a".repeat(MAX_BYTES + 1), true).is_err());
    }

    /// Tests have threads with a stack of 2 MiB, as the server has.
    #[test]
    fn the_longest_that_is_taken_fits_an_ordinary_stack() {
        let scope = Scope::new(&serde_json::Map::new(), ());
        for (before, link, after) in [
            ("", "-", "1"),
            ("", "not ", "1"),
            ("", "[", ""),
            ("", "(", ""),
            ("", "{1:", ""),
            ("1", "|abs", ""),
            ("1", " is defined", ""),
            ("1", " if 1 else 1", ""),
            ("1", " + 1", ""),
            ("1", " ~ 1", ""),
            ("1", " and 1", ""),
            ("1", " == 1", ""),
            ("runtime", ".x", ""),
            ("runtime", "[runtime]", ""),
        ] {
            let mut longest = None;
            for times in (1..=MAX_LINKS).rev() {
                let close = match link.trim_start_matches(['1', ':']).chars().next() {
                    Some('[') if before.is_empty() => "]".repeat(times),
                    Some('(') => "1".to_owned() + &")".repeat(times),
                    Some('{') => "1".to_owned() + &"}".repeat(times),
                    _ => String::new(),
                };
                let text = format!("x{{{{ {before}{}{after}{close} }}}}", link.repeat(times));
                if let Ok(program) = Compiled::new(&text.clone().into(), Escape::None, "c") {
                    drop(program.render(Escape::None, &scope, "c", &Budget::default()));
                    longest = references(&text).is_ok().then_some(times);
                    break;
                }
            }
            assert!(longest.is_some_and(|times| times > 60), "{link}: {longest:?}");
        }
        let arms = format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(MAX_ARMS));
        let program = Compiled::new(&arms.into(), Escape::None, "c").unwrap();
        program.render(Escape::None, &scope, "c", &Budget::default()).unwrap();
    }

    /// Statements within statements have the parser's own bound.
    #[test]
    fn nesting_is_bounded_too() {
        for (opens, ends) in [
            ("{% if a %}", "{% endif %}"),
            ("{% for x in a %}", "{% endfor %}"),
            ("{% with a = 1 %}", "{% endwith %}"),
            ("{% set a %}", "{% endset %}"),
            ("{% filter upper %}", "{% endfilter %}"),
            ("{% autoescape true %}", "{% endautoescape %}"),
        ] {
            let text = opens.repeat(5_000) + &ends.repeat(5_000);
            assert!(references(&text).is_err(), "{opens}");
            assert!(Compiled::new(&text.into(), Escape::None, "c").is_err());
        }
    }
}
