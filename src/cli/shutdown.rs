//! The wish to end: SIGTERM and SIGINT become a cancelled token.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// A token that the first SIGTERM or SIGINT cancels. A second one ends the
/// process at once, for those who will not wait.
///
/// # Errors
/// The signals cannot be caught.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if std::mem::replace(&mut asked, true) {
                std::process::exit(1);
            }
            info!(signal = name, "stopping; a second signal stops at once");
            cancelled.cancel();
        }
    });
    Ok(token)
}
