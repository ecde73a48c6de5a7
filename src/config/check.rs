//! Turns the settings' text into the typed configuration, collecting every problem on the way.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use ipnet::IpNet;
use secrecy::{SecretBox, SecretString};

use super::{
    Auth, Config, ConfigError, Database, Egress, Http, Lease, Limits, Locker, Log, Problem, Provider, Retention,
    SecretBytes, Settings, Worker, keys,
};
use crate::base::host_name;

impl Settings {
    /// The typed configuration.
    ///
    /// # Errors
    /// Every setting that is missing or wrong.
    pub fn check(&self) -> Result<Config, ConfigError> {
        let mut reader = Reader { settings: self, problems: Vec::new() };
        let config = reader.config();
        match config {
            Some(config) if reader.problems.is_empty() => Ok(config),
            _ => Err(ConfigError(reader.problems)),
        }
    }
}

struct Reader<'a> {
    settings: &'a Settings,
    problems: Vec<Problem>,
}

const POSTGRES: &[&str] = &["postgres", "postgresql"];
const REDIS: &[&str] = &["redis", "rediss"];

impl Reader<'_> {
    /// Reads everything before it gives up, so that one start shows all problems.
    fn config(&mut self) -> Option<Config> {
        let url = self.url("database.url", POSTGRES);
        if url.is_none() && self.text("database.url").is_none() {
            self.refuse(
                "database.url",
                "not set; give Postgres' address, as in postgres://teamai_api:PASSWORD@HOST/DATABASE",
            );
        }
        let worker_url = self.url("database.worker_url", POSTGRES);
        let owner_url = self.url("database.owner_url", POSTGRES);
        let max_connections = self.number("database.max_connections", 1..=1000);
        let redis_url = self.url("redis.url", REDIS);
        let root_key = self.root_key();
        let previous_root_keys = self.previous_root_keys();
        let signing_key = self.signing_key();
        let registration_open = self.one_of("auth.registration", [("open", true), ("closed", false)]);
        let bind = self.bind();
        let trusted_proxies = self.trusted_proxies();
        let limits = self.limits();
        let public_url = self.public_url();
        let cors_origins = self.origins("http.cors_origins");
        let concurrency = self.number("worker.concurrency", 1..=100_000);
        let agency_concurrency = self.number("worker.agency_concurrency", 0..=100_000);
        let drain_seconds = self.number("worker.drain_seconds", 1..=3600);
        let seconds = self.number("lease.seconds", 5..=3600);
        let retention_days = self.number("retention.days", 1..=3650);
        let allow = self.allow();
        let oidc = self.oidc(&allow);
        let return_origins = self.origins("auth.return_origins");
        let json = self.one_of("log.format", [("text", false), ("json", true)]);
        let providers = self.providers();
        let url = url?;
        let config = Config {
            database: Database {
                worker_url: worker_url.unwrap_or_else(|| url.clone()),
                url,
                owner_url,
                max_connections: max_connections?,
            },
            redis_url: redis_url?,
            locker: Locker { root_key, previous_root_keys },
            auth: Auth { signing_key, registration_open: registration_open?, oidc, return_origins },
            http: Http { bind: bind?, trusted_proxies, public_url, cors_origins },
            limits: limits?,
            worker: Worker {
                concurrency: usize::try_from(concurrency?).ok()?,
                agency_concurrency: agency_concurrency.filter(|limit| *limit > 0).map(u32::cast_signed),
                drain_seconds: drain_seconds?,
            },
            lease: Lease { seconds: seconds? },
            retention: Retention { days: retention_days? },
            egress: Egress { allow },
            log: Log { json: json?, filter: self.text("log.filter").unwrap_or(keys::DEFAULT_FILTER).to_owned() },
            providers,
        };
        self.check_allowed(&config);
        Some(config)
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.settings.0.get(path).map(|setting| setting.value.as_str())
    }

    /// Notes a problem under the name by which the operator set the key.
    fn refuse(&mut self, path: &str, message: impl Into<String>) {
        let set_by = self.settings.0.get(path).map(|setting| setting.source.clone());
        let name = set_by.unwrap_or_else(|| keys::find(path).map_or_else(|| keys::variable(path), keys::Key::variable));
        self.problems.push(Problem { name, message: message.into() });
    }

    fn url(&mut self, path: &str, schemes: &[&str]) -> Option<SecretString> {
        let text = self.text(path)?.to_owned();
        // The message must not repeat the value: it may hold a password.
        match url::Url::parse(&text) {
            Ok(url) if schemes.contains(&url.scheme()) && url.host().is_some() => Some(text.into()),
            Ok(url) if !schemes.contains(&url.scheme()) => {
                self.refuse(path, format!("must start with {}://, not {}://", schemes[0], url.scheme()));
                None
            }
            Ok(_) => {
                self.refuse(path, format!("has no host; write {}://USER:PASSWORD@HOST:PORT/NAME", schemes[0]));
                None
            }
            Err(error) => {
                self.refuse(path, format!("is not a URL ({error}); write {}://USER:PASSWORD@HOST:PORT/NAME, with signs such as / and @ in the password percent-encoded", schemes[0]));
                None
            }
        }
    }

    fn number(&mut self, path: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let text = self.text(path)?.trim().to_owned();
        match text.parse::<u32>() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let (low, high) = range.into_inner();
                self.refuse(path, format!("must be a whole number from {low} to {high}, not `{text}`"));
                None
            }
        }
    }

    fn root_key(&mut self) -> Option<SecretBytes> {
        let parsed = key_bytes(self.text("locker.root_key")?.trim());
        self.root_key_or_problem("locker.root_key", parsed)
    }

    /// One key a line, or separated by commas, so that a file and a variable can hold them.
    fn previous_root_keys(&mut self) -> Vec<SecretBytes> {
        const PATH: &str = "locker.previous_root_keys";
        let text = self.text(PATH).unwrap_or_default();
        let separate = |c: char| c == ',' || c.is_whitespace();
        let parsed: Vec<_> = text.split(separate).filter(|key| !key.is_empty()).map(key_bytes).collect();
        parsed.into_iter().filter_map(|key| self.root_key_or_problem(PATH, key)).collect()
    }

    fn root_key_or_problem(&mut self, path: &str, parsed: Result<SecretBytes, String>) -> Option<SecretBytes> {
        parsed
            .map_err(|message| {
                self.refuse(path, format!("{message}; make one with `head -c 32 /dev/urandom | base64`"));
            })
            .ok()
    }

    /// An environment file cannot hold line breaks everywhere, so `\n` is taken for one.
    fn signing_key(&mut self) -> Option<SecretString> {
        let text = self.text("auth.signing_key")?.replace("\\n", "\n");
        let text = text.trim();
        if text.starts_with("-----BEGIN PRIVATE KEY-----") && text.ends_with("-----END PRIVATE KEY-----") {
            return Some(format!("{text}\n").into());
        }
        self.refuse(
            "auth.signing_key",
            "is not a PEM private key (PKCS#8); make one with `openssl genpkey -algorithm ed25519`",
        );
        None
    }

    fn bind(&mut self) -> Option<String> {
        let text = self.text("http.bind")?.trim().to_owned();
        if text.parse::<SocketAddr>().is_ok() {
            return Some(text);
        }
        self.refuse("http.bind", format!("must be an address and a port, as in 127.0.0.1:8000, not `{text}`"));
        None
    }

    fn allow(&mut self) -> Vec<String> {
        let text = self.text("egress.allow").unwrap_or_default().to_lowercase();
        let mut allowed = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            if is_host_and_port(entry) {
                allowed.push(entry.to_owned());
            } else {
                self.refuse(
                    "egress.allow",
                    format!(
                        "`{entry}` is not an exact host:port, as in intranet.example:8080; no scheme, path or wildcard; {}",
                        host_name::RULE
                    ),
                );
            }
        }
        allowed
    }

    /// Tenants must not reach what this installation itself stands on.
    fn check_allowed(&mut self, config: &Config) {
        for (host, port) in config.own_services() {
            let entry = format!("{host}:{port}");
            if config.egress.allow.contains(&entry) {
                let message = format!("`{entry}` is one of this installation's own services; take it out");
                self.refuse("egress.allow", message);
            }
        }
    }

    fn limits(&mut self) -> Option<Limits> {
        let user_per_minute = self.number("limits.user_per_minute", 1..=u32::MAX);
        let agency_per_minute = self.number("limits.agency_per_minute", 1..=u32::MAX);
        let address_per_minute = self.number("limits.address_per_minute", 1..=u32::MAX);
        let agency_open_tasks = self.number("limits.agency_open_tasks", 1..=u32::MAX);
        Some(Limits {
            user_per_minute: user_per_minute?,
            agency_per_minute: agency_per_minute?,
            address_per_minute: address_per_minute?,
            agency_open_tasks: agency_open_tasks?,
        })
    }

    fn trusted_proxies(&mut self) -> Vec<IpNet> {
        let text = self.text("http.trusted_proxies").unwrap_or_default().to_owned();
        let mut networks = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from)) {
                Ok(network) => networks.push(network.trunc()),
                Err(_) => self.refuse(
                    "http.trusted_proxies",
                    format!("`{entry}` is not an address or a network, as in 10.0.0.0/8, 192.168.1.7 or fd00::/8"),
                ),
            }
        }
        networks
    }

    fn one_of(&mut self, path: &str, known: [(&str, bool); 2]) -> Option<bool> {
        let text = self.text(path)?.trim().to_owned();
        let found = known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            self.refuse(path, format!("must be {} or {}, not `{text}`", known[0].0, known[1].0));
        }
        found
    }

    fn providers(&mut self) -> BTreeMap<String, Provider> {
        let mut providers = BTreeMap::<String, Provider>::new();
        for (path, setting) in &self.settings.0 {
            if let Some((name, field)) = keys::provider(path) {
                let provider = providers.entry(name.to_owned()).or_default();
                let value = setting.value.trim().trim_end_matches('/').to_owned();
                match field {
                    "base_url" => provider.base_url = Some(value),
                    "protocol" => provider.protocol = Some(value.to_lowercase()),
                    // Read below, where they can be refused.
                    _ => {}
                }
            }
        }
        for (name, provider) in &mut providers {
            self.check_provider(name, provider);
            provider.stream = self.one_of(&format!("providers.{name}.stream"), [("true", true), ("false", false)]);
            provider.max_in_flight = self.number(&format!("providers.{name}.max_in_flight"), 1..=1_000_000);
        }
        providers
    }

    fn check_provider(&mut self, name: &str, provider: &Provider) {
        let path = |field: &str| format!("providers.{name}.{field}");
        if let Some(url) = &provider.base_url {
            let parsed = url::Url::parse(url).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
            match parsed {
                None => self.refuse(&path("base_url"), "must be an http:// or https:// address"),
                Some(url) if !url.username().is_empty() || url.password().is_some() => {
                    self.refuse(
                        &path("base_url"),
                        "must not contain a user name or password; put the key in the locker",
                    );
                }
                Some(_) => {}
            }
        }
        match &provider.protocol {
            Some(protocol) if !keys::PROTOCOLS.contains(&protocol.as_str()) => {
                self.refuse(&path("protocol"), format!("must be one of {}", keys::PROTOCOLS.join(", ")));
            }
            None if !keys::KNOWN_PROVIDERS.contains(&name) => {
                let message = format!(
                    "not set, and `{name}` is none of the known providers ({}); say which protocol it speaks",
                    keys::KNOWN_PROVIDERS.join(", ")
                );
                self.refuse(&path("protocol"), message);
            }
            Some(_) if provider.base_url.is_none() && !keys::KNOWN_PROVIDERS.contains(&name) => {
                self.refuse(&path("base_url"), format!("not set; say where `{name}` answers"));
            }
            _ => {}
        }
    }
}

/// 32 bytes out of base64. The message does not repeat the text: it is most of a key.
fn key_bytes(text: &str) -> Result<SecretBytes, String> {
    let bytes = BASE64_STANDARD.decode(text).map(zeroize::Zeroizing::new).map_err(|_| "is not base64".to_owned())?;
    match <[u8; 32]>::try_from(bytes.as_slice()) {
        Ok(key) => Ok(Arc::new(SecretBox::new(Box::new(key)))),
        Err(_) => Err(format!("holds {} bytes where 32 are needed", bytes.len())),
    }
}

/// `host:port` with nothing around it; an IPv6 address stands in brackets.
fn is_host_and_port(entry: &str) -> bool {
    url::Url::parse(&format!("http://{entry}")).is_ok_and(|url| {
        let port = entry.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let host = url.host_str().unwrap_or_default();
        port.is_some_and(|port| port > 0 && host_name::is_possible(&url) && entry == format!("{host}:{port}"))
    })
}

mod oidc;
#[cfg(test)]
mod tests;
