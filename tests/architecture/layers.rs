//! Who may use whom, by the table of ARCHITECTURE.md, which stands there alone.

use std::fs;

use crate::sources::root;

/// Modules from the bottom up, each with those that it may use.
pub struct Layers(Vec<(String, Vec<String>)>);

impl Layers {
    /// Reads the table under "## Layers": a row a module, the last column what it may use.
    ///
    /// # Panics
    /// A row names what is no row before it: there would be a cycle.
    pub fn read(document: &str) -> Self {
        let mut layers: Vec<(String, Vec<String>)> = Vec::new();
        for row in rows(document, "## Layers") {
            let (module, may_use) = (row[0].to_owned(), row[row.len() - 1]);
            let before = || layers.iter().map(|(name, _)| name.clone());
            let uses: Vec<String> = match may_use {
                "nothing" => Vec::new(),
                "all of the above" => before().collect(),
                names => names.split(", ").map(str::to_owned).collect(),
            };
            let unknown = uses.iter().find(|used| !before().any(|name| name == **used));
            assert!(unknown.is_none(), "{module} may use {unknown:?}, which is no row above it in ARCHITECTURE.md");
            layers.push((module, uses));
        }
        assert!(!layers.is_empty(), "ARCHITECTURE.md has no table under ## Layers");
        Self(layers)
    }

    pub fn has(&self, module: &str) -> bool {
        self.0.iter().any(|(name, _)| name == module)
    }

    /// Why a file may not use a module, if it may not.
    pub fn forbidden(&self, path: &str, used: &str) -> Option<String> {
        let module = module_of(path);
        if used == module || !self.has(used) {
            return None;
        }
        let may = match module {
            "lib" => true,
            "main" => used == "cli",
            _ => self.0.iter().any(|(name, uses)| name == module && uses.iter().any(|name| name == used)),
        };
        (!may).then(|| format!("{path}: {module} may not use {used}"))
    }
}

/// The text of ARCHITECTURE.md.
pub fn document() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

/// The rows of the first table under a heading, without its own heading.
pub fn rows<'d>(document: &'d str, heading: &str) -> Vec<Vec<&'d str>> {
    let lines = document.lines().skip_while(|line| *line != heading).skip_while(|line| !line.starts_with('|'));
    let table = lines.take_while(|line| line.starts_with('|')).skip(2);
    table.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The files under "## Where SQL stands": `src/x/{a, b/c}.rs` in its bullets.
pub fn files_with_sql(document: &str) -> Vec<String> {
    let lines = document.lines().skip_while(|line| *line != "## Where SQL stands").skip(1);
    let bullets = lines.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("- "));
    bullets.flat_map(|line| line.split('`').skip(1).step_by(2)).flat_map(spelled_out).collect()
}

/// `src/x/{a, b}.rs` as `src/x/a.rs` and `src/x/b.rs`.
pub fn spelled_out(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let (names, after) = rest.split_once('}').unwrap();
    names.split(',').map(|name| format!("{before}{}{after}", name.trim())).collect()
}

pub fn module_of(path: &str) -> &str {
    path.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default()
}

/// The crate's modules that a file names after `crate::`, `teamai::` or as many `super::` as lead to the root.
pub fn imports(path: &str, code: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches("mod.rs").trim_end_matches(".rs");
    let depth = inner.split('/').filter(|part| !part.is_empty()).count();
    let to_root = "super::".repeat(depth);
    let mut found = Vec::new();
    for root in ["crate::", "teamai::", &to_root] {
        for (at, _) in code.match_indices(root) {
            let joined = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            if !joined {
                found.extend(first_names(&code[at + root.len()..]));
            }
        }
    }
    found
}

/// The names at the top of `name::rest` or `{a::b, c::{d, e}}`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut names, mut level, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => level += 1,
            '}' if level == 0 => {
                names.push(name(&group[start..at]));
                break;
            }
            '}' => level -= 1,
            ',' if level == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn the_table_names_every_module() {
    let layers = Layers::read(&document());
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        let known = ["lib", "main"].contains(&module) || layers.has(module);
        assert!(known, "src/{name} is not in the table of ARCHITECTURE.md");
    }
}

#[test]
fn every_file_of_the_list_has_sql() {
    for path in files_with_sql(&document()) {
        let text = fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(crate::rules::asks_the_database(&text), "{path} has no SQL: take it off the list of ARCHITECTURE.md");
    }
}

#[test]
fn tables_and_lists_are_read() {
    let document = "# A\n\n## Layers\n\nWords.\n\n| module | what | may use |\n|---|---|---|\n| a | x | nothing |\n\
                    | b | y | a |\n| c | z | all of the above |\n\n## Where SQL stands\n\n- `src/a/{b, c/d}.rs`\n\
                    - `src/b/e.rs`\n\n## More\n\n- `src/f.rs`\n";
    let layers = Layers::read(document);
    assert_eq!(layers.forbidden("src/c/x.rs", "a"), None);
    assert_eq!(layers.forbidden("src/c.rs", "b"), None);
    assert!(layers.forbidden("src/a/x.rs", "b").is_some() && layers.forbidden("src/b/x.rs", "c").is_some());
    assert_eq!(files_with_sql(document), ["src/a/b.rs", "src/a/c/d.rs", "src/b/e.rs"]);
}
