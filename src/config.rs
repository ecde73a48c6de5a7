//! Settings: defaults, then `teamai.toml`, then the environment. Names are fixed by the operator's guide.

use std::collections::BTreeMap;

use secrecy::SecretString;

/// Everything that can be set. Loaded and checked once, at start.
#[derive(Debug, Clone)]
pub struct Config {
    pub database: Database,
    pub redis_url: SecretString,
    pub locker: Locker,
    pub auth: Auth,
    pub http: Http,
    pub worker: Worker,
    pub lease: Lease,
    pub egress: Egress,
    pub log: Log,
    /// By lower-case provider name.
    pub providers: BTreeMap<String, Provider>,
}

#[derive(Debug, Clone)]
pub struct Database {
    /// `DATABASE_URL`: the API's role.
    pub url: SecretString,
    /// The worker's role; `url` when not set.
    pub worker_url: SecretString,
    /// The migrating role, for `migrate`, `admin`, `catalog` and `dev` only.
    pub owner_url: Option<SecretString>,
    /// Connections of each pool.
    pub max_connections: u32,
}

#[derive(Debug, Clone)]
pub struct Locker {
    /// Without it the start is refused.
    pub root_key: Option<SecretBytes>,
}

/// A key that is wiped when dropped and never printed.
pub type SecretBytes = std::sync::Arc<secrecy::SecretBox<[u8; 32]>>;

#[derive(Debug, Clone)]
pub struct Auth {
    /// Ed25519 private key, PEM (PKCS#8).
    pub signing_key: Option<SecretString>,
}

#[derive(Debug, Clone)]
pub struct Http {
    /// `127.0.0.1:8000` unless set.
    pub bind: String,
}

#[derive(Debug, Clone)]
pub struct Worker {
    /// Tasks in flight in one worker.
    pub concurrency: usize,
}

#[derive(Debug, Clone)]
pub struct Lease {
    pub seconds: u32,
}

#[derive(Debug, Clone)]
pub struct Egress {
    /// Exact `host:port` pairs that the guard lets through.
    pub allow: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Log {
    pub json: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Provider {
    pub base_url: Option<String>,
    /// `openai`, `anthropic` or `gemini`; known names have their own.
    pub protocol: Option<String>,
}
