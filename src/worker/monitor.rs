//! The supervised apalis workers, and the orderly end.

use std::{
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use apalis::prelude::{Monitor, ParallelizeExt, WorkerBuilder, WorkerBuilderExt};
use redis::{Client, aio::ConnectionManager};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    dispatch::Dispatcher,
    handler::{self, Handler},
    heartbeat, housekeep, presence, prune,
    running::Running,
    scheduler,
    signals::Signals,
};
use crate::{
    db::{self, lane::Lane},
    engine::{Engine, StopReason},
    queue::{self, Tickets, Wake},
    tasks::{
        lease::{self, ClaimFlush},
        submit::Submitter,
    },
    webhooks::Deliverer,
};

const HAND_BACK_WITHIN: Duration = Duration::from_secs(3);
/// Claims after which a task that never finished is dead.
const MAX_CLAIMS: i32 = 5;
/// With this claim, the last, a task runs beside no other that has but one: what brought the
/// worker down each time is told from what stood beside it. No earlier, as a database that
/// is away costs every task its claim, and one at a time is slow.
const ALONE_FROM: i32 = MAX_CLAIMS;
const CLAIM_BATCH: usize = 200;
/// An apalis worker that ended with an error starts again after this.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The parts of a worker.
#[derive(Debug)]
pub struct Worker {
    pub pool: PgPool,
    pub engine: Engine,
    /// As the worker's role: for the tasks of schedules.
    pub submitter: Submitter,
    pub deliverer: Deliverer,
    pub redis: (Client, ConnectionManager),
    /// Tasks in flight.
    pub concurrency: usize,
    /// Tasks of one agency that may run at once, in all workers.
    pub agency_limit: Option<i32>,
    /// What runs at a stop has this long to finish; the rest is handed back.
    pub finish_within: Duration,
    pub lease_seconds: u32,
    /// Finished tasks are kept so long, unless their agency says otherwise.
    pub retention_days: u32,
    /// New at each boot: apalis refuses a name that it saw lately.
    pub name: String,
}

/// Runs until `stop`, then stops claiming, lets tasks finish, and hands the rest back.
pub async fn run(worker: Worker, stop: CancellationToken) {
    let Worker { pool, engine, submitter, deliverer, redis: (client, connection), concurrency, .. } = worker;
    let Worker { agency_limit, finish_within, lease_seconds, retention_days, name, .. } = worker;
    let running = Running::default();
    let claims = Lane::start(
        ClaimFlush {
            pool: pool.clone(),
            worker: name.clone(),
            lease_seconds: i32::try_from(lease_seconds).unwrap_or(i32::MAX),
            max_claims: MAX_CLAIMS,
            alone_from: ALONE_FROM,
            agency_limit,
        },
        CLAIM_BATCH,
    );
    let draining = stop.child_token();
    let wake = Wake::default();
    let signals = Arc::new(Signals::new(wake.backlog(), concurrency));
    let handler = Arc::new(Handler {
        engine,
        claims,
        running: running.clone(),
        signals: Arc::clone(&signals),
        draining: draining.clone(),
    });
    let capacity = Arc::new(AtomicU32::new(u32::try_from(concurrency).unwrap_or(u32::MAX)));
    let tickets = Tickets::new(connection.clone());
    let dispatcher = Dispatcher {
        pool: pool.clone(),
        tickets: tickets.clone(),
        signals,
        capacity: Arc::clone(&capacity),
        agency_limit,
        alone_from: ALONE_FROM,
    };
    let background = CancellationToken::new();
    let tasks = [
        tokio::spawn(wake.clone().listen(client, background.clone())),
        tokio::spawn(heartbeat::run(pool.clone(), running.clone(), lease_seconds, wake.cancels(), background.clone())),
        tokio::spawn(dispatcher.run(stop.clone())),
        tokio::spawn(prune::run(tickets, stop.clone())),
        tokio::spawn(presence::run(
            pool.clone(),
            name.clone(),
            concurrency,
            running.clone(),
            capacity,
            background.clone(),
        )),
        tokio::spawn(scheduler::run(pool.clone(), submitter, stop.clone())),
        tokio::spawn(housekeep::run(pool.clone(), retention_days, stop.clone())),
        tokio::spawn(deliverer.run(finish_within, stop.clone())),
    ];
    info!(name, concurrency, "worker started");
    let pulling = tokio::spawn(pull(name, connection, wake, concurrency, finish_within, handler, stop.clone()));

    stop.cancelled().await;
    info!(running = running.len(), "stopping: nothing more is claimed");
    if !running.drained(finish_within).await {
        hand_back(&pool, &running).await;
    }
    background.cancel();
    for task in tasks {
        report(task.await);
    }
    pulling.abort();
    info!("worker stopped");
}

/// Supervises the apalis worker: any Redis error ends its run, and the next one
/// needs a new name and a pause.
async fn pull(
    name: String,
    connection: ConnectionManager,
    wake: Wake,
    concurrency: usize,
    finish_within: Duration,
    handler: Arc<Handler>,
    stop: CancellationToken,
) {
    let mut boot = 0_u64;
    let tickets = Tickets::new(connection.clone());
    while !stop.is_cancelled() {
        boot += 1;
        mend(&tickets).await;
        let (name, connection, wake, handler) =
            (format!("{name}-{boot}"), connection.clone(), wake.clone(), Arc::clone(&handler));
        let monitor = Monitor::new()
            .register(move |_| {
                WorkerBuilder::new(name.clone())
                    .backend(queue::storage(connection.clone(), &wake))
                    .data(Arc::clone(&handler))
                    .concurrency(concurrency)
                    .catch_panic()
                    .parallelize(tokio::spawn)
                    .build(handler::handle)
            })
            .should_restart(|_, _| false)
            .shutdown_timeout(finish_within + HAND_BACK_WITHIN);
        let signal = stop.clone();
        let ended = monitor
            .run_with_signal(async move {
                signal.cancelled().await;
                Ok(())
            })
            .await;
        if stop.is_cancelled() {
            return;
        }
        warn!(?ended, "the apalis worker ended; starting it again under a new name");
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RESTART_PAUSE) => {}
        }
    }
}

/// What stopped one apalis worker would stop the next.
async fn mend(tickets: &Tickets) {
    match tickets.mend().await {
        Ok(0) => {}
        Ok(dropped) => warn!(dropped, "Redis held what is not ours: it was dropped, and tasks get new tickets"),
        Err(error) => warn!(%error, "could not look over what Redis holds"),
    }
}

async fn hand_back(pool: &PgPool, running: &Running) {
    if !running.claimed(HAND_BACK_WITHIN).await {
        warn!("a claim was not answered in time; its lease will run out");
    }
    let (ids, epochs) = running.claims();
    running.stop_all(StopReason::Shutdown);
    // The runs write what their calls came to, and then end.
    if !running.drained(HAND_BACK_WITHIN).await {
        warn!(left = running.len(), "some runs did not stop in time; their leases will run out");
    }
    match db::bounded(HAND_BACK_WITHIN, lease::release(pool, &ids, &epochs)).await {
        Ok(released) => info!(tasks = released.len(), "handed back"),
        Err(error) => warn!(%error, "could not hand tasks back; their leases will run out"),
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        warn!(%error, "a part of the worker ended with an error");
    }
}
