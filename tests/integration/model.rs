//! A model behind an OpenAI-compatible address, and what it counted itself.

use std::path::PathBuf;

use serde_json::Value;
use teamai::simulator::{self, Simulator};
use tempfile::TempDir;

/// The scripted model as an HTTP server of the test's own.
pub struct Model {
    simulator: Simulator,
    log: PathBuf,
    _dir: TempDir,
}

impl Model {
    pub async fn serve() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("requests.jsonl");
        let simulator = simulator::start("127.0.0.1:0", Some(&log)).await.unwrap();
        Self { simulator, log, _dir: dir }
    }

    pub fn base_url(&self) -> String {
        self.simulator.base_url()
    }

    /// Each request that it was sent.
    pub fn requests(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
