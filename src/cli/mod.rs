//! The commands: one file each. The only place that wires the parts together.

use std::process::ExitCode;

/// Parses the arguments and runs the command. 0 done, 1 failed, 2 bad use or configuration.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
