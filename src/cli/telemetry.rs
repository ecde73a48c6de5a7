//! Logs: to standard error, as text or as one JSON object a line. Standard output belongs to results.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, ConfigError, Log, Problem};

/// Starts logging. Call it once, before anything else happens.
///
/// # Errors
/// `RUST_LOG` cannot be understood; logging was started before.
pub fn init(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|error| {
        let message = format!("{error}; write it as in info,teamai=debug");
        ConfigError(vec![Problem { name: "RUST_LOG".to_owned(), message }])
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if log.json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    started.map_err(anyhow::Error::from_boxed).context("logging was started before")
}

/// Loads the configuration from the environment and the working directory and starts logging.
///
/// # Errors
/// The configuration is wrong.
pub fn configure(env: super::Env) -> anyhow::Result<Config> {
    let config = Config::load(env, std::path::Path::new("."))?;
    init(&config.log)?;
    Ok(config)
}
