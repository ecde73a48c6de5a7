//! Why a task is not taken.

use chrono::{DateTime, Utc};

use crate::catalog::Problem;

#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    #[error("there is no such recipe: GET /recipes lists what this agency can run")]
    RecipeUnknown,
    #[error("the recipe has no such version: GET /recipes lists them")]
    VersionUnknown,
    #[error("there is no such agent, or it is not active: GET /agents lists them")]
    AgentUnknown,
    #[error("the inputs do not fit the recipe")]
    Inputs(Vec<Problem>),
    #[error(
        "the cookbook {cookbook} allows {limit} executions a month, and this would be more; the next month begins {}",
        .resets_at.format("%Y-%m-%dT%H:%M:%SZ")
    )]
    OverMonthlyLimit { cookbook: String, limit: u32, resets_at: DateTime<Utc> },
    #[error(
        "this agency has {most} tasks that have not ended, and can have no more: wait until some end, or cancel some; \
         those that wait for their run_at count too"
    )]
    QueueFull { most: u32 },
    #[error("must be at most {days} days from now; submit the task nearer to its time, or make a schedule")]
    TooFarAhead { days: i64 },
    /// Of a batch, by its place in it; none of it was written.
    #[error("{} of the tasks cannot be taken, so none was", .0.len())]
    Batch(Vec<(usize, SubmitError)>),
    #[error("the Idempotency-Key was used for another request in the last 24 hours")]
    KeyReused,
    #[error("the database is unavailable")]
    Unavailable,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
