//! `teamai admin`: what only an installation's operator does, as the migrating role.

mod create_admin;
mod create_agency;
mod password;
mod prune;
mod requeue;
mod rotate_agency;
mod rotate_root;

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::{Env, migrate, store, telemetry};
use crate::config::Config;

/// Keep an installation.
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
    /// Wrap every agency's key with the new root key, while everything runs
    RotateRoot(rotate_root::Args),
    /// Give an agency a new key and seal its secrets anew, while everything runs
    RotateAgency(rotate_agency::Args),
    /// Put dead tasks back into the queue
    Requeue(requeue::Args),
    /// Delete finished tasks that are old; ledgers stay
    Prune(prune::Args),
}

/// # Errors
/// The configuration is wrong, Postgres does not answer, or the command is refused.
pub async fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::CreateAgency(args) => create_agency::run(args, &telemetry::configure(env)?).await?,
        Command::CreateAdmin(args) => create_admin::run(args, &telemetry::configure(env)?).await?,
        Command::Requeue(args) => requeue::run(args, &telemetry::configure(env)?).await?,
        Command::Prune(args) => prune::run(args, &telemetry::configure(env)?).await?,
        Command::RotateRoot(args) => return rotate_root::run(&args, env).await,
        Command::RotateAgency(args) => return rotate_agency::run(args, env).await,
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
    act_for_all(&mut tx).await?;
    Ok(tx)
}

/// For the rest of the transaction, sees and writes every agency's rows.
pub(super) async fn act_for_all(tx: &mut PgConnection) -> anyhow::Result<()> {
    store::cross_tenants(tx).await.context(
        "this role may not act for every agency; set TEAMAI_DATABASE__OWNER_URL to the role that ran `teamai migrate`",
    )
}
