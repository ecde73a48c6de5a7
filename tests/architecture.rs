//! Holds the layer table of ARCHITECTURE.md, and the house rules that a compiler cannot hold, against the sources.

#![expect(clippy::unwrap_used, reason = "a source that cannot be read fails the test")]

use std::{fmt::Write, fs, path::Path};

use teamai::catalog::components;

/// Who may use whom, from the bottom up: a module uses only what stands before it, so that there is no cycle.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("config", &["base"]),
    ("db", &["base", "config"]),
    ("tenancy", &["base", "config", "db"]),
    ("auth", &["base", "config", "db", "tenancy"]),
    ("locker", &["base", "config", "db"]),
    ("catalog", &["base", "config", "db"]),
    ("egress", &["base", "config", "db"]),
    ("billing", &["base", "config", "db"]),
    ("experiments", &["base", "config", "db"]),
    ("queue", &["base", "config", "db"]),
    ("limits", &["base", "config"]),
    ("events", &["base", "config", "db"]),
    ("webhooks", &["base", "config", "db", "locker", "egress", "events"]),
    ("providers", &["base", "config", "egress"]),
    ("components", &["base", "catalog", "egress", "providers"]),
    ("tasks", &["base", "config", "db", "tenancy", "auth", "catalog", "egress", "billing", "experiments", "queue"]),
    ("engine", ENGINE),
    ("api", HTTP),
    ("console", HTTP),
    ("worker", &["base", "config", "db", "queue", "events", "webhooks", "tasks", "engine"]),
    ("simulator", &["base", "providers"]),
    ("cli", CLI),
];
const ENGINE: &[&str] = &[
    "base",
    "config",
    "db",
    "tenancy",
    "auth",
    "locker",
    "catalog",
    "egress",
    "billing",
    "experiments",
    "queue",
    "providers",
    "components",
    "tasks",
];
const HTTP: &[&str] = &[
    "base",
    "config",
    "db",
    "tenancy",
    "auth",
    "locker",
    "catalog",
    "egress",
    "billing",
    "experiments",
    "queue",
    "limits",
    "events",
    "webhooks",
    "tasks",
];
const CLI: &[&str] = &[
    "base",
    "config",
    "db",
    "tenancy",
    "auth",
    "locker",
    "catalog",
    "egress",
    "billing",
    "experiments",
    "queue",
    "limits",
    "events",
    "webhooks",
    "providers",
    "components",
    "tasks",
    "engine",
    "api",
    "console",
    "worker",
    "simulator",
];

/// Lines of a file without its tests.
const LONGEST_FILE: usize = 500;

#[test]
fn the_sources_keep_the_rules() {
    let mut violations = String::new();
    let mut files = 0;
    for dir in ["src", "tests", "benches"] {
        for (path, text) in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), dir) {
            files += 1;
            for violation in check(&path, &text) {
                writeln!(violations, "  {violation}").unwrap();
            }
        }
    }
    assert!(files > 20, "only {files} files were found");
    assert!(violations.is_empty(), "the architecture is broken:\n{violations}");
}

#[test]
fn the_table_has_no_cycle_and_names_every_module() {
    for (at, (module, uses)) in LAYERS.iter().enumerate() {
        for used in *uses {
            assert!(LAYERS[..at].iter().any(|(name, _)| name == used), "{module} uses {used}, which stands above it");
        }
    }
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        let known = ["lib", "main"].contains(&module) || LAYERS.iter().any(|(name, _)| *name == module);
        assert!(known, "src/{name} is not in the table of tests/architecture.rs");
    }
}

/// Every `.rs` file below a directory, with its path from the root of the repository.
fn sources(dir: &Path, name: &str) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.map(Result::unwrap) {
        let path = format!("{name}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(sources(&entry.path(), &path));
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            found.push((path, fs::read_to_string(entry.path()).unwrap()));
        }
    }
    found
}

/// What is wrong with one file.
fn check(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !text.starts_with("//! ") {
        wrong.push(format!("{path}: the first line must say in a `//!` what the file is for"));
    }
    let all = without_comments(text);
    // Written apart, so that this file does not catch itself.
    for (word, why) in [(concat!("#[ign", "ore"), "a test that does not run"), (concat!("uns", "afe {"), "unsafe code")]
    {
        if all.contains(word) {
            wrong.push(format!("{path}: {why} (`{word}`)"));
        }
    }
    if !path.starts_with("src/") || is_test(path) {
        return wrong;
    }
    let code = without_tests(&all);
    let lines = without_tests(text).lines().count();
    if lines > LONGEST_FILE {
        wrong.push(format!("{path}: {lines} lines without tests; above {LONGEST_FILE} a file must be split"));
    }
    wrong.extend(imports(path, &code).into_iter().filter_map(|used| forbidden(path, &used)));
    let calls_sql =
        ["sqlx::query", "query!(", "query_as!(", "query_scalar!(", "raw_sql("].iter().any(|sql| code.contains(sql));
    if calls_sql && !path.ends_with("/store.rs") && !path.contains("/store/") && !path.starts_with("src/db/") {
        wrong.push(format!("{path}: SQL belongs in a file named store.rs"));
    }
    if code.contains("TenantScope::verified") && !path.starts_with("src/auth/") {
        wrong.push(format!("{path}: only src/auth may vouch for a tenant"));
    }
    if code.contains("RunScope::claimed") && !path.starts_with("src/tasks/lease/") {
        wrong.push(format!("{path}: only the claim in src/tasks/lease may say for whom a task runs"));
    }
    if code.contains("TenantScope::scheduled") && path != "src/tasks/schedules/fire.rs" {
        wrong
            .push(format!("{path}: only the firing of a schedule in src/tasks/schedules acts for an agency by itself"));
    }
    let names_components = ["src/catalog/components", "src/cli/bench/"].iter().any(|at| path.starts_with(at));
    if let Some(name) = components::ALL.iter().map(|spec| spec.name).find(|name| code.contains(&format!("\"{name}\"")))
        && !names_components
    {
        wrong
            .push(format!("{path}: what \"{name}\" may do stands in the table src/catalog/components.rs; ask its row"));
    }
    if path.starts_with("src/api/") && path != "src/api/health.rs" && code.contains(" Data<") {
        wrong.push(format!("{path}: a handler has the state of its access argument alone; see src/api/security.rs"));
    }
    wrong
}

