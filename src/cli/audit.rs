//! `teamai audit verify`: whether any line of a ledger was changed, or is missing.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;
use sqlx::Connection;

use super::{admin::operator::act_for_all, env::Env, exit, migrate, telemetry};
use crate::{
    base::AgencyId,
    billing::ledger::{
        chain::{Chain, MAX_FAULTS},
        store::verify,
    },
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Recompute every line's hash and follow each agency's chain; 1 if a line was changed or is missing
    Verify {
        /// Only this agency's ledger
        #[arg(long)]
        agency: Option<AgencyId>,
        /// Report as one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// All ledgers are read in one transaction, as they stand at its beginning: tasks may go on running.
///
/// # Errors
/// The configuration is wrong, Postgres does not answer, or the role may not read every agency's lines.
pub async fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    let Command::Verify { agency, json } = args.command;
    let config = telemetry::configure(env)?;
    let mut connection = migrate::connect(migrate::owner(&config)).await?;
    let mut tx = connection.begin_with("begin isolation level repeatable read read only").await?;
    act_for_all(&mut tx).await?;
    let chains = verify(&mut tx, agency).await.context("the ledgers could not be read")?;
    tx.rollback().await?;
    let whole = chains.iter().all(|chain| chain.faults.is_empty());
    if json {
        println!("{}", json!({"whole": whole, "ledgers": chains}));
    } else {
        show(&chains);
    }
    Ok(if whole { ExitCode::SUCCESS } else { exit::failed() })
}

fn show(chains: &[Chain]) {
    for Chain { agency_id, faults, .. } in chains {
        for fault in faults {
            let id = fault.id.map(|id| format!(" ({id})")).unwrap_or_default();
            println!("agency {agency_id}, line {}{id}: {}", fault.seq, fault.kind.as_text());
        }
        if i64::try_from(faults.len()).is_ok_and(|faults| faults == MAX_FAULTS) {
            println!("agency {agency_id}: there may be more");
        }
    }
    let lines: i64 = chains.iter().map(|chain| chain.lines).sum();
    let broken = chains.iter().filter(|chain| !chain.faults.is_empty()).count();
    println!("ledgers read: {}, with {lines} lines; not as they were written: {broken}", chains.len());
}
