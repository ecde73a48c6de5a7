//! Why a schema could not be brought up to date.

use sqlx::migrate::MigrateError;

#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error(
        "migration {0} is not the one that made this database. Until 1.0 the baseline is edited in place, and \
         nothing leads from one baseline to the next: make the database anew (in a checkout, `make db-reset`)"
    )]
    OtherMigration(i64),
    #[error(
        "the database has migration {0}, which this build does not have: use the build that applied it, or, until \
         1.0, make the database anew (in a checkout, `make db-reset`)"
    )]
    UnknownMigration(i64),
    #[error("a migration failed; the ones before it stand")]
    Migration(#[source] MigrateError),
    #[error("the function app.{name} could not be laid; all functions are as they were")]
    Function { name: String, source: sqlx::Error },
    #[error("the schema could not be brought up to date")]
    Database(#[from] sqlx::Error),
}

impl From<MigrateError> for SchemaError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMismatch(version) => Self::OtherMigration(version),
            MigrateError::VersionMissing(version) => Self::UnknownMigration(version),
            other => Self::Migration(other),
        }
    }
}
