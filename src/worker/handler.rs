//! One ticket, from claim to outcome.

use std::sync::Arc;

use apalis::prelude::{BoxDynError, Data};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span, warn};

use super::{running::Running, signals::Signals};
use crate::{
    db::lane::Lane,
    engine::{Engine, Outcome},
    queue::Ticket,
    tasks::lease::ClaimFlush,
};

/// What handling a ticket needs; shared by all of a process.
#[derive(Debug)]
pub struct Handler {
    pub engine: Engine,
    pub claims: Lane<ClaimFlush>,
    pub running: Running,
    pub signals: Arc<Signals>,
    /// Set at shutdown: nothing more is claimed.
    pub draining: CancellationToken,
}

/// Always acknowledges: attempts are counted in Postgres, and what was not
/// finished gets a new ticket from there.
pub async fn handle(ticket: Ticket, handler: Data<Arc<Handler>>) -> Result<(), BoxDynError> {
    // Before the look: at a stop, what claims is waited for.
    let claiming = handler.running.claiming();
    if handler.draining.is_cancelled() {
        return Ok(());
    }
    let answer = handler.claims.write(ticket.task_id).await;
    handler.signals.taken();
    let claimed = match answer {
        Ok(Some(claimed)) => claimed,
        Ok(None) => {
            debug!(task_id = %ticket.task_id, "nothing to claim for this ticket");
            return Ok(());
        }
        Err(error) => {
            warn!(task_id = %ticket.task_id, %error, "could not claim; the task is dispatched again");
            return Ok(());
        }
    };
    if claimed.status != "running" {
        info!(task_id = %claimed.id, status = claimed.status, attempt = claimed.attempt, "the claim ended the task");
        return Ok(());
    }
    let span = info_span!("task", task_id = %claimed.id, recipe = claimed.recipe_slug, attempt = claimed.attempt);
    let (guard, stop) = handler.running.hold(claimed.id, claimed.epoch);
    drop(claiming);
    async {
        match handler.engine.run(claimed, &stop).await {
            Outcome::Finished(status) => info!(status = status.as_str(), "task finished"),
            Outcome::Waiting => info!("the task waits"),
            Outcome::Stopped(reason) => info!(?reason, "run stopped"),
            Outcome::Unwritten(error) => warn!(%error, "the run could not be written; its lease will run out"),
        }
    }
    .instrument(span)
    .await;
    drop(guard);
    handler.signals.freed();
    Ok(())
}
