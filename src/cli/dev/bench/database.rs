//! What the benchmark asks Postgres itself: whether all is done and right, and how it is set.

use sqlx::PgConnection;

/// Whether any task is not finished.
///
/// # Errors
/// The database is unavailable.
pub async fn is_busy(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let open = sqlx::query_scalar!(r#"select exists(select from task_queue where finished_at is null) as "open!""#);
    open.fetch_one(connection).await
}

/// What all runs left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub tasks: i64,
    /// Completed, with all three steps.
    pub completed: i64,
    pub steps: i64,
    pub execution_lines: i64,
    /// Every line of the ledger, chained.
    pub lines: i64,
}

/// # Errors
/// The database is unavailable.
pub async fn tally(connection: &mut PgConnection) -> Result<Tally, sqlx::Error> {
    sqlx::query_as!(
        Tally,
        r#"select (select count(*) from task_queue) as "tasks!",
                  (select count(*) from task_queue where status = 'completed' and steps_done = 3) as "completed!",
                  (select count(*) from task_steps) as "steps!",
                  (select count(*) from audit_logs where kind = 'execution') as "execution_lines!",
                  (select count(*) from audit_logs) as "lines!""#,
    )
    .fetch_one(connection)
    .await
}

/// Version and durability of the server, as `(name, value)`.
///
/// # Errors
/// The database is unavailable.
pub async fn settings(connection: &mut PgConnection) -> Result<Vec<(String, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select name as "name!", setting as "setting!" from pg_settings
            where name in ('server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers',
                           'wal_sync_method', 'max_wal_size')
            order by name"#,
    );
    Ok(rows.fetch_all(connection).await?.into_iter().map(|row| (row.name, row.setting)).collect())
}

/// The table into which pgbench inserts.
///
/// # Errors
/// The database is unavailable.
pub async fn make_anchor(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "create table if not exists bench_anchor (id bigint generated always as identity primary key, note text not null)")
        .execute(connection)
        .await
        .map(drop)
}