/// Why a module may not use another, if it may not.
fn forbidden(path: &str, used: &str) -> Option<String> {
    let module = module_of(path);
    if used == module || !LAYERS.iter().any(|(name, _)| *name == used) {
        return None;
    }
    let may = match module {
        "lib" => true,
        "main" => used == "cli",
        _ => LAYERS.iter().any(|(name, uses)| *name == module && uses.contains(&used)),
    };
    (!may).then(|| format!("{path}: {module} may not use {used}"))
}

fn module_of(path: &str) -> &str {
    path.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default()
}

fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

/// The crate's modules that a file names after `crate::`, `teamai::` or as many `super::` as lead to the root.
fn imports(path: &str, code: &str) -> Vec<String> {
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

/// Blanks what follows `//` outside of a string such as "http://".
fn without_comments(text: &str) -> String {
    text.lines()
        .map(|line| match line.find("//") {
            Some(at) if line[..at].matches('"').count() % 2 == 0 => &line[..at],
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// Cuts the items under `#[cfg(test)]`: a whole `mod tests { }`, or one line.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let item = lines.by_ref().find(|line| !line.trim_start().starts_with("#["));
        if item.is_some_and(|item| item.trim_end().ends_with('{')) {
            let end = format!("{}}}", " ".repeat(indent));
            lines.by_ref().find(|line| *line == end);
        }
    }
    kept
}

/// A rule that catches nothing is worse than none.
mod the_rules_catch {
    use super::check;

    #[track_caller]
    fn caught(path: &str, code: &str, by: &str) {
        let wrong = check(path, &format!("//! A file.\n{code}"));
        assert!(wrong.iter().any(|line| line.contains(by)), "{path} with `{code}` gave {wrong:?}");
    }

    #[track_caller]
    fn passes(path: &str, code: &str) {
        let wrong = check(path, &format!("//! A file.\n{code}"));
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn upward_imports() {
        caught("src/base/x.rs", "use crate::db::pool;", "base may not use db");
        caught("src/locker/x.rs", "use crate::{\n  base::Usd,\n  catalog::{A, B},\n};", "locker may not use catalog");
        caught("src/api/x.rs", "fn f() { crate::engine::run() }", "api may not use engine");
        caught("src/worker/mod.rs", "use super::api::x;", "worker may not use api");
        caught("src/worker/a/b.rs", "use super::super::super::locker;", "worker may not use locker");
        caught("src/main.rs", "teamai::engine::run()", "main may not use engine");
        passes("src/auth/x.rs", "use crate::{base::{UserId, TeamId}, tenancy::TenantScope};\nuse super::tokens;");
        passes("src/cli/x/y.rs", "use super::super::engine_room;\nuse crate::worker;");
    }

    #[test]
    fn sql_and_scopes_in_the_wrong_place() {
        caught("src/api/x.rs", "sqlx::query!(\"select 1\")", "store.rs");
        caught("src/api/x.rs", "let a = query_scalar!(\"select 1\");", "store.rs");
        caught("src/api/x.rs", "TenantScope::verified(a)", "only src/auth");
        caught("src/engine/x.rs", "RunScope::claimed(a, b)", "only the claim");
        caught("src/api/x.rs", "state: Data<&ApiState>", "access argument");
        passes("src/tasks/store.rs", "sqlx::query!(\"select 1\")");
        passes("src/auth/x.rs", "TenantScope::verified(a)");
        caught("src/api/x.rs", "TenantScope::scheduled(a, b)", "only the firing of a schedule");
    }

    #[test]
    fn components_by_their_names() {
        caught("src/engine/x.rs", "if node.component == \"WebCrawler\" {}", "ask its row");
        caught("src/catalog/agent.rs", "const TOOLS: [&str; 1] = [\"DataFetcher\"];", "ask its row");
        passes("src/catalog/components.rs", "name: \"WebCrawler\",");
        passes("src/engine/x.rs", "#[cfg(test)]\nmod tests {\n    const NAME: &str = \"WebCrawler\";\n}\n");
        passes("src/engine/x.rs", "if step.node.spec().is_some_and(|spec| spec.gives == Gives::Score) {}");
    }

    #[test]
    fn headless_long_ignored_and_unsafe_files() {
        assert_eq!(check("src/base/x.rs", "use std::fs;\n").len(), 1);
        caught("src/base/x.rs", &"fn f() {}\n".repeat(500), "must be split");
        caught("tests/integration/x.rs", concat!("#[ign", "ore]\nfn f() {}"), "does not run");
        caught("src/base/x.rs", concat!("uns", "afe { f() }"), "unsafe code");
    }

    #[test]
    fn nothing_in_tests_and_comments() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n    use crate::cli;\n{}}}\n", "    fn f() {}\n".repeat(600));
        passes("src/base/x.rs", &tests);
        caught("src/base/x.rs", &format!("{tests}\nuse crate::cli;"), "base may not use cli");
        passes("src/base/x.rs", "#[cfg(test)]\nmod tests;\n// crate::cli is above\n");
        passes("src/base/x/tests.rs", "use crate::cli;");
    }
}
