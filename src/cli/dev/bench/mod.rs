//! `teamai bench`: what this machine does with the real server, worker, Postgres and Redis.
//!
//! Everything is as in production: commits are synced to disk, requests are
//! signed and come over a socket, every promise is kept and afterwards checked.
//! Only the model is scripted. Client, servers and databases share the machine.

mod database;
mod figures;
mod load;
mod part;
mod pgbench;
mod tenant;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;

use self::{
    figures::{Figures, percentile_ms},
    load::{Connection, Load, Until},
    part::Part,
    pgbench::Pgbench,
    tenant::Tenant,
};
use super::{
    private::{self, Private},
    stack::Options,
};
use crate::{
    cli::{env::Env, progress::Progress, shutdown, telemetry::Output},
    config::Config,
};

/// Runs of three durable steps that DBOS 3.4 and Restate 1.7 reached at their best,
/// each on a quiet machine with two cores. They are not measured in the same run.
const DBOS_RUNS: f64 = 104.0;
const RESTATE_RUNS: f64 = 794.0;
/// How long the last run may take after the last submission.
const PATIENCE: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Measure this machine: tasks taken in a second, runs recorded in a second, one run alone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Seconds of each measurement that has no end of its own
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Runs of each recipe in a round
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    runs: u32,
    /// Connections that submit
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    clients: u16,
    /// Rounds; medians are over them
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Where the servers' log goes
    #[arg(long, default_value = "/dev/null", value_name = "FILE")]
    log: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// # Errors
/// A server does not start, a request is refused, or a run is not recorded in full.
pub async fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    let shutdown = shutdown::on_signal()?;
    let mut progress = Progress::start();
    progress.now("starting a private Postgres, Redis and API");
    let log = Output::File(args.log.clone());
    let bind = Some("127.0.0.1:0".to_owned());
    let private = private::start(&env, &Options::durable(None), bind, &log).await?;
    let report = tokio::select! {
        report = measure(&args, &private, &mut progress) => report,
        () = shutdown.cancelled() => Err(anyhow::anyhow!("interrupted")),
    };
    drop(progress);
    private.stack.stop().await?;
    println!("{}", report?);
    Ok(ExitCode::SUCCESS)
}

async fn measure(args: &Args, private: &Private, progress: &mut Progress) -> anyhow::Result<String> {
    let (api, address) = Part::api(&private.config).await?;
    let mut bench = Bench::prepare(args, private, Tenant::sign_up(address).await?).await?;
    for round in 1..=args.rounds {
        bench.round(round, progress).await?;
    }
    bench.check().await?;
    let settings = bench.settings().await?;
    api.stop().await?;
    Ok(bench.report(&settings))
}

struct Bench<'a> {
    args: &'a Args,
    config: &'a Config,
    tenant: Tenant,
    database: PgConnection,
    pgbench: Option<Pgbench>,
    figures: Figures,
    /// Accepted so far, of each recipe.
    plain: usize,
    model: usize,
}

impl<'a> Bench<'a> {
    async fn prepare(args: &'a Args, private: &'a Private, tenant: Tenant) -> anyhow::Result<Self> {
        let stack = &private.stack;
        let database = PgConnection::connect(&stack.superuser_url(super::stack::DATABASE)).await?;
        let anchor = stack.superuser_url("postgres");
        database::make_anchor(&mut PgConnection::connect(&anchor).await?).await?;
        let pgbench = Pgbench::find(stack, anchor)?;
        let figures = Figures::default();
        Ok(Self { args, config: &private.config, tenant, database, pgbench, figures, plain: 0, model: 0 })
    }

    async fn round(&mut self, round: u8, progress: &mut Progress) -> anyhow::Result<()> {
        let tell = |what: &str| format!("round {round} of {}: {what}", self.args.rounds);
        let steps = [
            "single-row commits with pgbench",
            "POST /tasks",
            "a backlog",
            "runs",
            "runs with a model",
            "one run alone",
        ];
        let [anchor, post, backlog, runs, model, alone] = steps.map(tell);
        progress.now(&anchor);
        self.anchors().await?;
        progress.now(&post);
        let queued = self.post().await?;
        progress.now(&backlog);
        let worker = Part::worker(self.config);
        self.backlog(queued).await?;
        progress.now(&runs);
        let rate = self.runs(tenant::PLAIN).await?;
        self.figures.add("runs", "3-step runs, submitted to drained", "/s", rate);
        self.plain += self.args.runs as usize;
        progress.now(&model);
        let rate = self.runs(tenant::MODEL).await?;
        self.figures.add("runs_model", "the same around a model call", "/s", rate);
        self.model += self.args.runs as usize;
        progress.now(&alone);
        self.alone().await?;
        worker.stop().await
    }

    async fn anchors(&mut self) -> anyhow::Result<()> {
        let Some(pgbench) = &self.pgbench else { return Ok(()) };
        for (clients, name, what) in [
            (1, "pgbench_1", "pgbench, single-row commits, c=1"),
            (32, "pgbench_32", "pgbench, single-row commits, c=32"),
        ] {
            let rate = pgbench.commits_per_second(clients, Duration::from_secs(self.args.seconds)).await?;
            self.figures.add(name, what, "/s", rate);
        }
        Ok(())
    }

