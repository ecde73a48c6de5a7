//! The threat model against the repository: what it says of tests and containers is so.

use std::path::Path;

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// The names of tests in the last column of the page's tables.
fn named(page: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut of_threats = false;
    for line in page.lines() {
        of_threats = line.starts_with('|') && (of_threats || line.contains("test that fails without it"));
        let last = line.trim_end_matches([' ', '|']).rsplit(" | ").next();
        if let Some(last) = last.filter(|_| of_threats) {
            names.extend(last.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    names
}

/// The file that a name stands for, and the function; `*` for any test.
fn place(name: &str) -> (String, &str) {
    if let Some(part) = name.strip_prefix("rls::") {
        let (file, function) = part.split_once("::").unwrap_or((part, "*"));
        return (format!("tests/integration/rls/{file}.rs"), function);
    }
    if let Some((file, function)) = name.split_once("::") {
        return (format!("tests/integration/{file}.rs"), function);
    }
    let (path, function) = name.split_once(": ").unwrap_or((name, "*"));
    (path.to_owned(), function)
}

fn is_there(name: &str) -> bool {
    let (path, function) = place(name);
    let Some(text) = read(&path) else { return false };
    // A fuzz target and the script of CI are tests as a whole.
    let is_whole = path.starts_with("fuzz/") || path == ".ci/run";
    match function {
        "*" => is_whole || ["#[test]", "#[tokio::test", "#[sqlx::test("].iter().any(|test| text.contains(test)),
        function => text.contains(&format!("fn {function}(")),
    }
}

#[test]
fn every_test_that_the_page_names_is_there() {
    let names = named(&read("docs/security.md").unwrap());
    assert!(names.len() > 50, "the tables are not read: {names:?}");
    let missing: Vec<&String> = names.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "there are no such tests: {missing:?}");
    for wrong in ["auth::no_such_test", "nowhere::*", "src/auth/token.rs: no_such_test", "rls::nothing", "no/file"] {
        assert!(!is_there(wrong), "{wrong} would not be missed");
    }
}

#[test]
fn the_containers_have_no_rights_to_lose() {
    let image = read("Dockerfile").unwrap();
    let production = image.split("AS production").nth(1).unwrap();
    for line in ["USER 10001", "ENTRYPOINT [\"teamai\"]", "/usr/sbin/nologin"] {
        assert!(production.contains(line), "the image lacks `{line}`");
    }
    let compose = read("docker-compose.yml").unwrap();
    let shared = compose.split("x-teamai:").nth(1).unwrap().split("\n\n").next().unwrap();
    for line in ["read_only: true", "cap_drop: [ALL]", "no-new-privileges:true", "target: production"] {
        assert!(shared.contains(line), "the compose file lacks `{line}`");
    }
    for service in ["api", "worker", "migrate"] {
        assert!(compose.contains(&format!("\n  {service}:\n    <<: *teamai\n")), "{service} is not built on x-teamai");
    }
}
