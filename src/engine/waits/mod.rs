//! What a node waits for without a worker: people's answers, and tasks that it started.
//!
//! - [`ask`]: a question and its answer
//! - [`approval`]: the `Approval` node, and calls whose answer was lost
//! - [`sub_recipe`]: the `SubRecipe` node

mod approval;
mod ask;
mod store;
mod sub_recipe;

use std::time::Duration;

use super::meter;
use crate::{
    catalog::control::Fault,
    components::{ComponentError, Retry},
    db,
};

/// How often a node looks for news while others of its task are still at work. A task
/// that waits as a whole is woken up instead.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What a look that failed means: `Ok` to look again, else the run ends here.
fn unread(error: &sqlx::Error) -> Result<(), ComponentError> {
    if db::is_unavailable(error) {
        return Ok(());
    }
    Err(ComponentError::new("run_stopped", error.to_string()).retry(Retry::Stop))
}

/// The first thing that is wrong with a rendered config.
fn refused(faults: Vec<Fault>) -> ComponentError {
    faults.into_iter().next().map_or_else(
        || ComponentError::new("invalid_config", "the config cannot be used").field("config"),
        |fault| {
            let path = fault.path();
            ComponentError::new("invalid_config", format!("{path} {}", fault.message)).field(path)
        },
    )
}

fn stop(error: &super::RecordError) -> ComponentError {
    meter::stop(error)
}
