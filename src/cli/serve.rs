//! Serving: the parts of one process, from start to a stop in good order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use poem::{
    Server,
    listener::{Acceptor, Listener, TcpListener},
};
use secrecy::ExposeSecret;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{guarded::guarded, key_probe::ProviderKeys, root_keys};
use crate::{
    api::{self, ApiState, Browsers, Connections},
    auth::Auth,
    base::{Clock, SystemClock, apart::Apart, random},
    billing::PriceBooks,
    catalog, components,
    config::{Config, ConfigError},
    db,
    engine::Engine,
    events::Streams,
    limits::Limiter,
    locker::Locker,
    providers::{Registry, RegistryError},
    queue::{self, Tickets},
    simulator::Scripted,
    tasks::{TaskReader, submit::Submitter, workers::Standstill},
    webhooks::Deliverer,
    worker::{self, Worker},
};

/// How often the worker looks for new prices.
const PRICES_EVERY: Duration = Duration::from_mins(1);
/// A worker that finds Postgres away at its start tries again after this.
const RETRY: Duration = Duration::from_secs(1);
/// Answers that are under way at a stop are given this long.
const FINISH_ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// Upper bounds of the request histogram, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Which parts a process runs.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    pub api: bool,
    pub worker: bool,
}

/// The locker of the configuration.
///
/// # Errors
/// There is no root key.
pub fn locker(config: &Config) -> Result<Locker, ConfigError> {
    Ok(Locker::with_previous(config.root_key()?.clone(), &config.locker.previous_root_keys))
}

/// What both parts share.
struct Shared {
    config: Config,
    clock: Arc<dyn Clock>,
    locker: Arc<Locker>,
    redis: (redis::Client, redis::aio::ConnectionManager),
    metrics: PrometheusHandle,
}

/// Runs the parts until `shutdown`; calls `ready` once they are up.
///
/// # Errors
/// A key is missing, a setting is wrong, or the port cannot be opened.
pub async fn run(
    config: Config,
    parts: Parts,
    shutdown: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    let shared = Shared {
        locker: Arc::new(locker(&config)?),
        redis: queue::connect(config.redis_url.expose_secret()).context("REDIS_URL is not a Redis URL")?,
        clock: SystemClock::shared(),
        metrics: metrics()?,
        config,
    };
    let compared = root_keys::compare(&shared.config, Arc::clone(&shared.locker), shutdown.clone());
    let worker = if parts.worker {
        Some(tokio::spawn(worker::run(build_worker(&shared, &shutdown).await?, shutdown.clone())))
    } else {
        None
    };
    if parts.api {
        serve_api(&shared, shutdown.clone(), ready).await?;
    } else {
        shutdown.cancelled().await;
    }
    if let Some(worker) = worker {
        worker.await.context("the worker ended with an error")?;
    }
    compared.await.context("the comparison of root keys ended with an error")?
}

async fn serve_api(shared: &Shared, shutdown: CancellationToken, ready: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let Shared { config, clock, .. } = shared;
    let pool = db::connect(config.database.url.expose_secret(), "teamai api", config.database.max_connections)
        .context("DATABASE_URL is not a Postgres URL")?;
    let tickets = Tickets::new(shared.redis.1.clone());
    let limiter = Limiter::new(config.limits, shared.redis.1.clone());
    let auth = Arc::new(Auth::new(pool.clone(), Arc::clone(clock), config.signing_key()?)?);
    let oidc = super::oidc::service(config, &auth)?;
    let providers = providers(config)?;
    let streams = Streams::start(pool.clone(), shutdown.clone());
    let provider_names = providers.names().into_iter().map(str::to_owned).collect();
    let state = ApiState {
        submitter: Submitter::start(pool.clone(), tickets.clone(), Arc::clone(clock), config.limits.agency_open_tasks),
        tasks: TaskReader::new(pool.clone()),
        pool,
        clock: Arc::clone(clock),
        auth,
        oidc: Arc::new(oidc),
        registration_open: config.auth.registration_open,
        locker: Arc::clone(&shared.locker),
        key_probe: Arc::new(ProviderKeys(providers)),
        tickets,
        standstill: Standstill::default(),
        streams,
        apart: Arc::new(Apart::start().context("the threads for strangers' work cannot be started")?),
        egress: guarded(config)?,
        limiter,
        trusted_proxies: config.http.trusted_proxies.clone().into(),
        browsers: Browsers::new(&config.http.cors_origins, config.http.public_url.as_ref()),
        metrics: shared.metrics.clone(),
        recipe_schema: catalog::schema::recipe_text().into(),
        providers: provider_names,
    };
    let connections = Connections::new(Arc::clone(&state.trusted_proxies));
    let bind = &config.http.bind;
    let acceptor = TcpListener::bind(bind).into_acceptor().await.with_context(|| format!("cannot listen on {bind}"))?;
    let address = acceptor.local_addr().into_iter().find_map(|address| address.as_socket_addr().copied());
    ready(address.context("the port has no address")?);
    Server::new_with_acceptor(connections.accepted_by(acceptor))
        .run_with_graceful_shutdown(
            connections.answered_by(api::routes(state)),
            shutdown.cancelled_owned(),
            Some(FINISH_ANSWERS_WITHIN),
        )
        .await
        .context("the server ended")
}

