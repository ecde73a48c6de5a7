//! `teamai admin rotate-root`: the agencies' keys under a new root key.

use std::process::ExitCode;

use anyhow::Context;
use secrecy::ExposeSecret;
use serde_json::json;

use super::super::{exit, migrate, serve, telemetry};
use crate::{cli::env::Env, db, locker::Rewrapped};

/// The new root key is `TEAMAI_LOCKER__ROOT_KEY`, the old one stands in
/// `TEAMAI_LOCKER__PREVIOUS_ROOT_KEYS`. Give both to the API and the workers first:
/// docs/operations.md has the order. May be repeated; what is done stays done.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Report as one JSON object
    #[arg(long)]
    json: bool,
}

/// 1 if a key could not be opened, or another root key than the new one is still in use.
pub async fn run(args: &Args, env: Env) -> anyhow::Result<ExitCode> {
    let config = telemetry::configure(env)?;
    let locker = serve::locker(&config)?;
    let pool = db::connect(migrate::owner(&config).expose_secret(), "teamai admin", 1)?;
    let report = locker.rewrap_agency_keys(&pool).await.context(
        "the root key was not rotated to the end; with the migrating role in TEAMAI_DATABASE__OWNER_URL, repeat it",
    )?;
    pool.close().await;
    let new = locker.current_root_key_id();
    let left: i64 = report.wrapped_by.iter().filter(|(id, _)| *id != new).map(|(_, keys)| keys).sum();
    if args.json {
        println!("{}", as_json(&report, new, left));
    } else {
        show(&report, new, left);
    }
    Ok(if left == 0 { ExitCode::SUCCESS } else { exit::failed() })
}

fn as_json(report: &Rewrapped, new: &str, left: i64) -> serde_json::Value {
    let failed: Vec<_> =
        report.failed.iter().map(|(agency, reason)| json!({"agency_id": agency.0, "reason": reason})).collect();
    json!({"root_key_id": new, "rewrapped": report.rewrapped, "left": left, "wrapped_by": report.wrapped_by,
           "failed": failed})
}

fn show(report: &Rewrapped, new: &str, left: i64) {
    for (agency, reason) in &report.failed {
        eprintln!("agency {agency}: {reason}");
    }
    println!("{} agency keys wrapped with root key {new}, {left} left under others", report.rewrapped);
    if left == 0 {
        println!("TEAMAI_LOCKER__PREVIOUS_ROOT_KEYS is not needed any more");
    }
}
