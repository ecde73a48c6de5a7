//! Logs: to standard error, as text or as one JSON object a line. Standard output belongs to results.

use std::{fs::OpenOptions, io::IsTerminal, path::PathBuf, sync::Arc};

use anyhow::Context;
use tracing_subscriber::{EnvFilter, fmt::writer::BoxMakeWriter};

use crate::config::{Config, ConfigError, Log, Problem};

/// Where the log goes.
#[derive(Debug)]
pub enum Output {
    Stderr,
    /// Added to what the file holds.
    File(PathBuf),
}

/// Starts logging. Call it once, before anything else happens.
///
/// # Errors
/// `RUST_LOG` cannot be understood; the file cannot be written; logging was started before.
pub fn init(log: &Log, output: &Output) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|error| {
        let message = format!("{error}; write it as in info,teamai=debug");
        ConfigError(vec![Problem { name: "RUST_LOG".to_owned(), message }])
    })?;
    let (writer, ansi) = match output {
        Output::Stderr => (BoxMakeWriter::new(std::io::stderr), std::io::stderr().is_terminal()),
        Output::File(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path);
            let file = file.with_context(|| format!("the log cannot be written to {}", path.display()))?;
            (BoxMakeWriter::new(Arc::new(file)), false)
        }
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let started =
        if log.json { builder.json().flatten_event(true).try_init() } else { builder.with_ansi(ansi).try_init() };
    started.map_err(anyhow::Error::from_boxed).context("logging was started before")
}

/// Loads the configuration from the environment and the working directory and starts logging.
///
/// # Errors
/// The configuration is wrong.
pub fn configure(env: super::env::Env) -> anyhow::Result<Config> {
    let config = Config::load(env, std::path::Path::new("."))?;
    init(&config.log, &Output::Stderr)?;
    Ok(config)
}
