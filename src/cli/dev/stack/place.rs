//! Where the private stack keeps its data, and that its account can get there.

use std::{
    fs::Permissions,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;
use tracing::info;

use super::account::Account;
use crate::base::random;

/// The directories of one stack.
#[derive(Debug)]
pub struct Place {
    /// Keys and logs; the servers' account may pass through it, not read it.
    pub dir: PathBuf,
    /// Postgres' own directory and what it makes beside it; the account's property.
    pub home: PathBuf,
    pub temporary: bool,
    pub account: Option<Account>,
}

/// Uses the given directory, or makes a temporary one.
///
/// # Errors
/// The directory cannot be made or handed to the servers' account.
pub fn choose(data_dir: Option<&Path>) -> anyhow::Result<Place> {
    let account = Account::for_servers()?;
    let (dir, temporary) = match data_dir {
        Some(dir) => (made(dir)?, false),
        None => (temporary(account)?, true),
    };
    let home = home(&dir, account).with_context(|| format!("{} cannot hold the data", dir.display()))?;
    Ok(Place { dir, home, temporary, account })
}

fn made(dir: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir.canonicalize()?)
}

/// A new directory below the first of the temporary places that the account can reach.
fn temporary(account: Option<Account>) -> anyhow::Result<PathBuf> {
    let places = [std::env::temp_dir(), "/var/tmp".into(), "/tmp".into()];
    let reachable = |place: &&PathBuf| account.is_none_or(|account| account.can_reach(place).unwrap_or(false));
    let place = places.iter().find(reachable).context("no temporary directory can be used; give --data-dir")?;
    fresh(place)
}

fn fresh(place: &Path) -> anyhow::Result<PathBuf> {
    let dir = place.join(format!("teamai-{}", hex::encode(random::bytes::<8>()?)));
    std::fs::DirBuilder::new().mode(0o711).create(&dir)?;
    Ok(dir)
}

/// `servers` in the data directory. Where the account cannot get there, because a
/// directory above is closed, that name becomes a link to a place that it can reach.
fn home(dir: &Path, account: Option<Account>) -> anyhow::Result<PathBuf> {
    let home = dir.join("servers");
    let Some(account) = account else {
        std::fs::create_dir_all(&home)?;
        return Ok(home);
    };
    std::fs::set_permissions(dir, Permissions::from_mode(0o711))?;
    if !account.can_reach(dir)? && !home.exists() {
        let elsewhere = fresh(Path::new("/var/tmp"))?;
        info!("the servers' account cannot enter {}; their data goes to {}", dir.display(), elsewhere.display());
        if home.symlink_metadata().is_ok() {
            std::fs::remove_file(&home).context("the link to the data leads nowhere and cannot be replaced")?;
        }
        std::os::unix::fs::symlink(&elsewhere, &home)?;
    }
    std::fs::create_dir_all(&home)?;
    let home = home.canonicalize()?;
    account.own(&home)?;
    anyhow::ensure!(account.can_reach(&home)?, "the servers' account cannot enter {}", home.display());
    Ok(home)
}
