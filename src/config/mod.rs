//! Settings: defaults, then `teamai.toml`, then the environment. Names are fixed by the operator's guide.

mod check;
mod error;
mod keys;
mod settings;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};

pub use error::{ConfigError, Problem};
pub use keys::{KEYS, Key, OIDC_KEYS, variable};
pub use settings::{Setting, Settings};

/// Everything that can be set. Loaded and checked once, at start.
#[derive(Debug, Clone)]
pub struct Config {
    pub database: Database,
    pub redis_url: SecretString,
    pub locker: Locker,
    pub auth: Auth,
    pub http: Http,
    pub limits: Limits,
    pub worker: Worker,
    pub lease: Lease,
    pub retention: Retention,
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
    /// Read, and never written with: the other key while the root key is replaced.
    pub previous_root_keys: Vec<SecretBytes>,
}

/// A key that is wiped when dropped and never printed.
pub type SecretBytes = std::sync::Arc<secrecy::SecretBox<[u8; 32]>>;

#[derive(Debug, Clone)]
pub struct Auth {
    /// Ed25519 private key, PEM (PKCS#8).
    pub signing_key: Option<SecretString>,
    /// Whether anybody may make an agency; else the operator does, with `teamai admin`.
    pub registration_open: bool,
    /// By name; `http.public_url` is set if there is one.
    pub oidc: BTreeMap<String, OidcProvider>,
    /// Origins, beside one's own, to which a sign-in through a provider may return.
    pub return_origins: Vec<url::Origin>,
}

/// An OpenID Connect provider that people may sign in through.
#[derive(Debug, Clone)]
pub struct OidcProvider {
    /// As the provider writes it: compared by the character.
    pub issuer: String,
    pub client_id: String,
    pub client_secret: SecretString,
    /// `openid` is asked for in any case.
    pub scopes: Vec<String>,
    /// Whether an address is taken of which the provider does not say that it is verified.
    pub trust_email: bool,
}

#[derive(Debug, Clone)]
pub struct Http {
    /// `127.0.0.1:8000` unless set.
    pub bind: String,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where people reach the API; it has no query, and a path that ends with a slash.
    pub public_url: Option<url::Url>,
    /// Origins whose pages may call the API from a browser.
    pub cors_origins: Vec<url::Origin>,
}

/// Requests in a minute, and tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of a user or an API key.
    pub user_per_minute: u32,
    pub agency_per_minute: u32,
    /// Of a client's address, at the endpoints that take no token.
    pub address_per_minute: u32,
    /// Tasks of an agency that have not ended, those for later with them.
    pub agency_open_tasks: u32,
}

#[derive(Debug, Clone)]
pub struct Worker {
    /// Tasks in flight in one worker.
    pub concurrency: usize,
    /// Tasks of one agency that may run at once, in all workers; `None` is no limit.
    pub agency_concurrency: Option<i32>,
    /// How long a worker that stops lets its tasks finish before it hands them back.
    pub drain_seconds: u32,
}

#[derive(Debug, Clone)]
pub struct Lease {
    pub seconds: u32,
}

#[derive(Debug, Clone)]
pub struct Retention {
    /// Finished tasks are kept so long, unless their agency says otherwise.
    pub days: u32,
}

#[derive(Debug, Clone)]
pub struct Egress {
    /// Exact `host:port` pairs that the guard lets through, in lower case.
    pub allow: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Log {
    pub json: bool,
    /// `RUST_LOG`: which spans and events are written.
    pub filter: String,
}

#[derive(Debug, Clone, Default)]
pub struct Provider {
    pub base_url: Option<String>,
    /// `openai`, `anthropic` or `gemini`; known names have their own.
    pub protocol: Option<String>,
    /// Whether answers come in pieces; they do unless this is false.
    pub stream: Option<bool>,
    /// Calls at once with one key, in one process; any number unless set.
    pub max_in_flight: Option<u32>,
}

impl Config {
    /// Reads `teamai.toml` in `dir`, if it is there, and then the environment.
    ///
    /// # Errors
    /// Every wrong or unknown key, each with its name and the remedy.
    pub fn load(env: impl IntoIterator<Item = (String, String)>, dir: &Path) -> Result<Self, ConfigError> {
        Settings::read(env, dir)?.check()
    }

    /// Host and port of every service of this installation that the settings name: no
    /// tenant's traffic goes there.
    #[must_use]
    pub fn own_services(&self) -> BTreeSet<(String, u16)> {
        let Database { url, worker_url, owner_url, .. } = &self.database;
        let urls = [Some(url), Some(worker_url), owner_url.as_ref(), Some(&self.redis_url)];
        let bind = format!("http://{}", self.http.bind);
        urls.into_iter()
            .flatten()
            .map(ExposeSecret::expose_secret)
            .chain([bind.as_str()])
            .filter_map(host_and_port)
            .filter(|(_, port)| *port != 0)
            .collect()
    }

    /// The locker's root key, which whatever opens the locker needs.
    ///
    /// # Errors
    /// It is not set; the error says how to make one.
    pub fn root_key(&self) -> Result<&SecretBytes, ConfigError> {
        self.locker.root_key.as_ref().ok_or_else(|| {
            ConfigError::one(
                "TEAMAI_LOCKER__ROOT_KEY",
                "not set, and secrets cannot be kept without it: make one with `head -c 32 /dev/urandom | base64` and keep it safe",
            )
        })
    }

    /// The key that signs access tokens, which the API needs.
    ///
    /// # Errors
    /// It is not set; the error says how to make one.
    pub fn signing_key(&self) -> Result<&SecretString, ConfigError> {
        self.auth.signing_key.as_ref().ok_or_else(|| {
            ConfigError::one(
                "TEAMAI_AUTH__SIGNING_KEY",
                "not set, and nobody can sign in without it: make one with `openssl genpkey -algorithm ed25519`",
            )
        })
    }
}

/// As a request for `http://HOST:PORT` would have them.
fn host_and_port(url: &str) -> Option<(String, u16)> {
    let url = url::Url::parse(url).ok()?;
    let port = url.port_or_known_default().or(match url.scheme() {
        "redis" | "rediss" => Some(6379),
        _ => Some(5432),
    })?;
    // Only the web's schemes bring a host to its one form.
    let web = url::Url::parse(&format!("http://{}/", url.host_str()?)).ok()?;
    Some((web.host_str()?.trim_end_matches('.').to_owned(), port))
}
