//! `teamai admin rotate-agency`: a new key for an agency, or for each.

use std::process::ExitCode;

use anyhow::Context;
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::PgPool;

use super::super::{
    exit::{self, BadUse},
    migrate, serve, telemetry,
};
use crate::{
    base::AgencyId,
    cli::env::Env,
    db,
    locker::{self, Locker, Rotated},
};

/// Each agency gets a key of a new version, its secrets are sealed anew with it,
/// and older keys go. A rotation that was cut off is made good by the next one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The agency's id
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    agency: Option<AgencyId>,
    /// Every agency that has secrets, one after the other
    #[arg(long)]
    all: bool,
    /// Report as one JSON object a line, one line an agency
    #[arg(long)]
    json: bool,
}

/// 1 if a secret could not be opened; it was left as it was.
pub async fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    let config = telemetry::configure(env)?;
    let locker = serve::locker(&config)?;
    let pool = db::connect(migrate::owner(&config).expose_secret(), "teamai admin", 1)?;
    let whole = match args.agency {
        Some(agency) => {
            let rotated = rotate(&locker, &pool, agency, args.json).await?;
            rotated
                .ok_or_else(|| BadUse(format!("agency {agency}: does not exist, or has no key and so no secrets")))?
        }
        None => rotate_all(&locker, &pool, args.json).await?,
    };
    pool.close().await;
    Ok(if whole { ExitCode::SUCCESS } else { exit::failed() })
}

/// Whether every secret was opened.
async fn rotate_all(locker: &Locker, pool: &PgPool, as_json: bool) -> anyhow::Result<bool> {
    let (mut after, mut whole) = (None, true);
    loop {
        let agencies = locker::agencies_with_keys(pool, after)
            .await
            .context("cannot list the agencies; this needs the migrating role in TEAMAI_DATABASE__OWNER_URL")?;
        let Some(last) = agencies.last() else { return Ok(whole) };
        after = Some(*last);
        for agency in agencies {
            match rotate(locker, pool, agency, as_json).await {
                Ok(rotated) => whole &= rotated.unwrap_or(true),
                // One agency's trouble is no reason to leave out the others.
                Err(error) => {
                    whole = false;
                    eprintln!("error: {error:#}");
                }
            }
        }
    }
}

/// Whether every secret was opened; `None` if the agency has no key.
async fn rotate(locker: &Locker, pool: &PgPool, agency: AgencyId, as_json: bool) -> anyhow::Result<Option<bool>> {
    let rotated = locker.rotate_agency_key(pool, agency).await;
    let rotated = rotated.with_context(|| {
        format!(
            "agency {agency}: not rotated to the end; with the migrating role in TEAMAI_DATABASE__OWNER_URL, repeat it"
        )
    })?;
    Ok(rotated.map(|rotated| {
        show(&rotated, as_json);
        rotated.unreadable == 0
    }))
}

fn show(rotated: &Rotated, as_json: bool) {
    let Rotated { agency, key_version, resealed, unreadable, keys_dropped } = rotated;
    if as_json {
        println!(
            "{}",
            json!({"agency_id": agency.0, "key_version": key_version, "resealed": resealed, "unreadable": unreadable,
                   "keys_dropped": keys_dropped})
        );
        return;
    }
    println!("agency {agency}: key {key_version}, {resealed} secrets sealed anew, {keys_dropped} older keys dropped");
    if *unreadable > 0 {
        eprintln!(
            "agency {agency}: {unreadable} secrets cannot be opened, and stay as they are with their key; store them again"
        );
    }
}
