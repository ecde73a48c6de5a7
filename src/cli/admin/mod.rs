//! `teamai admin`: what only an installation's operator does, as the migrating role.

mod create_admin;
mod create_agency;
pub(super) mod operator;
mod password;
mod prune;
mod requeue;
mod rotate_agency;
mod rotate_root;

use std::process::ExitCode;

use clap::Subcommand;

use super::{env::Env, telemetry};

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
