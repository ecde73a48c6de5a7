//! `teamai serve`, `teamai api`, `teamai worker`: the parts of an installation.

use std::process::ExitCode;

use tracing::info;

use super::{
    address,
    env::Env,
    serve::{self, Parts},
    shutdown, telemetry,
};

/// # Errors
/// The configuration is wrong, or the port cannot be opened.
pub async fn run(parts: Parts, env: Env) -> anyhow::Result<ExitCode> {
    let config = telemetry::configure(env)?;
    let shutdown = shutdown::on_signal()?;
    serve::run(config, parts, shutdown, |address| info!("the API answers at {}", address::url(address))).await?;
    Ok(ExitCode::SUCCESS)
}
