//! At the start: do the root keys that are configured fit the database?

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::{
    config::{self, Config, ConfigError},
    db,
    locker::{self, Locker},
};

/// A Postgres that is away is asked again after this.
const RETRY: Duration = Duration::from_secs(1);

/// Compares as soon as Postgres answers, and stops the process if none of the
/// agencies' keys could be opened: it was given the root key of another installation.
pub fn compare(config: &Config, locker: Arc<Locker>, shutdown: CancellationToken) -> JoinHandle<anyhow::Result<()>> {
    let url = config.database.url.clone();
    tokio::spawn(async move {
        let pool =
            db::connect(url.expose_secret(), "teamai root keys", 1).context("DATABASE_URL is not a Postgres URL")?;
        let in_use = loop {
            match locker::root_keys_in_use(&pool).await {
                Ok(in_use) => break in_use,
                // A schema that is not there yet is what /readyz reports.
                Err(error) if !db::is_unavailable(&error) => {
                    warn!(%error, "the root keys could not be compared with those in use");
                    return Ok(());
                }
                Err(_) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(RETRY) => {}
            }
        };
        pool.close().await;
        judge(&locker, &in_use).inspect_err(|_| shutdown.cancel()).map_err(Into::into)
    })
}

fn judge(locker: &Locker, in_use: &[(String, i64)]) -> Result<(), ConfigError> {
    let unknown: Vec<_> = in_use.iter().filter(|(id, _)| !locker.knows_root_key(id)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let ids = unknown.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>().join(", ");
    let message = format!(
        "the agencies' keys in the database are wrapped with root key {ids}, and {} is configured; give the root key \
         that belongs to this database, or put it into TEAMAI_LOCKER__PREVIOUS_ROOT_KEYS while it is being replaced",
        locker.root_key_ids()
    );
    if unknown.len() < in_use.len() {
        let agency_keys: i64 = unknown.iter().map(|(_, keys)| keys).sum();
        error!(agency_keys, "some secrets cannot be opened: {message}");
        return Ok(());
    }
    let name = "TEAMAI_LOCKER__ROOT_KEY".to_owned();
    Err(ConfigError(vec![config::Problem { name, message }]))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretBox;

    use super::*;

    fn locker(byte: u8) -> Locker {
        Locker::new(Arc::new(SecretBox::new(Box::new([byte; 32]))))
    }

    #[test]
    fn another_installations_root_key_is_refused_with_both_ids() {
        let (ours, theirs) = (locker(1), locker(2).root_key_ids());
        assert!(judge(&ours, &[]).is_ok());
        assert!(judge(&ours, &[(ours.root_key_ids(), 5)]).is_ok());
        let error = judge(&ours, &[(theirs.clone(), 5)]).unwrap_err().to_string();
        assert!(error.contains(&theirs) && error.contains(&ours.root_key_ids()), "{error}");
        assert!(error.contains("TEAMAI_LOCKER__PREVIOUS_ROOT_KEYS"), "{error}");
        assert!(judge(&ours, &[(theirs, 5), (ours.root_key_ids(), 1)]).is_ok(), "only some are lost: said in the log");
    }
}
