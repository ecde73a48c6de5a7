//! `teamai dev`: a whole private installation in one command.

use std::{io::Write, net::SocketAddr, path::PathBuf, process::ExitCode};

use serde_json::json;
use tracing::{error, info};

use super::{
    private::{self, Private},
    stack::Options,
};
use crate::cli::{
    address as addresses,
    env::Env,
    serve::{self, Parts},
    shutdown,
    telemetry::Output,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the data lives; it stays there. Without it, all is gone at the end
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Port of the API on 127.0.0.1; 0 takes a free one [default: as in the configuration, 8000]
    #[arg(long)]
    port: Option<u16>,
    /// Start the API only; workers join with the printed environment
    #[arg(long)]
    no_worker: bool,
}

pub async fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    let shutdown = shutdown::on_signal()?;
    let bind = args.port.map(|port| format!("127.0.0.1:{port}"));
    let options = Options::durable(args.data_dir);
    let started = tokio::select! {
        started = private::start(&env, &options, bind, &Output::Stderr) => started?,
        () = shutdown.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    let Private { stack, config, env } = started;
    let ready = json!({
        "ready": true,
        "api": null,
        "database_url": stack.database_url(),
        "redis_url": stack.redis_url(),
        "postgres_pid": stack.postgres_pid(),
        "redis_pid": stack.redis_pid(),
        "data_dir": stack.data_dir(),
        "env": env,
    });
    let parts = Parts { api: true, worker: !args.no_worker };
    let served = serve::run(config, parts, shutdown, |address| announce(ready, address)).await;
    if let Err(error) = stack.stop().await {
        error!("the private servers did not stop in good order: {error:#}");
    }
    served.map(|()| ExitCode::SUCCESS)
}

/// One line on standard output, which scripts wait for.
fn announce(mut ready: serde_json::Value, address: SocketAddr) {
    let api = addresses::url(address);
    info!("the API answers at {api}");
    ready["api"] = json!(api);
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{ready}").and_then(|()| out.flush()).is_err() {
        error!("nobody reads the line that says where the API answers");
    }
}
