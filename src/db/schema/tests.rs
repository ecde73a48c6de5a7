//! What the files of `migrations/` have to be like, and in which order functions are laid.

use super::*;

fn numbered() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.files().filter_map(|file| Some((file.path().to_str()?.strip_suffix(".sql")?, file.contents_utf8()?)))
}

#[test]
fn a_file_holds_the_one_definition_of_the_function_it_is_named_for() {
    assert!(SCHEMA.functions.len() > 50, "only {} functions were found", SCHEMA.functions.len());
    for Function { name, text, .. } in &SCHEMA.functions {
        assert!(text.starts_with("-- "), "{name}: begin with a comment that says what it does");
        let lower = text.to_lowercase();
        assert_eq!(lower.matches("create or replace function ").count(), 1, "{name}: one function a file");
        assert!(lower.contains(&format!("\ncreate or replace function app.{name}(")), "{name}: defines another name");
        let owner = format!("\nalter function app.{name} owner to teamai_");
        let owner = text.split_once(&owner).map(|(_, rest)| rest.lines().next().unwrap_or_default());
        assert!(matches!(owner, Some("owner;" | "definer;")), "{name}: say who owns it");
    }
    for (name, text) in numbered() {
        let lower = text.to_lowercase();
        let starts = ["create function ", "create or replace function "];
        let defines = lower.lines().any(|line| starts.iter().any(|start| line.starts_with(start)));
        assert!(!defines, "{name}: a function stands in functions/, a file of its own");
    }
}

#[test]
fn migrations_include_files_that_are_there_and_alter_no_function() {
    let mut included_files = 0;
    for (path, text) in numbered() {
        for line in text.lines().filter(|line| line.starts_with('\\')) {
            let name = included(line).unwrap_or_else(|| panic!("{path}: `{line}` is no `\\ir functions/NAME.sql`"));
            assert!(SCHEMA.functions.iter().any(|function| function.name == name), "{path}: {name} is not there");
            included_files += 1;
        }
        assert!(!text.contains("alter function"), "{path}: whose a function is, its own file says");
    }
    assert!(included_files > 0);
    assert!(SCHEMA.migrations.iter().all(|migration| !migration.sql.as_str().contains("\n\\ir ")));
}

#[test]
fn a_function_is_laid_after_those_it_uses() {
    let functions = [
        ("a", "-- app.z is no use\ncreate or replace function app.a() ... app.c(app.b_more())"),
        ("b", "... app.a()"),
        ("c", "... app.submission, app.c(), app.d"),
        ("d", "..."),
        ("z", "... app.a()"),
    ];
    assert_eq!(in_order(&functions.into()), ["d", "c", "a", "b", "z"]);
    // One that use each other have no order, and an end.
    assert_eq!(in_order(&[("a", "app.b()"), ("b", "app.a()")].into()), ["b", "a"]);
}

#[test]
fn a_migration_keeps_its_checksum_when_a_function_changes() {
    let schema = |text| {
        Schema::from_files([
            ("0001_first.sql", "select 1;\n\\ir functions/f.sql\nselect 2;\n"),
            ("0002_second.sql", "-- no-transaction\nselect 3;\n"),
            ("functions/f.sql", text),
            ("README.md", "no SQL"),
        ])
    };
    let (old, new) = (schema("-- old"), schema("-- new"));
    let first = |schema: &Schema| schema.migrations.iter().next().unwrap().clone();
    assert_eq!(first(&new).sql.as_str(), "select 1;\n-- new\nselect 2;\n");
    assert_eq!(first(&old).checksum, first(&new).checksum);
    assert_ne!(old.functions[0].checksum, new.functions[0].checksum);
    // The functions do not come behind what has no transaction.
    let at_once: Vec<_> =
        new.at_once().iter().map(|migration| migration.sql.as_str().contains("_laid_functions")).collect();
    assert_eq!(at_once, [true, false]);
}
