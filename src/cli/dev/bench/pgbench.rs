//! The anchor: what plain single-row commits reach on the same server in the same minute.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, ensure};
use tokio::process::Command;

use crate::cli::dev::stack::Stack;

const SCRIPT: &str = "insert into bench_anchor (note) values ('one row, one commit');\n";

/// pgbench, ready to run against the stack.
#[derive(Debug)]
pub struct Pgbench {
    program: PathBuf,
    script: PathBuf,
    url: String,
}

impl Pgbench {
    /// `None` where pgbench is not installed. `url` is a database with the anchor's table.
    ///
    /// # Errors
    /// The script cannot be written.
    pub fn find(stack: &Stack, url: String) -> anyhow::Result<Option<Self>> {
        let Some(program) = crate::cli::dev::stack::program("pgbench") else { return Ok(None) };
        let script = stack.data_dir().join("anchor.sql");
        std::fs::write(&script, SCRIPT)?;
        Ok(Some(Self { program, script, url }))
    }

    /// Commits per second of `clients` connections.
    ///
    /// # Errors
    /// pgbench fails.
    pub async fn commits_per_second(&self, clients: usize, time: Duration) -> anyhow::Result<f64> {
        let output = Command::new(&self.program)
            .args(["--no-vacuum", "--protocol=prepared", "--file"])
            .arg(&self.script)
            .arg(format!("--client={clients}"))
            .arg(format!("--jobs={}", clients.min(2)))
            .arg(format!("--time={}", time.as_secs().max(1)))
            .arg(&self.url)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("pgbench does not start")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench failed: {}", said.trim());
        tps(&String::from_utf8_lossy(&output.stdout)).context("pgbench prints no tps")
    }
}

fn tps(output: &str) -> Option<f64> {
    output.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_rate_is_read_from_what_pgbench_prints() {
        let output = "latency average = 0.062 ms\ntps = 16104.881207 (without initial connection time)\n";
        assert_eq!(super::tps(output), Some(16_104.881_207));
        assert_eq!(super::tps("pgbench: error"), None);
    }
}
