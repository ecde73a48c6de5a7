//! NUL characters, which Postgres keeps neither in text nor in JSON.

use super::tree::{Kind, Tree};
use crate::catalog::problem::{Mark, Path, Problem};

/// One problem for each text and key of the tree that has one, with its path.
pub(super) fn problems(tree: &Tree) -> Vec<Problem> {
    let mut found = Vec::new();
    walk(tree, &Path::default(), &mut found);
    found
}

/// No deeper than a tree, which is bounded when it is read.
fn walk<'t>(tree: &'t Tree, path: &Path<'t>, found: &mut Vec<Problem>) {
    match &tree.kind {
        Kind::Text(text) => note(text, "the text", path, tree.mark, found),
        Kind::List(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &path.index(index), found);
            }
        }
        Kind::Map(entries) => {
            for (key, value) in entries {
                note(&key.name, "a key", path, key.mark, found);
                walk(value, &path.key(&key.name), found);
            }
        }
        Kind::Null | Kind::Bool(_) | Kind::Number(..) => {}
    }
}

fn note(text: &str, what: &str, path: &Path<'_>, mark: Mark, found: &mut Vec<Problem>) {
    if text.contains('\0') {
        let message = format!("{what} has a NUL character (U+0000), which cannot be stored; take it out");
        // The path of a key's value may hold the character as well.
        found.push(Problem::new(path.to_string().replace('\0', "\u{fffd}"), message).at(mark));
    }
}

#[cfg(test)]
mod tests {
    use crate::catalog::read::parse;

    #[test]
    fn nul_is_refused_with_its_path_wherever_it_stands() {
        for (source, path) in [
            ("a: {b: [x, \"y\\0\"]}", "a.b[1]"),
            ("a: {\"k\\0\": 1}", "a"),
            (r#"{"a": "\u0000"}"#, "a"),
            (r#"a: "\x00""#, "a"),
            (r#"a: "\U00000000""#, "a"),
        ] {
            let (_, problems) = parse(source).unwrap();
            assert_eq!(problems.len(), 1, "{source}");
            assert_eq!(problems[0].path, path, "{source}");
            assert!(problems[0].message.contains("NUL") && problems[0].line.is_some(), "{source}");
        }
        for raw in ["a: x\0y", "a: |\n  x\0y", "a: 'x\0'"] {
            assert!(parse(raw).map_or(true, |(_, problems)| !problems.is_empty()), "{raw:?}");
        }
        assert!(parse("a: \"\\\\0\"").unwrap().1.is_empty());
    }
}
