//! `teamai demo`: the main job once, on real input, through the HTTP API.

mod job;
mod model;
mod site;

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Context;
use rust_decimal::Decimal;
use tokio::{sync::oneshot, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use self::{model::Choice, site::Site};
use super::{
    private::{self, Private},
    stack::{Options, Stack},
};
use crate::cli::{
    address,
    api_client::ApiClient,
    env::Env,
    exit,
    progress::Progress,
    serve::{self, Parts},
    show, shutdown,
    task_run::Outcome,
    telemetry::Output,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Use the server at this address instead of a private one
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    /// Audit this address instead of the bundled site
    #[arg(long, value_name = "URL")]
    site: Option<String>,
    /// Serve the bundled site here; with --site for a server that reaches it by another name
    #[arg(long, value_name = "ADDRESS:PORT")]
    site_bind: Option<SocketAddr>,
}

/// What is audited; the bundled site is served for as long as this lives.
struct Target {
    url: String,
    bundled: Option<Site>,
}

pub async fn run(args: Args, mut env: Env) -> anyhow::Result<ExitCode> {
    env.entry("RUST_LOG".to_owned()).or_insert_with(|| "warn".to_owned());
    let model = model::choose(&env)?;
    let shutdown = shutdown::on_signal()?;
    let target = target(&args).await?;
    let mut progress = Progress::start();
    progress.done(&format!("model: {}/{} ({})", model.provider, model.model, model.why));
    let work = async {
        if let Some(api) = &args.api {
            let outcome = job::run(&mut ApiClient::new(api)?, &model, &target.url, &mut progress).await?;
            hint(&outcome, &target);
            return Ok(outcome);
        }
        progress.now("starting a private Postgres, Redis, API and worker");
        let server = Server::start(&env, &target).await?;
        progress.done(&format!("started a private installation at {}", server.api));
        let outcome = job::run(&mut ApiClient::new(&server.api)?, &model, &target.url, &mut progress).await;
        server.stop().await?;
        outcome
    };
    let outcome = tokio::select! {
        outcome = work => outcome?,
        () = shutdown.cancelled() => anyhow::bail!("interrupted"),
    };
    drop(progress);
    Ok(verdict(&outcome, &model, target.bundled.is_some()))
}

async fn target(args: &Args) -> anyhow::Result<Target> {
    if let (Some(url), None) = (&args.site, args.site_bind) {
        return Ok(Target { url: url.clone(), bundled: None });
    }
    let bind = args.site_bind.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let site = site::serve(bind).await?;
    let url = args.site.clone().unwrap_or_else(|| format!("{}/", address::url(site.address)));
    Ok(Target { url, bundled: Some(site) })
}

/// A private installation that serves in the background.
struct Server {
    api: String,
    stack: Stack,
    shutdown: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
}

impl Server {
    async fn start(env: &Env, target: &Target) -> anyhow::Result<Self> {
        let mut env = env.clone();
        if let Some(site) = &target.bundled {
            // The guard lets no tenant reach a loopback address unless the operator allows it.
            let allowed = env.entry("TEAMAI_EGRESS__ALLOW".to_owned()).or_default();
            if !allowed.is_empty() {
                allowed.push(',');
            }
            allowed.push_str(&site.address.to_string());
        }
        let Private { stack, config, .. } =
            private::start(&env, &Options::durable(None), Some("127.0.0.1:0".to_owned()), &Output::Stderr).await?;
        let shutdown = CancellationToken::new();
        let (sender, ready) = oneshot::channel();
        let parts = Parts { api: true, worker: true };
        let tell = |address| {
            if sender.send(address).is_err() {
                tracing::warn!("the demonstration ended before the server was ready");
            }
        };
        let served = tokio::spawn(serve::run(config, parts, shutdown.clone(), tell));
        let Ok(address) = ready.await else {
            let outcome = served.await?;
            stack.stop().await?;
            outcome?;
            anyhow::bail!("the server ended before it answered");
        };
        Ok(Self { api: address::url(address), stack, shutdown, served })
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.served.await?.context("the server did not stop in good order")?;
        self.stack.stop().await
    }
}

/// Another server's guard refuses the bundled site's address unless its operator allows it.
fn hint(outcome: &Outcome, target: &Target) {
    if let Some(site) = &target.bundled
        && outcome.task["status"] != "completed"
    {
        eprintln!(
            "hint: that server reaches {} only when it runs with TEAMAI_EGRESS__ALLOW={}; or audit a public site with --site",
            target.url, site.address
        );
    }
}

/// Prints what came of it and says whether it is what it should be.
fn verdict(outcome: &Outcome, model: &Choice, bundled: bool) -> ExitCode {
    let (ledger, totals) = show::ledger(&outcome.ledger);
    if !outcome.output.is_empty() {
        println!("REPORT\n\n{}\n", outcome.output.trim());
    }
    println!("STEPS\n\n{}\nLEDGER\n\n{ledger}", show::steps(&outcome.steps));
    let mut wrong = Vec::new();
    if outcome.task["status"] != "completed" {
        wrong.push(format!("the task is {}: {}", outcome.task["status"], outcome.task["error"]));
    } else if bundled {
        wrong.extend(site::missed(&outcome.output).into_iter().map(|what| format!("the report does not name {what}")));
    }
    if totals.tokens == 0 {
        wrong.push("the ledger counts no tokens".to_owned());
    }
    if totals.cost == Decimal::ZERO && model.has_a_price() {
        wrong.push("the ledger counts no cost".to_owned());
    }
    for line in &wrong {
        eprintln!("error: {line}");
    }
    if wrong.is_empty() {
        println!("done: {} tokens, {} USD, with {}/{}", totals.tokens, totals.cost, model.provider, model.model);
        return ExitCode::SUCCESS;
    }
    exit::failed()
}
