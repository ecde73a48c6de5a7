//! A database comes to the same schema, whether it is made anew or brought up to date.

use std::{collections::BTreeSet, path::Path, process::Command};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};
use teamai::{
    cli::dev::stack,
    db::{
        SCHEMA, SchemaError,
        schema::{Applied, Schema},
    },
};
use url::Url;

use crate::fixture::id;

/// A database beside the test's own, without a schema.
struct Empty {
    url: Url,
}

impl Empty {
    async fn beside(root: &PgPool) -> Self {
        let name = format!("schema_{}", id().simple());
        // not template1, which has the schema of this build in it
        let statement = format!("create database {name} template template0");
        sqlx::query(AssertSqlSafe(statement)).execute(root).await.unwrap();
        let mut url = own(root);
        url.set_path(&name);
        Self { url }
    }

    async fn apply(&self, schema: &Schema) -> Result<Applied, SchemaError> {
        let mut connection = PgConnection::connect(self.url.as_str()).await.unwrap();
        let done = schema.apply(&mut connection).await;
        connection.close().await.unwrap();
        done
    }

    async fn drop(self, root: &PgPool) {
        let statement = format!("drop database {} with (force)", self.url.path().trim_start_matches('/'));
        sqlx::query(AssertSqlSafe(statement)).execute(root).await.unwrap();
    }
}

/// The test's own database, as libpq takes it: without the driver's settings.
fn own(root: &PgPool) -> Url {
    let mut url = root.connect_options().to_url_lossy();
    url.set_query(None);
    url
}

/// What `pg_dump` says of a schema with its owners and rights, an entry for each thing. Partitions of a day
/// are left out: which there are is a question of the date.
fn dump(url: &Url) -> BTreeSet<String> {
    let done = Command::new(stack::program("pg_dump").expect("pg_dump is not installed"))
        .args(["--schema-only", "--dbname", url.as_str()])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    let entries = text.split("\n--\n-- Name: ").skip(1).filter(|entry| !entry.contains("task_events_2"));
    let stable = entries.map(|entry| {
        // What it says of itself, and a new key each time.
        let its_own = |line: &str| line.starts_with('\\') || line.starts_with("-- PostgreSQL database dump");
        let mut lines: Vec<&str> = entry.lines().filter(|line| !its_own(line)).collect();
        if lines[0].contains("Type: ACL") {
            lines.sort_unstable();
        }
        lines.join("\n").trim().to_owned()
    });
    stable.collect()
}

#[track_caller]
fn assert_same(left: &BTreeSet<String>, right: &BTreeSet<String>) {
    let only = |one: &BTreeSet<String>, other| one.difference(other).cloned().collect::<Vec<_>>().join("\n");
    assert!(left == right, "only left:\n{}\n\nonly right:\n{}", only(left, right), only(right, left));
    assert!(left.len() > 500, "only {} things were compared", left.len());
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_new_database_and_that_of_a_test_have_the_same_schema(root: PgPool) {
    let new = Empty::beside(&root).await;
    let applied = new.apply(&SCHEMA).await.unwrap();
    assert_eq!(applied.migrations.first(), Some(&1));
    assert!(applied.laid.len() > 50 && applied.dropped.is_empty(), "{applied:?}");
    assert_same(&dump(&new.url), &dump(&own(&root)));

    let again = new.apply(&SCHEMA).await.unwrap();
    assert_eq!((again.migrations, again.laid, again.dropped), (vec![], vec![], vec![]));
    new.drop(&root).await;
}

/// The files of `migrations/` as they were before they last changed: in the commit before the last one that
/// touched them, or, while they differ from the last commit, in that.
fn files_before() -> Option<Vec<(String, String)>> {
    let changed = git(&["status", "--porcelain", "--", "migrations"])?;
    let commit = if changed.is_empty() {
        let last = git(&["log", "-1", "--format=%H", "--", "migrations"])?;
        git(&["rev-parse", "--verify", "--quiet", &format!("{}^", last.trim())])?
    } else {
        "HEAD".to_owned()
    };
    let commit = commit.trim();
    let names = git(&["ls-tree", "-r", "--name-only", commit, "--", "migrations"])?;
    names.lines().map(|name| Some((name.to_owned(), git(&["show", &format!("{commit}:{name}")])?))).collect()
}

/// None where there is no git, or no such commit.
fn git(arguments: &[&str]) -> Option<String> {
    let done = Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
    done.status.success().then(|| String::from_utf8(done.stdout).ok()).flatten()
}

/// The files of a folder now, with their paths from the root of the repository.
fn files_now() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |folder: &str| {
        let files = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap());
        let files = files.filter(|entry| entry.file_type().unwrap().is_file());
        let named = |name: &str| format!("{folder}/{name}");
        files
            .map(|entry| (named(entry.file_name().to_str().unwrap()), std::fs::read_to_string(entry.path()).unwrap()))
            .collect::<Vec<_>>()
    };
    [read("migrations"), read("migrations/functions")].concat()
}

