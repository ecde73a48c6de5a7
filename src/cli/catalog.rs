//! `teamai catalog load`: the platform's cookbooks and recipes, from a folder.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use include_dir::{Dir, include_dir};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{Env, migrate, telemetry};
use crate::{
    base::SystemClock,
    catalog::load::{Loaded, load_dir},
    components,
    config::Config,
    db,
};

/// What is shipped with the program, so that a private stack needs no folder beside it.
static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/recipes");

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Load a folder of cookbooks and recipes, all of it or nothing; a changed file becomes a new version
    Load {
        dir: PathBuf,
        /// Report as one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    let Command::Load { dir, json } = args.command;
    let config = telemetry::configure(env)?;
    let loaded = load(&config, &dir).await?;
    if json {
        println!("{}", as_json(&loaded));
    } else {
        print(&loaded);
    }
    Ok(ExitCode::SUCCESS)
}

/// Loads what is shipped with the program, by way of a folder that is made anew.
///
/// # Errors
/// The folder cannot be written, or the database is away.
pub async fn load_shipped(config: &Config, by_way_of: &Path) -> anyhow::Result<Loaded> {
    if by_way_of.exists() {
        std::fs::remove_dir_all(by_way_of)?;
    }
    std::fs::create_dir_all(by_way_of)?;
    SHIPPED.extract(by_way_of).with_context(|| format!("cannot write {}", by_way_of.display()))?;
    load(config, by_way_of).await
}

/// Loads a folder as the migrating role.
///
/// # Errors
/// Every problem of every file, and then nothing is loaded; or the database is away.
async fn load(config: &Config, dir: &Path) -> anyhow::Result<Loaded> {
    let pool = db::connect(migrate::owner(config).expose_secret(), "teamai catalog", 1)?;
    let offered = |name: &str| components::NAMES.contains(&name);
    let loaded = load_dir(&pool, dir, &offered, &SystemClock).await.context("nothing was loaded")?;
    pool.close().await;
    Ok(loaded)
}

fn print(loaded: &Loaded) {
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    for new in &loaded.new_versions {
        println!("{}: {} changed, published as {} instead of {}", new.file, new.slug, new.published, new.declared);
    }
    println!(
        "{} created, {} updated, {} new versions, {} unchanged",
        loaded.created.len(),
        loaded.updated.len(),
        loaded.new_versions.len(),
        loaded.unchanged.len()
    );
}

fn as_json(loaded: &Loaded) -> serde_json::Value {
    let new_versions: Vec<_> = loaded
        .new_versions
        .iter()
        .map(|new| json!({"file": new.file, "slug": new.slug, "declared": new.declared, "published": new.published}))
        .collect();
    let warnings: Vec<_> =
        loaded.warnings.iter().map(|warning| json!({"file": warning.file, "problem": warning.problem})).collect();
    json!({"created": loaded.created, "updated": loaded.updated, "unchanged": loaded.unchanged,
           "new_versions": new_versions, "warnings": warnings})
}