async fn build_worker(shared: &Shared, shutdown: &CancellationToken) -> anyhow::Result<Worker> {
    let Shared { config, clock, .. } = shared;
    let database = &config.database;
    let pool = db::connect(database.worker_url.expose_secret(), "teamai worker", database.max_connections)
        .context("TEAMAI_DATABASE__WORKER_URL is not a Postgres URL")?;
    let prices = Arc::new(load_prices(&pool, shutdown).await?);
    let fresh = Arc::clone(&prices);
    let stop = shutdown.clone();
    tokio::spawn(async move { fresh.keep_fresh(PRICES_EVERY, stop).await });
    let client = guarded(config)?;
    let engine = Engine::new(
        pool.clone(),
        Arc::clone(clock),
        Arc::clone(&shared.locker),
        prices,
        client.clone(),
        providers(config)?,
        components::registry(),
        shared.redis.1.clone(),
    )?;
    let (tickets, most_open) = (Tickets::new(shared.redis.1.clone()), config.limits.agency_open_tasks);
    let submitter = Submitter::start(pool.clone(), tickets, Arc::clone(clock), most_open);
    let deliverer =
        Deliverer { pool: pool.clone(), locker: Arc::clone(&shared.locker), client, clock: Arc::clone(clock) };
    Ok(Worker {
        pool,
        submitter,
        engine,
        deliverer,
        redis: shared.redis.clone(),
        concurrency: config.worker.concurrency,
        agency_limit: config.worker.agency_concurrency,
        finish_within: Duration::from_secs(u64::from(config.worker.drain_seconds)),
        lease_seconds: config.lease.seconds,
        retention_days: config.retention.days,
        name: worker_name()?,
    })
}

/// The providers of the configuration, with the scripted one, which costs nothing, needs
/// no key and reaches nothing.
fn providers(config: &Config) -> Result<Registry, RegistryError> {
    Registry::new(&config.providers, vec![Arc::new(Scripted::default())])
}

/// Waits for a Postgres that is still starting.
async fn load_prices(pool: &PgPool, shutdown: &CancellationToken) -> anyhow::Result<PriceBooks> {
    loop {
        let error = match PriceBooks::load(pool.clone()).await {
            Ok(prices) => return Ok(prices),
            Err(error) if !db::is_unavailable(&error) => return Err(error).context("cannot read the price book"),
            Err(error) => error,
        };
        warn!(%error, "waiting for Postgres");
        tokio::select! {
            () = shutdown.cancelled() => anyhow::bail!("stopped while waiting for Postgres"),
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// New at each boot: apalis refuses a name that it saw lately.
fn worker_name() -> anyhow::Result<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    Ok(format!("{host}-{}-{}", std::process::id(), hex::encode(random::bytes::<4>()?)))
}

/// The process' metrics. Where a recorder was installed before, as in tests, it stays.
fn metrics() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("duration_seconds".to_owned()), &SECONDS)?
        .build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        info!("metrics are collected by a recorder that was installed before");
    }
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}
