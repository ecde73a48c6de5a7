//! Lays SQL functions into a database, and remembers which text of each it has.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use super::schema_error::SchemaError;

/// "Cannot be replaced by one of this shape", and "which of the two do you mean?".
const OTHER_SHAPE: [&str; 2] = ["42P13", "42725"];

/// An SQL function of the schema `app`.
#[derive(Debug, Clone)]
pub struct Function {
    pub name: String,
    /// `create or replace function`, and whose it is to own and to call.
    pub text: String,
    /// SHA-256 of the text.
    pub checksum: Vec<u8>,
}

impl Function {
    pub fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned(), checksum: Sha256::digest(text).to_vec() }
    }
}

/// Lays the functions whose text is not the one that was laid last, and drops those that were laid and
/// are not among them. Gives the names of both. All of it in one transaction: whoever calls a function
/// finds the old ones or the new ones.
///
/// # Errors
/// A function cannot be made, one that something still needs cannot be dropped, or the database is unavailable.
pub async fn lay(
    connection: &mut PgConnection,
    functions: &[Function],
) -> Result<(Vec<String>, Vec<String>), SchemaError> {
    // A schema that has none has no table of them either.
    if functions.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut transaction = connection.begin().await?;
    // Of two that migrate at once the second finds everything done.
    sqlx::query!("lock table _laid_functions in exclusive mode").execute(&mut *transaction).await?;
    let standing = standing(&mut transaction).await?;
    let failed = |name: &str, source| SchemaError::Function { name: name.to_owned(), source };

    let changed = functions.iter().filter(|function| standing.get(&function.name) != Some(&function.checksum));
    let mut laid = Vec::new();
    for function in changed {
        lay_one(&mut transaction, function).await.map_err(|source| failed(&function.name, source))?;
        laid.push(function.name.clone());
    }
    let mut dropped = Vec::new();
    for name in standing.into_keys().filter(|name| functions.iter().all(|function| function.name != *name)) {
        drop_all(&mut transaction, &name).await.map_err(|source| failed(&name, source))?;
        sqlx::query!("delete from _laid_functions where name = $1", name).execute(&mut *transaction).await?;
        dropped.push(name);
    }
    transaction.commit().await?;
    Ok((laid, dropped))
}

/// Replaces a function, which spares whoever calls it at this moment. One that takes or gives something
/// else than before is dropped and made anew.
async fn lay_one(connection: &mut PgConnection, function: &Function) -> Result<(), sqlx::Error> {
    forget_rights(connection, &function.name).await?;
    let mut attempt = connection.begin().await?;
    match run(&mut attempt, &function.text).await {
        Ok(()) => attempt.commit().await?,
        Err(error) if has_other_shape(&error) => {
            attempt.rollback().await?;
            drop_all(connection, &function.name).await?;
            run(connection, &function.text).await?;
        }
        Err(error) => return Err(error),
    }
    sqlx::query!(
        "insert into _laid_functions (name, checksum) values ($1, $2)
             on conflict (name, checksum) do update set laid_at = excluded.laid_at",
        function.name,
        function.checksum,
    )
    .execute(connection)
    .await
    .map(drop)
}

fn has_other_shape(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| OTHER_SHAPE.contains(&code.as_ref()))
}

/// A function's rights as a new one has them. To replace it leaves them, those too that are no longer meant.
async fn forget_rights(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    let statements = sqlx::query_scalar!(
        r#"select format('revoke all on function %1$s from public, teamai_api, teamai_worker;
                          grant execute on function %1$s to public', p.oid::regprocedure) as "statement!"
             from pg_proc p where p.pronamespace = 'app'::regnamespace and p.proname = $1"#,
        name,
    )
    .fetch_all(&mut *connection)
    .await?;
    run(connection, &statements.join(";")).await
}

async fn drop_all(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    let statements = sqlx::query_scalar!(
        r#"select format('drop function %s', p.oid::regprocedure) as "statement!"
             from pg_proc p where p.pronamespace = 'app'::regnamespace and p.proname = $1"#,
        name,
    )
    .fetch_all(&mut *connection)
    .await?;
    run(connection, &statements.join(";")).await
}

async fn run(connection: &mut PgConnection, statements: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(connection).await.map(drop)
}

/// The checksum of each function's text that was laid last, by name.
async fn standing(connection: &mut PgConnection) -> Result<BTreeMap<String, Vec<u8>>, sqlx::Error> {
    let rows =
        sqlx::query!("select distinct on (name) name, checksum from _laid_functions order by name, laid_at desc")
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.checksum)).collect())
}

/// Names and checksums of all texts that were ever laid, but for functions that were dropped.
///
/// # Errors
/// The database is unavailable.
pub async fn ever_laid(pool: &PgPool) -> Result<Vec<(String, Vec<u8>)>, sqlx::Error> {
    let rows = sqlx::query!("select name, checksum from _laid_functions").fetch_all(pool).await?;
    Ok(rows.into_iter().map(|row| (row.name, row.checksum)).collect())
}

/// The versions of the migrations that have been applied, oldest first; none before the first run.
///
/// # Errors
/// The database is unavailable.
pub async fn applied_versions(connection: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    let exists =
        sqlx::query_scalar!("select to_regclass('_sqlx_migrations') is not null").fetch_one(&mut *connection).await?;
    if exists != Some(true) {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!("select version from _sqlx_migrations order by version").fetch_all(connection).await
}

/// The versions of the migrations that have been applied to their end.
///
/// # Errors
/// The database is unavailable.
pub async fn successful_versions(pool: &PgPool) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!("select version from _sqlx_migrations where success").fetch_all(pool).await
}
