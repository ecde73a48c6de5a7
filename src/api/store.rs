//! SQL for the readiness check.

use sqlx::PgPool;

pub async fn applied_migrations(pool: &PgPool) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!("select version from _sqlx_migrations where success").fetch_all(pool).await
}
