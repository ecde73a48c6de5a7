//! How the private stack is run.

use std::path::PathBuf;

/// How the private stack is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the data lives and stays; a temporary place, removed at the end, unless given.
    pub data_dir: Option<PathBuf>,
    /// Off makes Postgres forget on a power cut and the tests fast.
    pub durable: bool,
    pub max_connections: u32,
}

impl Options {
    /// As in production: what is committed is on the disk.
    #[must_use]
    pub fn durable(data_dir: Option<PathBuf>) -> Self {
        Self { data_dir, durable: true, max_connections: 200 }
    }

    /// For tests: nothing outlives the process, so nothing is synced.
    #[must_use]
    pub fn fast() -> Self {
        Self { data_dir: None, durable: false, max_connections: 400 }
    }
}
