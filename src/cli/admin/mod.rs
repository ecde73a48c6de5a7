//! `teamai admin`: what the operator of an installation does, as the migrating role.

mod create_admin;
mod create_agency;
mod password;

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::{Env, migrate, store, telemetry};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an agency and its first admin
    CreateAgency(create_agency::Args),
    /// Add an admin to an agency, for one that has lost its own
    CreateAdmin(create_admin::Args),
}

/// # Errors
/// The configuration is wrong, Postgres does not answer, or the command is refused.
pub async fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    let config = telemetry::configure(env)?;
    match args.command {
        Command::CreateAgency(args) => create_agency::run(args, &config).await?,
        Command::CreateAdmin(args) => create_admin::run(args, &config).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A connection as the migrating role.
async fn connect(config: &Config) -> anyhow::Result<PgConnection> {
    migrate::connect(migrate::owner(config)).await
}

/// A transaction that sees and writes every agency's rows.
async fn across_agencies(connection: &mut PgConnection) -> anyhow::Result<Transaction<'_, Postgres>> {
    let mut tx = connection.begin().await?;
    store::cross_tenants(&mut tx).await.context(
        "this role may not act for every agency; set TEAMAI_DATABASE__OWNER_URL to the role that ran `teamai migrate`",
    )?;
    Ok(tx)
}
