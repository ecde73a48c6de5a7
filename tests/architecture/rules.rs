//! The house rules that a compiler cannot hold, file by file.

use teamai::catalog::components;

use crate::{
    layers::{Layers, imports},
    sources::{is_test, without_comments, without_tests},
};

/// Lines of a file without its tests.
const LONGEST_FILE: usize = 500;

/// What is wrong with one file.
pub fn check(layers: &Layers, with_sql: &[String], path: &str, text: &str) -> Vec<String> {
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
    wrong.extend(imports(path, &code).into_iter().filter_map(|used| layers.forbidden(path, &used)));
    if asks_the_database(&code) && !with_sql.iter().any(|file| file == path) {
        wrong.push(format!("{path}: SQL stands in the files that ARCHITECTURE.md names under ## Where SQL stands"));
    }
    if code.contains("TenantScope::verified") && !path.starts_with("src/auth/") {
        wrong.push(format!("{path}: only src/auth may vouch for a tenant"));
    }
    if code.contains("RunScope::claimed") && path != "src/tasks/lease.rs" {
        wrong.push(format!("{path}: only the claim in src/tasks/lease.rs may say for whom a task runs"));
    }
    if code.contains("TenantScope::scheduled") && path != "src/tasks/schedules/fire.rs" {
        wrong
            .push(format!("{path}: only the firing of a schedule in src/tasks/schedules acts for an agency by itself"));
    }
    let tells_apart = ["src/catalog/components", "src/cli/dev/bench/"].iter().any(|at| path.starts_with(at));
    if let Some(name) = components::ALL.iter().map(|spec| spec.name).find(|name| code.contains(&format!("\"{name}\"")))
        && !tells_apart
    {
        wrong
            .push(format!("{path}: what \"{name}\" may do stands in the table src/catalog/components.rs; ask its row"));
    }
    if path.starts_with("src/api/") && path != "src/api/health.rs" && code.contains(" Data<") {
        wrong.push(format!(
            "{path}: a handler has the state of its access argument alone; see src/api/http/security.rs"
        ));
    }
    wrong
}

/// Whether the code has a statement in it.
pub fn asks_the_database(code: &str) -> bool {
    ["sqlx::query", "query!(", "query_as!(", "query_scalar!(", "raw_sql("].iter().any(|sql| code.contains(sql))
}

/// A rule that catches nothing is worse than none.
mod the_rules_catch {
    use super::check;
    use crate::layers::{Layers, document};

    const WITH_SQL: &str = "src/tasks/lease.rs";

    fn wrong_with(path: &str, code: &str) -> Vec<String> {
        check(&Layers::read(&document()), &[WITH_SQL.to_owned()], path, code)
    }

    #[track_caller]
    fn caught(path: &str, code: &str, by: &str) {
        let wrong = wrong_with(path, &format!("//! A file.\n{code}"));
        assert!(wrong.iter().any(|line| line.contains(by)), "{path} with `{code}` gave {wrong:?}");
    }

    #[track_caller]
    fn passes(path: &str, code: &str) {
        let wrong = wrong_with(path, &format!("//! A file.\n{code}"));
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
        caught("src/api/x.rs", "sqlx::query!(\"select 1\")", "SQL stands");
        caught("src/api/x.rs", "let a = query_scalar!(\"select 1\");", "SQL stands");
        caught("src/api/x.rs", "TenantScope::verified(a)", "only src/auth");
        caught("src/engine/x.rs", "RunScope::claimed(a, b)", "only the claim");
        caught("src/api/x.rs", "state: Data<&ApiState>", "access argument");
        passes(WITH_SQL, "sqlx::query!(\"select 1\")");
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
        assert_eq!(wrong_with("src/base/x.rs", "use std::fs;\n").len(), 1);
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
