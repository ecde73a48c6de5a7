//! The pool, transactions in a tenant's context, the schema, batching lanes, JSON as text.

mod by_agency;
mod functions;
pub mod json_text;
pub mod lane;
pub mod pool;
pub mod schema;
mod schema_error;

pub use by_agency::Parts;
pub use json_text::JsonText;
pub use pool::{ANSWER_WITHIN, bounded, connect, tenant};
pub use schema::{FRESH_SCHEMA, SCHEMA};
pub use schema_error::SchemaError;

/// The name of the constraint that refused a write, for turning it into a domain error.
#[must_use]
pub fn violated_constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint)
}

/// Whether the database was away, so that the same call may succeed later.
#[must_use]
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => true,
        // 08 connection, 53 resources, 57P shutdown or starting up, 40 serialization or deadlock
        sqlx::Error::Database(e) => {
            e.code().is_some_and(|code| ["08", "53", "57P", "40"].iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}
