//! Ends the servers when this process ends, even when it is killed with SIGKILL.
//!
//! A small shell process reads a pipe whose other end this process holds. The pipe
//! closes with this process, however that ends; then the shell stops the servers
//! and removes the temporary data.

use std::{path::Path, process::Stdio};

use anyhow::Context;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin},
};

use super::account;

/// Lines on its input: `child PID SIGNAL_IN_ORDER SIGNAL_AT_LOSS`, `remove DIRECTORY`, `orderly`.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
pids= in_order= at_loss= dir= orderly=
while read -r word rest; do
  case $word in
    child)
      set -- $rest
      pids="$pids $1" in_order="$in_order -$2:$1" at_loss="$at_loss -$3:$1" ;;
    remove) dir=$rest ;;
    orderly) orderly=yes ;;
  esac
done
if [ -n "$orderly" ]; then signals=$in_order; else signals=$at_loss; fi
for signal in $signals; do kill "${signal%%:*}" "${signal#*:}" 2>/dev/null; done
lives() { kill -0 "$1" 2>/dev/null && ! grep -q ') Z ' "/proc/$1/stat" 2>/dev/null; }
patience=200
for pid in $pids; do
  while lives "$pid" && [ $patience -gt 0 ]; do sleep 0.1; patience=$((patience - 1)); done
  lives "$pid" && kill -KILL "$pid" 2>/dev/null
done
if [ -n "$dir" ]; then rm -rf -- "$dir"; fi
"#;

#[derive(Debug)]
pub struct Watchdog {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts the shell, in its own process group and holding none of our output.
    ///
    /// # Errors
    /// There is no `sh`.
    pub fn start() -> anyhow::Result<Self> {
        let mut child = account::command(Path::new("sh"), None)
            .args(["-c", SCRIPT, "teamai-watchdog"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start sh")?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// From now on this process ends with us: by the first signal when we end in
    /// good order, by the second when we are lost.
    pub async fn ends_with_us(&mut self, pid: u32, in_order: &str, at_loss: &str) -> anyhow::Result<()> {
        self.tell(&format!("child {pid} {in_order} {at_loss}\n")).await
    }

    pub async fn remove_at_the_end(&mut self, dir: &Path) -> anyhow::Result<()> {
        self.tell(&format!("remove {}\n", dir.display())).await
    }

    /// Lets the shell stop the servers in good order and waits for it.
    pub async fn finish(&mut self) -> anyhow::Result<()> {
        self.tell("orderly\n").await?;
        drop(self.pipe.take());
        self.child.wait().await?;
        Ok(())
    }

    async fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        let pipe = self.pipe.as_mut().context("the watchdog was dismissed")?;
        pipe.write_all(line.as_bytes()).await.context("the watchdog is gone")?;
        Ok(pipe.flush().await?)
    }
}
