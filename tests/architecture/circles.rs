//! Circles between files: each uses, through the others, itself.
//!
//! A file uses another when it names something of it, by its own path or through a re-export. A
//! `mod.rs` that declares and re-exports, and does nothing else, is thereby in no circle; what it
//! re-exports and names itself, it uses. Methods are not seen, nor what stands in tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
};

use crate::sources::{is_test, without_comments, without_tests};

/// A path from the root of the crate, a name a part.
type Name = Vec<String>;

/// What the sources name, and what stands for what.
#[derive(Default)]
struct Crate {
    /// The file of each module.
    files: BTreeMap<Name, String>,
    /// By module, the names that it re-exports and what they stand for.
    exports: BTreeMap<Name, BTreeMap<String, Name>>,
}

/// The circles of a crate, smallest first: the files of each, in alphabetical order.
pub fn find(sources: &[(String, String)]) -> Vec<Vec<String>> {
    let code: Vec<(&String, String)> = sources
        .iter()
        .filter(|(path, _)| path.starts_with("src/") && path != "src/main.rs" && !is_test(path))
        .map(|(path, text)| (path, without_tests(&without_comments(text))))
        .collect();
    let mut all = Crate::default();
    for (path, _) in &code {
        all.files.insert(module_of(path), (*path).clone());
    }
    let mut by_file: Vec<(&String, BTreeSet<Name>)> = Vec::new();
    for (path, text) in &code {
        let here = module_of(path);
        let (uses, rest) = take_uses(text);
        let named = named_first(&rest);
        let mut reached: BTreeSet<Name> = paths(&rest).iter().filter_map(|path| all.absolute(&here, path)).collect();
        for (exported, tree) in uses {
            for (path, alias) in expand(&tree) {
                let Some(name) = all.absolute(&here, &path) else { continue };
                if !exported || named.contains(alias.as_str()) {
                    reached.insert(name.clone());
                }
                if exported {
                    all.exports.entry(here.clone()).or_default().insert(alias, name);
                }
            }
        }
        by_file.push((path, reached));
    }
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, reached) in &by_file {
        let used = reached.iter().filter_map(|name| all.file_of(name, 0)).filter(|used| used != path);
        edges.insert(path, used.collect());
    }
    strongly_connected(&edges)
}

impl Crate {
    /// A path as it is written in a module, from the root; `None` where it is not of this crate.
    fn absolute(&self, here: &[String], path: &[String]) -> Option<Name> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([here, rest].concat()),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                Some([&here[..here.len().checked_sub(ups)?], &path[ups..]].concat())
            }
            _ => self.files.contains_key(&[here, slice::from_ref(first)].concat()).then(|| [here, path].concat()),
        }
    }

    /// The file where a name is defined.
    fn file_of(&self, name: &[String], followed: usize) -> Option<&str> {
        let module =
            (0..=name.len()).rev().map(|length| &name[..length]).find(|module| self.files.contains_key(*module))?;
        let exported = name.get(module.len()).and_then(|next| self.exports.get(module)?.get(next));
        match exported {
            Some(original) if original != name && followed < 10 => {
                self.file_of(&[original, &name[module.len() + 1..]].concat(), followed + 1)
            }
            _ => self.files.get(module).map(String::as_str),
        }
    }
}

/// `src/a/b.rs` and `src/a/b/mod.rs` as `a::b`.
fn module_of(path: &str) -> Name {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    inner.split('/').filter(|part| !["mod", "lib"].contains(part)).map(str::to_owned).collect()
}

/// The `use` items of a file, with whether they re-export, and the rest of it.
fn take_uses(code: &str) -> (Vec<(bool, String)>, String) {
    let (mut uses, mut rest) = (Vec::new(), String::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let Some((exported, begun)) = begins_use(line) else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut tree = begun.to_owned();
        while !tree.contains(';') {
            tree.push_str(lines.next().unwrap_or(";"));
        }
        uses.push((exported, tree.split(';').next().unwrap_or_default().to_owned()));
    }
    (uses, rest)
}

fn begins_use(line: &str) -> Option<(bool, &str)> {
    let line = line.trim_start();
    if let Some(tree) = line.strip_prefix("use ") {
        return Some((false, tree));
    }
    let after = line.strip_prefix("pub")?;
    let after = if after.starts_with('(') { after.split_once(')')?.1 } else { after };
    Some((true, after.strip_prefix(" use ")?))
}

