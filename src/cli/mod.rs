//! The commands: one file each. The only place that wires the parts together.

pub mod prices;
pub mod provider_sim;

use std::process::ExitCode;

/// Parses the arguments and runs the command. 0 done, 1 failed, 2 bad use or configuration.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
