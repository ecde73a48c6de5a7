//! YAML (and JSON, which is YAML) is parsed into a tree.
//!
//! Anchors, aliases and tags are refused: a recipe needs none of them, and they
//! are how a small document becomes a large one.

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use serde_json::Number;

use super::{
    nul,
    tree::{Key, Kind, Tree},
};
use crate::catalog::problem::{Mark, Problem};

/// The largest document, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;
/// The deepest nesting of lists and mappings.
const MAX_DEPTH: usize = 24;
/// Values in one document.
const MAX_VALUES: usize = 20_000;
/// The longest single string, in bytes.
const MAX_STRING: usize = 64 * 1024;

/// The document's tree, and faults that leave a tree (a key given twice, a NUL).
///
/// # Errors
/// The text is no YAML or is over a limit; nothing else can be said about it then.
pub fn parse(source: &str) -> Result<(Tree, Vec<Problem>), Problem> {
    if source.len() > MAX_BYTES {
        let message = format!("the document has {} bytes; at most {MAX_BYTES} are accepted", source.len());
        return Err(Problem::new("", message));
    }
    let mut builder = Builder { events: Parser::new_from_str(source), problems: Vec::new(), values: 0 };
    let tree = builder.document()?;
    builder.problems.extend(nul::problems(&tree));
    Ok((tree, builder.problems))
}

struct Builder<'s> {
    events: Parser<'s, granit_parser::StrInput<'s>>,
    problems: Vec<Problem>,
    values: usize,
}

impl<'s> Builder<'s> {
    fn next(&mut self) -> Result<(Event<'s>, Mark), Problem> {
        match self.events.next() {
            Some(Ok((event, span))) => Ok((event, mark(&span))),
            Some(Err(error)) => Err(unreadable(&error)),
            None => Ok((Event::StreamEnd, Mark::default())),
        }
    }

    fn document(&mut self) -> Result<Tree, Problem> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd, _) => return Err(Problem::new("", "the document is empty")),
                (event, mark) => {
                    let tree = self.value(event, mark, 0)?;
                    return self.end().map(|()| tree);
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), Problem> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(..), mark) => {
                    return Err(Problem::new("", "more than one YAML document; put each in its own file").at(mark));
                }
                _ => {}
            }
        }
    }

    fn value(&mut self, event: Event<'s>, mark: Mark, depth: usize) -> Result<Tree, Problem> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            let message = format!("more than {MAX_DEPTH} levels of nesting or {MAX_VALUES} values in one document");
            return Err(Problem::new("", message).at(mark));
        }
        let kind = match event {
            Event::Scalar(text, _, 0, None) if text.len() > MAX_STRING => {
                let message = format!("a text of {} bytes; at most {MAX_STRING} are accepted", text.len());
                return Err(Problem::new("", message).at(mark));
            }
            Event::Scalar(text, ScalarStyle::Plain, 0, None) => plain(&text),
            Event::Scalar(text, _, 0, None) => Kind::Text(text.into_owned()),
            Event::SequenceStart(_, 0, None) => self.list(depth)?,
            Event::MappingStart(_, 0, None) => self.map(depth)?,
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, _, Some(_))
            | Event::MappingStart(_, _, Some(_)) => {
                return Err(Problem::new("", "YAML tags (`!name`) are not accepted; leave the tag out").at(mark));
            }
            _ => {
                let message = "YAML anchors and aliases (`&name`, `*name`) are not accepted; write the value out";
                return Err(Problem::new("", message).at(mark));
            }
        };
        Ok(Tree { mark, kind })
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Kind::List(items)),
                (event, mark) => items.push(self.value(event, mark, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Problem> {
        let mut entries: Vec<(Key, Tree)> = Vec::new();
        // A set, so that a mapping of thousands of keys is not compared pair by pair.
        let mut seen = std::collections::HashSet::new();
        loop {
            let (event, mark) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(Kind::Map(entries)),
                Event::Scalar(text, _, 0, None) => Key { name: text.into_owned(), mark },
                _ => return Err(Problem::new("", "a key must be a plain text").at(mark)),
            };
            let (event, mark) = self.next()?;
            let value = self.value(event, mark, depth + 1)?;
            if seen.insert(key.name.clone()) {
                entries.push((key, value));
            } else {
                let message = format!("the key `{}` is given twice; keep one", key.name);
                self.problems.push(Problem::new("", message).at(key.mark));
            }
        }
    }
}

