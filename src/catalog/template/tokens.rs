//! A template's code, read by the engine's own lexer and bounded before anything parses it.
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
/// The filter that values which get a name pass through.
pub const KEPT: &str = "kept_value";
/// Words that join expressions as a sign does.
const JOINING: [&str; 7] = ["not", "and", "or", "is", "in", "if", "else"];

/// Code within a text, as the words of its source: names, numbers, strings in their quotes, and signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tag<'a> {
    /// Between `{{` and `}}`, or an expression as a whole.
    Print(Vec<&'a str>),
    /// Between `{%` and `%}`.
    Statement(Vec<&'a str>),
}

impl<'a> Tag<'a> {
    /// Whether it only names a value.
    pub fn is_path(&self) -> bool {
        matches!(self, Self::Print(words) if is_path(words))
    }

    pub fn words(&self) -> &[&'a str] {
        match self {
            Self::Print(words) | Self::Statement(words) => words,
        }
    }
}

/// The code of a template or of an expression, in order.
///
/// # Errors
/// It cannot be read, or is longer than anything should parse. The message says what to do.
pub fn read(text: &str, is_expression: bool) -> Result<Vec<Tag<'_>>, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("the template is longer than {MAX_BYTES} bytes; split it over several nodes"));
    }
    let mut tags = Vec::new();
    let mut open = is_expression.then(|| Tag::Print(Vec::new()));
    let (mut links, mut arms) = (0, 0);
    for token in tokenize(text, is_expression, SyntaxConfig::default()) {
        let (token, span) = token.map_err(|error| super::engine::explain(&error))?;
        match token {
            Token::TemplateData(_) => {}
            Token::VariableStart | Token::BlockStart => {
                let print = matches!(token, Token::VariableStart);
                open = Some(if print { Tag::Print(Vec::new()) } else { Tag::Statement(Vec::new()) });
                links = 0;
            }
            Token::VariableEnd | Token::BlockEnd => tags.extend(open.take()),
            token => {
                let source = text.get(span.start_offset as usize..span.end_offset as usize).unwrap_or_default();
                links += usize::from(is_link(&token));
                arms += usize::from(matches!(token, Token::Ident("elif")));
                let Some(Tag::Print(words) | Tag::Statement(words)) = &mut open else { continue };
                words.push(source);
                bounded(words.len(), links, arms)?;
            }
        }
    }
    tags.extend(open);
    Ok(tags)
}

/// The template with every value that a statement keeps under a name passed through the
/// filter [`KEPT`], which makes it whole and pays for it. What only names a value that is
/// there already is left as it is.
///
/// # Errors
/// As [`read`].
pub fn with_kept_values(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len() + 64);
    let mut done = 0;
    for tag in read(text, false)? {
        let Tag::Statement(words) = &tag else { continue };
        for value in kept_values(words) {
            let [first, .., last] = value else { continue };
            let start = first.as_ptr().addr() - text.as_ptr().addr();
            let end = last.as_ptr().addr() - text.as_ptr().addr() + last.len();
            out.push_str(&text[done..start]);
            out.push('(');
            out.push_str(&text[start..end]);
            out.push_str(")|");
            out.push_str(KEPT);
            done = end;
        }
    }
    out.push_str(&text[done..]);
    Ok(out)
}

/// The expressions of a statement whose values get a name, but for those that are a name themselves.
fn kept_values<'w, 'a>(words: &'w [&'a str]) -> Vec<&'w [&'a str]> {
    let after = |part: &'w [&'a str], sign| outermost(part, sign).map(|at| &part[at + 1..]);
    let values: Vec<&[&str]> = match words.split_first() {
        Some((&"set", rest)) => after(rest, "=").into_iter().collect(),
        Some((&"with", mut rest)) => {
            let mut values = Vec::new();
            while let Some(value) = after(rest, "=") {
                let end = outermost(value, ",").unwrap_or(value.len());
                values.push(&value[..end]);
                rest = value.get(end + 1..).unwrap_or_default();
            }
            values
        }
        Some((&"for", rest)) => {
            let list = after(rest, "in").unwrap_or_default();
            vec![&list[..outermost(list, "if").unwrap_or(list.len())]]
        }
        _ => Vec::new(),
    };
    let is_new = |value: &&[&str]| value.first() != Some(&"namespace") && !is_path(value);
    values.into_iter().filter(is_new).collect()
}

/// Where the sign stands outside of all brackets.
fn outermost(words: &[&str], sign: &str) -> Option<usize> {
    let mut level = 0_usize;
    words.iter().position(|word| {
        match *word {
            "[" | "{" | "(" => level += 1,
            "]" | "}" | ")" => level = level.saturating_sub(1),
            _ => {}
        }
        level == 0 && *word == sign
    })
}

/// A name with fields and nothing else: `crawl.pages`.
fn is_path(words: &[&str]) -> bool {
    let part = |word: &str| word == "." || word.chars().all(|c| c.is_alphanumeric() || c == '_');
    words.iter().all(|word| part(word) && !JOINING.contains(word))
}

fn bounded(tokens: usize, links: usize, arms: usize) -> Result<(), String> {
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
        Token::Comma | Token::Colon | Token::Assign | Token::BracketClose | Token::ParenClose | Token::BraceClose
    );
    !is_value && !parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_read_as_the_engine_reads_it() {
        let tags = read("{#} {% raw %} #}a{%- set a = {'}}': \"x y\"} -%}{% raw %}{{ b }}{% endraw %}{{ c|d }}", false);
        let set = Tag::Statement(vec!["set", "a", "=", "{", "'}}'", ":", "\"x y\"", "}"]);
        assert_eq!(tags.unwrap(), [set, Tag::Print(vec!["c", "|", "d"])]);
        assert_eq!(read("a ~ 'b'", true).unwrap(), [Tag::Print(vec!["a", "~", "'b'"])]);
    }

    #[test]
    fn values_that_get_a_name_are_kept_whole() {
        for (text, kept) in [
            ("{% set a = b + c %}", "{% set a = (b + c)|kept_value %}"),
            ("{%- set n.a = [1, 2][:1] -%} x", "{%- set n.a = ([1, 2][:1])|kept_value -%} x"),
            (
                "{% for a, b in c|items if b == 1 %}{% endfor %}",
                "{% for a, b in (c|items)|kept_value if b == 1 %}{% endfor %}",
            ),
            (
                "{% with a = f(x, y), b = c[1:], d = e %}",
                "{% with a = (f(x, y))|kept_value, b = (c[1:])|kept_value, d = e %}",
            ),
            (
                "{% set a = crawl.pages %}{% for p in a %}{{ p * 2 }}",
                "{% set a = crawl.pages %}{% for p in a %}{{ p * 2 }}",
            ),
            (
                "{% set n = namespace(a=1) %}{% set x | f(a=1) %}{% endset %}",
                "{% set n = namespace(a=1) %}{% set x | f(a=1) %}{% endset %}",
            ),
        ] {
            assert_eq!(with_kept_values(text).unwrap(), kept);
        }
    }

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
            assert!(read(&chain, true).unwrap_err().contains("more than"), "{link}");
            for text in [format!("{{{{ {chain} }}}}"), format!("x{{% if {chain} %}}{{% endif %}}")] {
                assert!(super::super::references(&text).is_err(), "{link}");
                assert!(
                    super::super::Compiler::default().value(&text.into(), super::super::Escape::None, "c").is_err()
                );
            }
        }
        let arms = format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(5_000));
        assert!(read(&arms, false).unwrap_err().contains("elif"));
        assert!(read(&"a".repeat(MAX_BYTES + 1), true).is_err());
    }
}
