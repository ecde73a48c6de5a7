//! The schema in the binary: migrations in the order of their numbers, and SQL functions, one a file.
//!
//! `migrations/README.md` says how it changes.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write,
    sync::LazyLock,
};

use include_dir::{Dir, include_dir};
use sqlx::{
    AssertSqlSafe, PgConnection, PgPool, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

use super::{
    functions::{self, Function},
    schema_error::SchemaError,
};

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/migrations");

/// The schema of this build.
pub static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let files = FILES.files().chain(FILES.dirs().flat_map(Dir::files));
    Schema::from_files(files.filter_map(|file| Some((file.path().to_str()?, file.contents_utf8()?))))
});

/// The same for a database that has nothing yet: `#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]`.
pub static FRESH_SCHEMA: LazyLock<Migrator> = LazyLock::new(|| SCHEMA.at_once());

/// Migrations, each applied once, and functions, laid whenever their text changes.
#[derive(Debug)]
pub struct Schema {
    migrations: Migrator,
    /// Each after those that it names.
    functions: Vec<Function>,
}

/// What [`Schema::apply`] did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Versions of the migrations that were applied, oldest first.
    pub migrations: Vec<i64>,
    /// The version that the database has reached.
    pub version: i64,
    /// Names of the functions that were laid, in that order.
    pub laid: Vec<String>,
    /// Names of the functions that were dropped, as their files are gone.
    pub dropped: Vec<String>,
}

impl Schema {
    /// From the files of a folder such as `migrations/`, with their paths in it: `NNNN_name.sql` and
    /// `functions/name.sql`; others are left out.
    pub fn from_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut numbered, mut functions) = (Vec::new(), BTreeMap::new());
        for (path, text) in files {
            let Some(name) = path.strip_suffix(".sql") else { continue };
            if let Some(name) = name.strip_prefix("functions/") {
                functions.insert(name, text);
            } else if let Some((number, name)) = name.split_once('_')
                && let Ok(version) = number.parse()
            {
                numbered.push((version, name, text));
            }
        }
        let migrations = numbered.iter().map(|(version, name, text)| migration(*version, name, text, &functions));
        Self {
            migrations: Migrator::with_migrations(migrations.collect()),
            functions: in_order(&functions).into_iter().map(|name| Function::new(name, functions[name])).collect(),
        }
    }

    /// Applies the migrations that are missing, each in a transaction of its own, then lays the functions
    /// whose text changed and drops those that are gone, all in one.
    ///
    /// # Errors
    /// The database was made by other migrations, something in it stands in the way, or it is away.
    pub async fn apply(&self, connection: &mut PgConnection) -> Result<Applied, SchemaError> {
        let before = functions::applied_versions(connection).await?;
        self.migrations.run(&mut *connection).await?;
        let after = functions::applied_versions(connection).await?;
        let (laid, dropped) = functions::lay(connection, &self.functions).await?;
        Ok(Applied {
            version: after.last().copied().unwrap_or_default(),
            migrations: after.into_iter().filter(|version| !before.contains(version)).collect(),
            laid,
            dropped,
        })
    }

    /// How many migrations and functions a database has never had. A program is served by a database
    /// that has had its own, whatever a newer program laid since.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn missing(&self, pool: &PgPool) -> Result<usize, sqlx::Error> {
        let applied: HashSet<i64> = functions::successful_versions(pool).await?.into_iter().collect();
        let migrations = self.migrations.iter().filter(|migration| !applied.contains(&migration.version)).count();
        if migrations > 0 {
            return Ok(migrations);
        }
        let laid: HashSet<(String, Vec<u8>)> = functions::ever_laid(pool).await?.into_iter().collect();
        Ok(self.functions.iter().filter(|own| !laid.contains(&(own.name.clone(), own.checksum.clone()))).count())
    }

    /// With the functions behind the last migration that has a transaction.
    fn at_once(&self) -> Migrator {
        let mut migrations: Vec<Migration> = self.migrations.iter().cloned().collect();
        if let Some(last) = migrations.iter_mut().rfind(|migration| !migration.no_tx) {
            let mut sql = last.sql.as_str().to_owned();
            for Function { name, text, checksum } in &self.functions {
                let checksum = hex::encode(checksum);
                write!(
                    sql,
                    "\n{text}\ninsert into public._laid_functions (name, checksum) values ('{name}', '\\x{checksum}');\n"
                )
                .ok();
            }
            last.sql = AssertSqlSafe(sql).into_sql_str();
        }
        Migrator::with_migrations(migrations)
    }
}

/// A migration with the functions that it names by `\ir functions/name.sql` in their places, as psql
/// would read it. Its checksum is that of its own text: a function may change without it.
fn migration(version: i64, name: &str, text: &str, functions: &BTreeMap<&str, &str>) -> Migration {
    let mut sql = String::with_capacity(text.len());
    for line in text.lines() {
        sql.push_str(included(line).and_then(|name| functions.get(name)).unwrap_or(&line));
        sql.push('\n');
    }
    let no_transaction = text.starts_with("-- no-transaction");
    let written = AssertSqlSafe(text.to_owned()).into_sql_str();
    let mut migration =
        Migration::new(version, name.replace('_', " ").into(), MigrationType::Simple, written, no_transaction);
    migration.sql = AssertSqlSafe(sql).into_sql_str();
    migration
}

fn included(line: &str) -> Option<&str> {
    line.strip_prefix("\\ir functions/")?.strip_suffix(".sql")
}

/// The names of functions, each after those that it uses: a function in plain SQL is checked when it
/// is made.
fn in_order<'a>(functions: &BTreeMap<&'a str, &'a str>) -> Vec<&'a str> {
    fn place<'a>(
        name: &'a str,
        functions: &BTreeMap<&'a str, &'a str>,
        seen: &mut HashSet<&'a str>,
        placed: &mut Vec<&'a str>,
    ) {
        if !seen.insert(name) {
            return;
        }
        for used in uses(functions[name]) {
            if let Some((used, _)) = functions.get_key_value(used) {
                place(used, functions, seen, placed);
            }
        }
        placed.push(name);
    }
    let (mut seen, mut placed) = (HashSet::new(), Vec::new());
    for name in functions.keys() {
        place(name, functions, &mut seen, &mut placed);
    }
    placed
}

/// What follows `app.` outside of comments.
fn uses(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().map(|line| line.split_once("--").map_or(line, |(code, _)| code));
    code.flat_map(|line| line.split("app.").skip(1))
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default())
}

#[cfg(test)]
mod tests;
