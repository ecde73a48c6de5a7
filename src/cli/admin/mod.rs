//! `teamai admin`: what only an installation's operator does, as the migrating role.

mod rotate_agency;
mod rotate_root;

use std::process::ExitCode;

use super::Env;

/// Keep an installation.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Wrap every agency's key with the new root key, while everything runs
    RotateRoot(rotate_root::Args),
    /// Give an agency a new key and seal its secrets anew, while everything runs
    RotateAgency(rotate_agency::Args),
}

pub async fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::RotateRoot(args) => rotate_root::run(&args, env).await,
        Command::RotateAgency(args) => rotate_agency::run(args, env).await,
    }
}
