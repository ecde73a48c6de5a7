//! The threads that asynchronous commands run on.

use std::process::ExitCode;

/// Runs an asynchronous command on all cores.
pub fn wait(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(command);
    // What still runs here is blocking work that nobody waits for any more.
    runtime.shutdown_background();
    outcome
}