/// `a::{b, c::d as e}` as `a::b` called `b` and `a::c::d` called `e`.
fn expand(tree: &str) -> Vec<(Name, String)> {
    let tree = tree.trim();
    let Some((before, group)) = tree.split_once('{') else {
        let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
        let mut name = segments(path);
        if name.len() > 1 && name.last().is_some_and(|last| last == "self") {
            name.pop();
        }
        let alias = alias.map(|alias| alias.trim().to_owned()).or_else(|| name.last().cloned());
        return vec![(name, alias.unwrap_or_default())];
    };
    let group = group.rsplit_once('}').map_or(group, |(inside, _)| inside);
    let (mut parts, mut level) = (vec![String::new()], 0);
    for c in group.chars() {
        match c {
            '{' => level += 1,
            '}' => level -= 1,
            _ => {}
        }
        match (c, level) {
            (',', 0) => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(c),
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expand(&format!("{}{}", before.trim(), part.trim()))).collect()
}

fn segments(path: &str) -> Name {
    path.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// The paths of two names or more that code spells out.
fn paths(code: &str) -> Vec<Name> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.split(|c| !is_part(c))
        .filter(|word| word.contains("::") && !word.starts_with(':'))
        .map(|word| segments(word.trim_end_matches(':')))
        .filter(|name| name.len() > 1)
        .collect()
}

/// The names that code begins its paths with, but for what it declares.
fn named_first(code: &str) -> BTreeSet<&str> {
    let declares = |line: &str| line.ends_with(';') && line.split_whitespace().any(|word| word == "mod");
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '.';
    code.lines()
        .filter(|line| !declares(line))
        .flat_map(|line| line.split(move |c| !is_part(c)))
        .filter_map(|word| word.split([':', '.']).next())
        .collect()
}

/// Sets of more than one file that reach one another.
fn strongly_connected(edges: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<Vec<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|from| (*from, reachable(from, edges))).collect();
    let mut circles: BTreeSet<(usize, Vec<String>)> = BTreeSet::new();
    for (file, others) in &reached {
        if others.contains(file) {
            let back = others.iter().filter(|other| reached.get(**other).is_some_and(|theirs| theirs.contains(file)));
            let circle: Vec<String> = back.map(|other| (*other).to_owned()).collect();
            circles.insert((circle.len(), circle));
        }
    }
    circles.into_iter().map(|(_, circle)| circle).collect()
}

fn reachable<'f>(from: &str, edges: &BTreeMap<&'f str, BTreeSet<&'f str>>) -> BTreeSet<&'f str> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        for used in edges.get(file).into_iter().flatten() {
            if reached.insert(*used) {
                next.push(used);
            }
        }
    }
    reached
}

#[test]
fn there_are_no_circles_between_files() {
    let found = find(&crate::sources::all());
    assert!(found.is_empty(), "these files use one another: {found:#?}");
}

/// Circles of a made-up crate, without `src/` and `.rs`.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<_> = files.iter().map(|(path, text)| (format!("src/{path}.rs"), (*text).to_owned())).collect();
    let short = |path: &String| path.trim_start_matches("src/").trim_end_matches(".rs").to_owned();
    find(&sources).iter().map(|circle| circle.iter().map(short).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let lib = ("lib", "mod a;\nmod b;\n");
    for (a, b) in [
        ("use super::b::f;", "use crate::a::g;"),
        ("use crate::{\n    b::{\n        f,\n        h as i,\n    },\n};", "fn f() { crate::a::g() }"),
        ("use crate::b;\nfn g() { b::f() }", "fn f(_: super::a::G) {}"),
    ] {
        assert_eq!(circles_of(&[lib, ("a", a), ("b", b)]), ["a b"], "{a} and {b}");
    }
    let long =
        [("a", "use crate::b::f;"), ("b", "use crate::c::f;"), ("c", "use crate::a::f;"), ("d", "use crate::a::f;")];
    assert_eq!(circles_of(&long), ["a b c"]);
    let parent = [("lib", ""), ("a/mod", "mod b;\nuse b::f;\npub struct G;"), ("a/b", "use super::G;")];
    assert_eq!(circles_of(&parent), ["a/b a/mod"]);
    let used_by_itself = [("lib", ""), ("a/mod", "mod b;\npub use b::F;\npub struct G(F);"), ("a/b", "use super::G;")];
    assert_eq!(circles_of(&used_by_itself), ["a/b a/mod"]);
}

#[test]
fn what_is_no_circle_is_none() {
    let lib = ("lib", "mod a;\nmod b;\n");
    for (a, b) in [
        ("use super::b::f;", "fn f() {}"),
        ("use super::b::f;", "// crate::a\nuse std::a::g;"),
        ("use super::b::f;", "#[cfg(test)]\nmod tests {\n    use crate::a::g;\n}\n"),
    ] {
        assert!(circles_of(&[lib, ("a", a), ("b", b)]).is_empty(), "{a} and {b}");
    }
    // What a mod.rs re-exports is the file's that has it.
    let facade = [
        ("lib", "mod a;"),
        ("a/mod", "mod b;\nmod c;\npub use b::B;\npub(crate) use self::c::C as D;\n"),
        ("a/b", "use super::D;\npub struct B;"),
        ("a/c", "pub struct C;"),
        ("a/tests", "use super::b::B;"),
    ];
    assert!(circles_of(&facade).is_empty());
    let looped =
        facade.map(|(path, text)| (path, if path == "a/c" { "use crate::a::B;\npub struct C;" } else { text }));
    assert_eq!(circles_of(&looped), ["a/b a/c"]);
}
