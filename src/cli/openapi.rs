//! `teamai openapi`: the specification of the API, as `/openapi.json` serves it.

use std::{io::Write, process::ExitCode};

use crate::api;

/// Prints it with line breaks, so that a change is seen line by line.
///
/// # Errors
/// Nobody reads standard output any more.
pub fn run() -> anyhow::Result<ExitCode> {
    let spec: serde_json::Value = serde_json::from_str(&api::spec())?;
    writeln!(std::io::stdout().lock(), "{spec:#}")?;
    Ok(ExitCode::SUCCESS)
}
