//! `teamai stack -- COMMAND`: runs a command beside a private Postgres and Redis, for tests.

use std::process::ExitCode;

use anyhow::Context;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

use super::stack::{Options, Stack};
use crate::{
    cli::{env::Env, exit, shutdown},
    db,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The command; it finds a superuser's `DATABASE_URL` and a `REDIS_URL` in its environment
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Nothing is synced to disk: the data is thrown away. Databases that the command makes
/// start with this build's schema in them: each test's own then costs a copy, and only
/// newer migrations are left to be applied.
pub async fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    let shutdown = shutdown::on_signal()?;
    let stack = Stack::start(&Options::fast()).await?;
    let mut template = PgConnection::connect(&stack.superuser_url("template1")).await?;
    db::SCHEMA.apply(&mut template).await?;
    // Nothing can be copied from a database that somebody is in.
    template.close().await?;
    let (program, rest) = args.command.split_first().context("no command")?;
    let mut child = Command::new(program)
        .args(rest)
        .env_clear()
        .envs(env)
        .env("DATABASE_URL", stack.superuser_url("postgres"))
        .env("REDIS_URL", stack.redis_url())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let ended = tokio::select! {
        ended = child.wait() => Some(ended?),
        () = shutdown.cancelled() => None,
    };
    drop(child);
    stack.stop().await?;
    let code = ended.and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or_else(exit::failed, ExitCode::from))
}
