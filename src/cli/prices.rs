//! `teamai prices import`: adds prices from a file to the platform's price book.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use super::{env::Env, telemetry};
use crate::{
    base::{Clock, SystemClock},
    billing::{litellm, store},
    config::Config,
};

/// The platform's price book.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Add the prices of a file in the layout of LiteLLM's `model_prices_and_context_window.json`.
    ///
    /// Prices that differ from those in force become new rows that hold from now
    /// on. Nothing is changed or removed.
    Import {
        file: PathBuf,
        /// Report as one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// # Errors
/// The file cannot be read or is in another layout; the database is unavailable, or the
/// role may not write prices.
pub async fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    let config = telemetry::configure(env)?;
    let Command::Import { file, json } = args.command;
    import(&file, json, &config, &SystemClock).await?;
    Ok(ExitCode::SUCCESS)
}

async fn import(file: &Path, json: bool, config: &Config, clock: &dyn Clock) -> anyhow::Result<()> {
    let text = tokio::fs::read(file).await.with_context(|| format!("cannot read {}", file.display()))?;
    let parsed = litellm::parse(&text, clock.now()).with_context(|| format!("cannot use {}", file.display()))?;
    let url = config.database.owner_url.as_ref().unwrap_or(&config.database.url);
    let mut connection = PgConnection::connect(url.expose_secret()).await.context("cannot reach the database")?;
    let added = store::import(&mut connection, &parsed.rows, clock).await.context(
        "cannot add prices; this needs the role that migrates: set TEAMAI_DATABASE__OWNER_URL if it is not set",
    )?;
    let unchanged = (parsed.rows.len() as u64).saturating_sub(added);
    if json {
        println!("{}", json!({"added": added, "unchanged": unchanged, "skipped": parsed.skipped}));
    } else {
        println!(
            "{added} prices added, {unchanged} as they were, {} models skipped (other providers, other kinds, no price)",
            parsed.skipped
        );
    }
    Ok(())
}
