//! The few statements of the commands themselves: databases, roles and their passwords.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::base::AgencyId;

/// Gives a login role a password. The server quotes both, so neither can break out.
///
/// # Errors
/// The caller may not change that role, or the database is unavailable.
pub async fn set_password(connection: &mut PgConnection, role: &str, password: &str) -> Result<(), sqlx::Error> {
    let statement =
        sqlx::query_scalar!("select format('alter role %I password %L', $1::text, $2::text)", role, password)
            .fetch_one(&mut *connection)
            .await?
            .unwrap_or_default();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.map(drop)
}

/// For the rest of the transaction, acts as the role that sees every agency's rows.
///
/// # Errors
/// The caller is no member of that role, or the database is unavailable.
pub async fn cross_tenants(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("set local role teamai_definer").execute(connection).await.map(drop)
}

/// Makes a database unless it is there; says whether it was made.
///
/// # Errors
/// The caller may not make databases, or the database is unavailable.
pub async fn ensure_database(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    let statement = sqlx::query_scalar!(
        "select format('create database %I', $1::text) where not exists (select from pg_database where datname = $1)",
        name
    )
    .fetch_optional(&mut *connection)
    .await?
    .flatten();
    match statement {
        Some(statement) => sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.map(|_| true),
        None => Ok(false),
    }
}

/// Puts dead tasks back: these, or all of them. Gives those that were dead. For a
/// transaction of [`cross_tenants`].
///
/// # Errors
/// The database is unavailable.
pub async fn requeue(
    connection: &mut PgConnection,
    tasks: Option<&Vec<Uuid>>,
    agency: Option<AgencyId>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select id as "id!" from app.requeue(array(
             select t.id from task_queue t
              where t.status = 'dead' and t.finished_at is not null
                and ($1::uuid[] is null or t.id = any ($1)) and ($2::uuid is null or t.agency_id = $2))) as r (id)"#,
        tasks as Option<&Vec<Uuid>>,
        agency.map(|agency| agency.0),
    )
    .fetch_all(connection)
    .await
}

/// How many finished tasks ended before then. For a transaction of [`cross_tenants`].
///
/// # Errors
/// The database is unavailable.
pub async fn prunable(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    agency: Option<AgencyId>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from task_queue
            where finished_at < $1 and ($2::uuid is null or agency_id = $2)"#,
        before,
        agency.map(|agency| agency.0),
    )
    .fetch_one(connection)
    .await
}

/// Deletes finished tasks that ended before then, at most so many; gives how many. For a
/// transaction of [`cross_tenants`].
///
/// # Errors
/// The database is unavailable.
pub async fn prune(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    agency: Option<AgencyId>,
    limit: i64,
) -> Result<i64, sqlx::Error> {
    let deleted = sqlx::query!(
        "with old as (
           select t.id from agencies g
            cross join lateral (select q.id from task_queue q
                                 where q.agency_id = g.id and q.finished_at < $1
                                 order by q.finished_at limit $3 for update skip locked) t
            where $2::uuid is null or g.id = $2 limit $3)
         delete from task_queue q using old where q.id = old.id",
        before,
        agency.map(|agency| agency.0),
        limit,
    )
    .execute(connection)
    .await?;
    Ok(i64::try_from(deleted.rows_affected()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Executor, PgPool, postgres::PgConnectOptions};

    use super::*;

    #[sqlx::test]
    async fn a_password_with_quotes_lets_the_role_in(pool: PgPool) {
        let mut connection = pool.acquire().await.unwrap();
        let role = format!("Test \"{}\" role", std::process::id());
        let statement: String = sqlx::query_scalar("select format('create role %I login', $1::text)")
            .bind(&role)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
        set_password(&mut connection, &role, "it's; drop \\ 'x").await.unwrap();
        let stored: String = sqlx::query_scalar("select rolpassword from pg_authid where rolname = $1")
            .bind(&role)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert!(stored.starts_with("SCRAM-SHA-256$"), "{stored}");
        let drop: String = sqlx::query_scalar("select format('drop role %I', $1::text)")
            .bind(&role)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        connection.execute(AssertSqlSafe(drop)).await.unwrap();
    }

    #[sqlx::test]
    async fn a_database_is_made_once(pool: PgPool) {
        let mut connection = pool.acquire().await.unwrap();
        let name = format!("made once {}", std::process::id());
        assert!(ensure_database(&mut connection, &name).await.unwrap());
        assert!(!ensure_database(&mut connection, &name).await.unwrap());
        let options = PgConnectOptions::clone(&pool.connect_options()).database(&name);
        sqlx::PgConnection::connect_with(&options).await.unwrap().close().await.unwrap();
        let drop: String = sqlx::query_scalar("select format('drop database %I', $1::text)")
            .bind(&name)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        connection.execute(AssertSqlSafe(drop)).await.unwrap();
    }
}
