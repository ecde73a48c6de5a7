//! A private stack with its schema and keys, ready to be served: what `dev`, `demo` and `bench` start from.

use std::path::Path;

use anyhow::Context;

use super::stack::{self, Stack};
use crate::{
    base::SystemClock,
    cli::{
        catalog, database,
        env::Env,
        migrate,
        telemetry::{self, Output},
    },
    config::{Config, KEYS},
};

/// A private stack and how to serve on it.
pub struct Private {
    pub stack: Stack,
    pub config: Config,
    /// Every variable by which another process joins, the caller's own settings among them.
    pub env: Env,
}

/// What the private stack decides itself, whatever the caller's environment says.
const OURS: [&str; 4] = ["database.url", "database.worker_url", "database.owner_url", "redis.url"];

/// Starts the servers, brings the schema up to date and loads the configuration.
/// Nobody else comes here, so nobody is held to a rate of requests unless the caller's
/// settings say so. Starts logging first. `teamai.toml` is not read: it describes another installation.
///
/// # Errors
/// The caller's settings are wrong, or a server does not start.
pub async fn start(
    caller: &Env,
    options: &stack::Options,
    bind: Option<String>,
    log: &Output,
) -> anyhow::Result<Private> {
    let nowhere = Path::new("/dev/null");
    let mut settings = callers_settings(caller);
    if let Some(bind) = bind {
        settings.insert("TEAMAI_HTTP__BIND".to_owned(), bind);
    }
    // Wrong settings are found before anything is started.
    let mut probe = settings.clone();
    probe.insert("DATABASE_URL".to_owned(), "postgres://127.0.0.1/teamai".to_owned());
    telemetry::init(&Config::load(probe, nowhere)?.log, log)?;

    let stack = Stack::start(options).await?;
    for (name, value) in stack.env() {
        let file = settings.contains_key(&format!("{name}_FILE"));
        if !file {
            settings.entry(name).or_insert(value);
        }
    }
    for whose in ["USER", "AGENCY", "ADDRESS"] {
        settings.entry(format!("TEAMAI_LIMITS__{whose}_PER_MINUTE")).or_insert_with(|| u32::MAX.to_string());
    }
    let config = Config::load(settings.clone(), nowhere)?;
    let mut connection = migrate::connect(&stack.superuser_url("postgres").into()).await?;
    database::ensure_database(&mut connection, stack::DATABASE).await.context("the database cannot be made")?;
    migrate::migrate(&config).await?;
    catalog::load(&config, None, &SystemClock).await?;
    settings.remove("TEAMAI_HTTP__BIND");
    Ok(Private { stack, config, env: settings })
}

/// The settings in the caller's environment that also hold here.
fn callers_settings(caller: &Env) -> Env {
    let ours = |name: &str| {
        KEYS.iter().filter(|key| OURS.contains(&key.path)).any(|key| {
            let names = [key.variable(), crate::config::variable(key.path)];
            names.iter().any(|own| name == own || name.strip_suffix("_FILE") == Some(own))
        })
    };
    let is_setting = |name: &str| name.starts_with("TEAMAI_") || name == "RUST_LOG";
    caller
        .iter()
        .filter(|(name, value)| is_setting(name) && !ours(name) && !value.is_empty())
        .map(|(name, value)| (name.clone(), from_anywhere(name, value)))
        .collect()
}

/// A file is named so that processes in other directories find it.
fn from_anywhere(name: &str, value: &str) -> String {
    let path = name.ends_with("_FILE").then(|| std::path::absolute(value).ok()).flatten();
    path.and_then(|path| path.into_os_string().into_string().ok()).unwrap_or_else(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_settings_hold_but_not_its_servers() {
        let caller: Env = [
            ("DATABASE_URL", "postgres://production/db"),
            ("REDIS_URL_FILE", "/run/redis"),
            ("TEAMAI_DATABASE__WORKER_URL", "postgres://production/db"),
            ("TEAMAI_DATABASE__URL", "postgres://production/db"),
            ("TEAMAI_EGRESS__ALLOW", "127.0.0.1:80"),
            ("TEAMAI_LOCKER__ROOT_KEY_FILE", "/run/key"),
            ("TEAMAI_LEASE__SECONDS", ""),
            ("RUST_LOG", "debug"),
            ("HOME", "/root"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let kept: Vec<_> = callers_settings(&caller).into_keys().collect();
        assert_eq!(kept, ["RUST_LOG", "TEAMAI_EGRESS__ALLOW", "TEAMAI_LOCKER__ROOT_KEY_FILE"]);
    }
}
