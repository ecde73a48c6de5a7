//! The simulator's own account of what it was asked: one JSON line a request.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::SecondsFormat;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::base::{Clock, Usage, random};

#[derive(Debug)]
pub struct Log {
    file: Option<Mutex<File>>,
    clock: Arc<dyn Clock>,
    /// Makes request ids differ from those of another run.
    run: String,
    requests: AtomicU64,
}

/// What is known of a request when its answer is about to leave.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    pub protocol: &'static str,
    pub path: &'a str,
    pub model: Option<&'a str>,
    pub request_id: &'a str,
    /// The start of the key's SHA-256, never the key.
    pub key: Option<String>,
    /// The start of the prompt's SHA-256, by which a caller finds its question; `null` if it could not be read.
    pub question: Option<String>,
    pub stream: bool,
    /// The model's own messages in the question: which turn of a conversation it is.
    pub replies: usize,
    /// `null` where no answer comes.
    pub status: Option<u16>,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// In the ledger's own buckets; `null` where nothing is charged.
    pub usage: Option<Usage>,
    /// `answered`, `refused`, `hang`, `cut`, `stall`, `malformed` or `wrong_type`.
    pub outcome: &'static str,
}

#[derive(Serialize)]
struct Timed<'a> {
    time: String,
    #[serde(flatten)]
    line: &'a Line<'a>,
}

impl Log {
    /// Adds to the file if it is there already.
    pub fn open(path: Option<&Path>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let file = match path {
            Some(path) => Some(Mutex::new(OpenOptions::new().create(true).append(true).open(path)?)),
            None => None,
        };
        let run = hex::encode(random::bytes::<4>().map_err(io::Error::other)?);
        Ok(Self { file, clock, run, requests: AtomicU64::new(0) })
    }

    pub fn next_request_id(&self) -> String {
        format!("sim-{}-{}", self.run, self.requests.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// One write a line and no buffer: it is there when the call returns, and
    /// lines of requests at the same time do not mix.
    pub fn write(&self, line: &Line<'_>) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let time = self.clock.now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let mut text = serde_json::to_vec(&Timed { time, line })?;
        text.push(b'\n');
        file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text)
    }
}

/// Enough to tell texts apart, nothing to use.
pub fn mark(text: &str) -> String {
    let hash = hex::encode(Sha256::digest(text.as_bytes()));
    format!("sha256:{}", hash.get(..12).unwrap_or_default())
}