    /// No worker runs: this is acceptance alone. Gives how many were taken.
    async fn post(&mut self) -> anyhow::Result<usize> {
        let load = self.submit(tenant::PLAIN, Until::Elapsed(Duration::from_secs(self.args.seconds))).await?;
        let what = format!("POST /tasks, c={}", self.args.clients);
        self.figures.add("post", &what, "/s", load.per_second());
        self.figures.add("post_p50", &format!("{what}, p50"), "ms", percentile_ms(&load.latencies, 50));
        self.figures.add("post_p99", &format!("{what}, p99"), "ms", percentile_ms(&load.latencies, 99));
        self.plain += load.latencies.len();
        Ok(load.latencies.len())
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    async fn backlog(&mut self, queued: usize) -> anyhow::Result<()> {
        let started = Instant::now();
        self.drained().await?;
        self.figures.add(
            "backlog",
            "3-step runs, out of a backlog",
            "/s",
            queued as f64 / started.elapsed().as_secs_f64(),
        );
        Ok(())
    }

    async fn runs(&mut self, recipe: &str) -> anyhow::Result<f64> {
        let started = Instant::now();
        self.submit(recipe, Until::Sent(self.args.runs as usize)).await?;
        self.drained().await?;
        Ok(f64::from(self.args.runs) / started.elapsed().as_secs_f64())
    }

    /// One run after the other, from before the request to an answer that says completed.
    async fn alone(&mut self) -> anyhow::Result<()> {
        const RUNS: usize = 100;
        let mut connection = Connection::open(self.tenant.address).await?;
        for (recipe, name, what) in [
            (tenant::PLAIN, "alone", "one 3-step run alone, p50"),
            (tenant::MODEL, "alone_model", "the same around a model call, p50"),
        ] {
            let submission = self.tenant.submission(recipe);
            let mut times = Vec::with_capacity(RUNS);
            for _ in 0..RUNS {
                let started = Instant::now();
                let status = self.tenant.run_one(&mut connection, &submission).await?;
                times.push(started.elapsed());
                ensure!(status == "completed", "a run of {recipe} is {status}");
            }
            times.sort_unstable();
            self.figures.add(name, what, "ms", percentile_ms(&times, 50));
        }
        self.plain += RUNS;
        self.model += RUNS;
        Ok(())
    }

    async fn submit(&self, recipe: &str, until: Until) -> anyhow::Result<Load> {
        let request = self.tenant.submission(recipe);
        load::drive(self.tenant.address, request, 202, usize::from(self.args.clients), until).await
    }

    async fn drained(&mut self) -> anyhow::Result<()> {
        let give_up = Instant::now() + PATIENCE;
        while database::is_busy(&mut self.database).await? {
            ensure!(Instant::now() < give_up, "not drained within {} s", PATIENCE.as_secs());
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// A fast figure over lost work would be worth nothing.
    async fn check(&mut self) -> anyhow::Result<()> {
        let count = |count: usize| i64::try_from(count).context("too many");
        let tasks = count(self.plain + self.model)?;
        let expected = database::Tally {
            tasks,
            completed: tasks,
            steps: 3 * tasks,
            execution_lines: tasks,
            lines: tasks + count(self.model)?,
        };
        let found = database::tally(&mut self.database).await?;
        ensure!(found == expected, "not everything was recorded: {found:?} instead of {expected:?}");
        Ok(())
    }

    async fn settings(&mut self) -> anyhow::Result<Value> {
        let postgres = database::settings(&mut self.database).await?;
        let postgres: serde_json::Map<_, _> = postgres.into_iter().map(|(name, value)| (name, value.into())).collect();
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        Ok(json!({
            "teamai": env!("CARGO_PKG_VERSION"), "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
            "cores": cores, "clients": self.args.clients, "seconds": self.args.seconds, "runs": self.args.runs,
            "rounds": self.args.rounds, "postgres": postgres,
        }))
    }

    fn report(&self, settings: &Value) -> String {
        let ratios: Vec<_> = [
            ("POST /tasks / pgbench c=32", "post", self.figures.median("pgbench_32")),
            ("3-step runs / DBOS, noted figure", "runs", Some(DBOS_RUNS)),
            ("3-step runs / Restate, noted figure", "runs", Some(RESTATE_RUNS)),
        ]
        .into_iter()
        .filter_map(|(what, of, to)| Some((what, self.figures.median(of)? / to?)))
        .collect();
        if self.args.json {
            let ratios: serde_json::Map<_, _> =
                ratios.into_iter().map(|(what, ratio)| (what.to_owned(), ratio.into())).collect();
            return json!({"settings": settings, "figures": self.figures.to_json(), "ratios": ratios}).to_string();
        }
        let ratios: Vec<String> =
            ratios.into_iter().map(|(what, ratio)| format!("  {what:36}  {ratio:>6.2}\n")).collect();
        let ratios = ratios.concat();
        let missing =
            if self.pgbench.is_some() { "" } else { "\npgbench is not installed: no anchor, no ratio to it.\n" };
        format!(
            "MEDIANS (least to most)\n\n{}\nRATIOS\n\n{ratios}{missing}\nSETTINGS\n\n  {settings}",
            self.figures.table()
        )
    }
}
