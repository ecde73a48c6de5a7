//! A server as a child process.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use anyhow::Context;
use tokio::process::Child;

#[derive(Debug)]
pub struct Server {
    pub child: Child,
    pub pid: u32,
    pub port: u16,
}

impl Server {
    pub fn new(child: Child, port: u16) -> anyhow::Result<Self> {
        let pid = child.id().context("the process ended at once")?;
        Ok(Self { child, pid, port })
    }
}

/// A loopback port that is free at this moment.
pub fn free_port() -> std::io::Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr().map(|address| address.port())
}

/// The last lines of a server's log, to show why it did not start.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
