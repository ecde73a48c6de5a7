//! `teamai catalog load`: cookbooks, recipes and prices of the platform.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use include_dir::{Dir, include_dir};
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use super::{env::Env, migrate, telemetry};
use crate::{
    base::{Clock, SystemClock},
    billing,
    catalog::{
        components,
        load::{self, Loaded},
    },
    config::Config,
    db,
};

/// What this binary ships, so that an installation needs no folder beside it.
static BUNDLED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/recipes");

/// The platform's catalogue.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Load cookbooks and recipes. A changed file becomes a new version
    Load {
        /// A folder of cookbooks; what the binary ships without it
        dir: Option<PathBuf>,
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    let config = telemetry::configure(env)?;
    let Command::Load { dir, json: as_json } = args.command;
    let loaded = load(&config, dir.as_deref(), &SystemClock).await?;
    if as_json {
        let versions: Vec<_> = loaded
            .new_versions
            .iter()
            .map(|v| json!({"file": v.file, "slug": v.slug, "declared": v.declared, "published": v.published}))
            .collect();
        let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        println!(
            "{}",
            json!({"created": loaded.created, "updated": loaded.updated, "unchanged": loaded.unchanged,
                   "new_versions": versions, "warnings": warnings})
        );
    } else {
        show(&loaded);
    }
    Ok(ExitCode::SUCCESS)
}

fn show(loaded: &Loaded) {
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    for v in &loaded.new_versions {
        println!("{}: `{}` {} has changed and is published as {}", v.file, v.slug, v.declared, v.published);
    }
    println!(
        "{} created, {} updated, {} unchanged, {} new versions",
        loaded.created.len(),
        loaded.updated.len(),
        loaded.unchanged.len(),
        loaded.new_versions.len()
    );
}

/// Loads a folder, or what the binary ships, and the platform's prices.
///
/// # Errors
/// A file is invalid: nothing is loaded then. The role may not write the catalogue.
pub async fn load(config: &Config, dir: Option<&Path>, clock: &dyn Clock) -> anyhow::Result<Loaded> {
    let owner = migrate::owner(config).expose_secret();
    let mut connection = PgConnection::connect(owner).await.context("cannot reach the database")?;
    billing::store::load_platform(&mut connection, clock).await.context("cannot load the prices")?;
    connection.close().await?;
    let pool = db::connect(owner, "teamai catalog", 1)?;
    let loaded = if let Some(dir) = dir {
        load::load_dir(&pool, dir, &components::exists, clock).await
    } else {
        let unpacked = tempfile::tempdir().context("cannot unpack the recipes")?;
        BUNDLED.extract(unpacked.path()).context("cannot unpack the recipes")?;
        load::load_dir(&pool, unpacked.path(), &components::exists, clock).await
    };
    pool.close().await;
    loaded.context("the catalogue was not loaded")
}