fn mark(span: &Span) -> Mark {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Mark { line: small(span.start.line()), column: small(span.start.col() + 1) }
}

fn unreadable(error: &ScanError) -> Problem {
    let at = error.marker();
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Problem::new("", format!("not readable as YAML: {}", error.info()))
        .at(Mark { line: small(at.line()), column: small(at.col() + 1) })
}

/// YAML 1.2's core schema: `yes`, `on` and dates are texts.
fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        _ => number(text).map_or_else(|| Kind::Text(text.to_owned()), |n| Kind::Number(n, text.to_owned())),
    }
}

fn number(text: &str) -> Option<Number> {
    let first = text.trim_start_matches(['+', '-']).bytes().next()?;
    if !(first.is_ascii_digit() || first == b'.') {
        return None;
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().map(Number::from);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return u64::from_str_radix(octal, 8).ok().map(Number::from);
    }
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    if let Ok(integer) = text.parse::<u64>() {
        return Some(integer.into());
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn json(source: &str) -> Value {
        parse(source).unwrap().0.to_json()
    }

    #[test]
    fn reads_yaml_and_json_alike() {
        let expected = serde_json::json!({"a": [1, 2.5, true, null, "yes", "1.0"], "b": {"c": "\u{1F600}/"}});
        assert_eq!(json("a: [1, 2.5, true, ~, yes, '1.0']\nb:\n  c: \"\\U0001F600/\"\n"), expected);
        assert_eq!(
            json("{\"a\": [1, 2.5, true, null, \"yes\", \"1.0\"],\n\t\"b\": {\"c\": \"\\ud83d\\ude00\\/\"}}"),
            expected
        );
    }

    #[test]
    fn keeps_how_a_number_was_written() {
        let (tree, _) = parse("a: 0.50").unwrap();
        let Kind::Map(entries) = tree.kind else { panic!() };
        assert!(matches!(&entries[0].1.kind, Kind::Number(_, raw) if raw == "0.50"));
    }

    #[test]
    fn refuses_what_makes_documents_grow() {
        for (source, word) in [
            ("a: &x [1]\nb: *x", "anchors"),
            ("a: &x 1", "anchors"),
            ("a: !!str 1", "tags"),
            ("a: 1\n---\nb: 2", "more than one"),
            ("", "empty"),
            ("a: [", "not readable"),
        ] {
            let problem = parse(source).unwrap_err();
            assert!(problem.message.contains(word), "{source}: {problem}");
        }
        assert!(parse(&"[".repeat(60)).is_err());
        assert!(parse(&format!("a: {}", "x".repeat(MAX_BYTES))).unwrap_err().message.contains("bytes"));
        let wide = format!("[{}]", "1,".repeat(MAX_VALUES + 1));
        assert!(parse(&wide).unwrap_err().message.contains("20000 values"));
    }

    #[test]
    fn a_key_given_twice_is_a_fault_with_its_place() {
        let (_, problems) = parse("a: 1\nb: 2\na: 3").unwrap();
        assert_eq!((problems[0].line, problems[0].column), (Some(3), Some(1)));
        assert!(problems[0].message.contains("`a`"));
    }

    proptest::proptest! {
        #[test]
        fn never_fails_otherwise_than_by_saying_so(source in "\\PC{0,200}") {
            drop(parse(&source));
        }

        #[test]
        fn json_strings_survive(text in "\\PC{0,60}") {
            let source = serde_json::json!({"a": text}).to_string();
            proptest::prop_assert_eq!(json(&source), serde_json::json!({"a": text}));
        }
    }
}