fn schema_of(files: &[(String, String)]) -> Schema {
    Schema::from_files(files.iter().map(|(path, text)| (path.trim_start_matches("migrations/"), text.as_str())))
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_upgrade_from_the_schema_before_gives_that_of_a_new_database(root: PgPool) {
    // Without history, from the schema as it is.
    let (before, now) = (files_before().unwrap_or_else(files_now), files_now());
    let upgraded = Empty::beside(&root).await;
    upgraded.apply(&schema_of(&before)).await.unwrap();
    let dump_before = dump(&upgraded.url);

    let numbered =
        |(path, _): &&(String, String)| path["migrations/".len()..].starts_with(|c: char| c.is_ascii_digit());
    let kept = before.iter().filter(numbered).all(|file| now.contains(file));
    let done = upgraded.apply(&SCHEMA).await;
    if kept {
        done.unwrap();
        assert_same(&dump(&upgraded.url), &dump(&own(&root)));
    } else {
        // Until 1.0 an applied migration may be edited: what it made is refused, and left alone.
        assert!(matches!(done, Err(SchemaError::OtherMigration(_) | SchemaError::UnknownMigration(_))), "{done:?}");
        assert!(dump(&upgraded.url) == dump_before);
    }
    upgraded.drop(&root).await;
}

/// The files with some functions as an earlier build may have had them.
fn other_functions() -> Vec<(String, String)> {
    let mut files = files_now();
    let mut edit = |name: &str, from: &str, to: &str| {
        let path = format!("migrations/functions/{name}.sql");
        let (_, text) = files.iter_mut().find(|(known, _)| *known == path).unwrap();
        assert!(text.contains(from), "{name} has no `{from}`");
        *text = text.replacen(from, to, 1);
    };
    // Another body of one that every table's policies need.
    edit("agency", "as $$ select", "as $$ /* before */ select");
    // Another owner, and other callers.
    edit("touch", "owner to teamai_owner;", "owner to teamai_definer;");
    edit("release_tasks", "to teamai_worker;", "to teamai_api;");
    edit("rules_of", "from public;", "from public;\ngrant execute on function app.rules_of to teamai_worker;");
    // Other arguments, and another result.
    edit("heartbeat", "p_lease_seconds integer)", "p_lease_seconds integer, p_more text)");
    edit("cancel_requests", "returns setof uuid", "returns setof text");
    edit("cancel_requests", "select t.id", "select t.id::text");
    files.push((
        "migrations/functions/of_before.sql".to_owned(),
        "create or replace function app.of_before() returns integer language sql return 1;".to_owned(),
    ));
    files
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn functions_are_laid_again_when_their_text_changed_and_dropped_with_their_file(root: PgPool) {
    let upgraded = Empty::beside(&root).await;
    upgraded.apply(&schema_of(&other_functions())).await.unwrap();
    assert!(dump(&upgraded.url) != dump(&own(&root)));

    let mut done = upgraded.apply(&SCHEMA).await.unwrap();
    done.laid.sort_unstable();
    assert_eq!(done.laid, ["agency", "cancel_requests", "heartbeat", "release_tasks", "rules_of", "touch"]);
    assert_eq!((done.migrations, done.dropped), (vec![], vec!["of_before".to_owned()]));
    assert_same(&dump(&upgraded.url), &dump(&own(&root)));
    upgraded.drop(&root).await;
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn one_function_that_cannot_be_laid_leaves_all_as_they_were(root: PgPool) {
    let mut files = other_functions();
    files.push((
        "migrations/functions/wrong.sql".to_owned(),
        "create or replace function app.wrong() nonsense".to_owned(),
    ));
    let before = dump(&own(&root));
    let refused = schema_of(&files).apply(&mut root.acquire().await.unwrap()).await;
    assert!(matches!(&refused, Err(SchemaError::Function { name, .. }) if name == "wrong"), "{refused:?}");
    assert_same(&dump(&own(&root)), &before);
}

/// A program of before is ready while it is replaced; one whose functions were never laid is not.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_a_program_needs_is_there_once_it_was_laid(root: PgPool) {
    assert_eq!(SCHEMA.missing(&root).await.unwrap(), 0);
    let other = schema_of(&other_functions());
    assert_eq!(other.missing(&root).await.unwrap(), 7);
    other.apply(&mut root.acquire().await.unwrap()).await.unwrap();
    assert_eq!((other.missing(&root).await.unwrap(), SCHEMA.missing(&root).await.unwrap()), (0, 0));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn each_function_stands_once_and_in_a_file(root: PgPool) {
    let mut found: Vec<String> =
        sqlx::query_scalar("select proname::text from pg_proc where pronamespace = 'app'::regnamespace")
            .fetch_all(&root)
            .await
            .unwrap();
    found.sort_unstable();
    let files = files_now();
    let name = |path: &str| Some(path.strip_prefix("migrations/functions/")?.strip_suffix(".sql")?.to_owned());
    let mut named: Vec<String> = files.iter().filter_map(|(path, _)| name(path)).collect();
    named.sort_unstable();
    assert_eq!(found, named);
}
