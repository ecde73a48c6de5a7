//! Exit codes: 0 done, 1 failed, 2 bad use or configuration.

use std::process::ExitCode;

use crate::config::ConfigError;

/// A command that was used wrongly, beyond what the argument parser sees.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUse(pub String);

#[must_use]
pub fn failed() -> ExitCode {
    ExitCode::from(1)
}

#[must_use]
pub fn bad_use() -> ExitCode {
    ExitCode::from(2)
}

/// Prints the error with its causes on standard error and gives its exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {}", with_causes(error));
    code_of(error)
}

/// The error and its causes, without those that the text before repeats already.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn code_of(error: &anyhow::Error) -> ExitCode {
    let is_bad_use = error.chain().any(|cause| cause.is::<ConfigError>() || cause.is::<BadUse>());
    if is_bad_use { bad_use() } else { failed() }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("no route").context("host db: no route").context("Postgres is away");
        assert_eq!(with_causes(&error), "Postgres is away: host db: no route");
    }

    #[test]
    fn a_wrong_configuration_is_two_and_a_failure_one() {
        let wrong = crate::config::Config::load([], std::path::Path::new("/nonexistent")).context("starting");
        assert_eq!(code_of(&wrong.unwrap_err()), ExitCode::from(2));
        assert_eq!(code_of(&anyhow::anyhow!(BadUse("no".to_owned())).context("more")), ExitCode::from(2));
        assert_eq!(code_of(&anyhow::anyhow!("down")), ExitCode::from(1));
    }
}
