//! The scripted provider as a process, and what it wrote down of each request.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::postgres::free_port;
use crate::stack::{Process, eventually};

/// `teamai provider-sim`, at one port however often it is started.
pub struct Provider {
    process: Process,
    pub port: u16,
    log: PathBuf,
    _dir: TempDir,
}

impl Provider {
    pub async fn start() -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let log = dir.path().join("requests.jsonl");
        let process = Self::spawn(&log, port);
        let provider = Self { process, port, log, _dir: dir };
        provider.ready().await;
        provider
    }

    fn spawn(log: &std::path::Path, port: u16) -> Process {
        let (port, log_file) = (port.to_string(), log.to_string_lossy());
        let arguments = ["provider-sim", "--port", &port, "--log", &log_file];
        Process::start(log.parent().unwrap(), "provider", &arguments, &BTreeMap::new())
    }

    async fn ready(&self) {
        eventually("the provider is up", async || self.process.log().contains("\"ready\":true").then_some(())).await;
    }

    pub fn kill(&mut self) {
        self.process.signal("KILL");
    }

    pub async fn up(&mut self) {
        self.process.ended().await;
        self.process = Self::spawn(&self.log, self.port);
        self.ready().await;
    }

    pub fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Each request that it was sent.
    pub fn requests(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
