//! The run of a task: graph walk, steps, checkpoints, and the ledger's side of calls.
//!
//! - [`walk`]: the graph of the nodes, from claim to finish
//! - [`parts`], [`plans`]: what every run uses; recipes made ready
//! - [`run`]: what the nodes of a run share
//! - [`node`], [`each`]: one node: `when`, `for_each`
//! - [`node_end`]: how a node comes out, and what is written of it
//! - [`room`], [`accept`]: the memory that runs may hold, and outputs that are taken in
//! - [`work`], [`attempt`]: one occurrence of a node: rendering, secrets, retries, the component
//! - [`rendering`]: the threads that templates are rendered on
//! - [`rest`], [`waits`]: nodes that wait, and letting go of a task that can only wait
//! - [`past`]: what earlier claims left behind
//! - [`cache`]: results kept for other runs
//! - [`finish`], [`output`]: the task's last write, and what it gives
//! - [`record`]: the group-commit writer of intents, lines, steps and finishes
//! - [`turns`]: what an Agent has kept of its conversation
//! - [`meter`], [`run_ledger`]: the ledger's side of a node's calls, and the run's money
//! - [`secrets`], [`clean`]: what a node may open, and keeping it out of everything written

mod accept;
mod attempt;
mod cache;
mod caps;
mod clean;
mod codes;
mod each;
mod facts;
mod finish;
mod meter;
mod node;
mod node_end;
mod output;
mod parts;
mod past;
mod plans;
pub mod record;
mod rendering;
mod rest;
mod retry;
mod room;
mod run;
mod run_ledger;
mod secrets;
mod stop;
mod turns;
mod waits;
mod walk;
mod work;

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use redis::aio::ConnectionManager;
use sqlx::PgPool;

use crate::{
    base::{Clock, apart::Apart},
    billing::PriceBooks,
    components::Shared,
    egress,
    locker::Locker,
    providers,
    tasks::lease::Claimed,
};

pub use finish::Outcome;
pub use record::{RecordError, Recorder};
pub use stop::{StopReason, StopSignal};

use parts::Parts;

/// Runs claimed tasks; cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Parts>);

impl Engine {
    /// # Errors
    /// The threads for templates cannot be started.
    #[expect(clippy::too_many_arguments, reason = "each is a part that every run uses")]
    pub fn new(
        pool: PgPool,
        clock: Arc<dyn Clock>,
        locker: Arc<Locker>,
        prices: Arc<PriceBooks>,
        egress: egress::Client,
        providers: providers::Registry,
        components: BTreeMap<&'static str, Shared>,
        redis: ConnectionManager,
    ) -> std::io::Result<Self> {
        let apart = Arc::new(Apart::start()?);
        let kept = cache::Kept::new(redis);
        let recorder = Recorder::start(&pool);
        let turns = turns::lane(&pool);
        let plans = plans::Plans::default();
        Ok(Self(Arc::new(Parts {
            pool,
            clock,
            locker,
            prices,
            egress,
            providers,
            components,
            recorder,
            kept,
            turns,
            plans,
            apart,
            rooms: Arc::default(),
        })))
    }

    /// Runs a claimed task to its end, or until it is stopped.
    #[must_use]
    pub fn run<'a>(&'a self, claimed: Claimed, stop: &'a StopSignal) -> BoxFuture<'a, Outcome> {
        walk::run(&self.0, claimed, stop).boxed()
    }
}
