//! The table of every setting: its key, its plain variable, its default and what it means.

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// `section.key`, as in `teamai.toml`.
    pub path: &'static str,
    /// The name that everyone sets, where there is one.
    pub plain: Option<&'static str>,
    pub default: Option<&'static str>,
    /// How it is shown.
    pub shown: Shown,
    pub meaning: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Plainly,
    /// A URL whose password is hidden.
    WithoutPassword,
    /// Not at all.
    Hidden,
}

impl Shown {
    /// What is secret may stand in a file.
    #[must_use]
    pub fn may_be_a_file(self) -> bool {
        self != Self::Plainly
    }
}

impl Key {
    /// Whether `<variable>_FILE` names a file that holds the value.
    #[must_use]
    pub fn may_be_a_file(&self) -> bool {
        self.shown.may_be_a_file()
    }

    /// The variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        self.plain.map_or_else(|| variable(self.path), str::to_owned)
    }
}

/// `worker.concurrency` is set by `TEAMAI_WORKER__CONCURRENCY`.
#[must_use]
pub fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_uppercase())
}

pub const PREFIX: &str = "TEAMAI_";

/// The providers whose address and protocol are known.
pub const KNOWN_PROVIDERS: &[&str] =
    &["openai", "anthropic", "groq", "gemini", "ollama", "openrouter", "mistral", "deepseek"];

/// The protocols that a provider of one's own can speak.
pub const PROTOCOLS: &[&str] = &["openai", "anthropic", "gemini"];

/// What can be set for a provider, under `providers.<name>`.
pub const PROVIDER_KEYS: &[&str] = &["base_url", "protocol", "stream", "max_in_flight"];

/// What can be set for an OpenID Connect provider, under `auth.oidc.<name>`.
pub const OIDC_KEYS: &[Key] = &[
    key("issuer", Shown::Plainly, None, "the provider's issuer, as in https://accounts.google.com"),
    key("client_id", Shown::Plainly, None, "what the provider calls this installation"),
    key("client_secret", Shown::Hidden, None, "the provider's secret for this installation"),
    key("scopes", Shown::Plainly, Some("openid email profile"), "what the provider is asked for"),
    key(
        "trust_email",
        Shown::Plainly,
        Some("false"),
        "take an address of which the provider does not say that it is verified",
    ),
];

/// Postgres' notices say nothing that an operator acts on.
pub const DEFAULT_FILTER: &str = "info,sqlx::postgres::notice=warn";

/// Every setting except those of providers, whose names are open.
pub const KEYS: &[Key] = &[
    key("database.url", Shown::WithoutPassword, None, "Postgres, as the role that serves").plain("DATABASE_URL"),
    key("database.worker_url", Shown::WithoutPassword, None, "Postgres, as the worker's role; database.url unless set"),
    key("database.owner_url", Shown::WithoutPassword, None, "Postgres, as the migrating role; for migrate and admin"),
    key("database.max_connections", Shown::Plainly, Some("20"), "connections of each pool"),
    key("redis.url", Shown::WithoutPassword, Some("redis://127.0.0.1:6379"), "Redis").plain("REDIS_URL"),
    key("locker.root_key", Shown::Hidden, None, "32 bytes in base64; wraps the agencies' keys"),
    key(
        "locker.previous_root_keys",
        Shown::Hidden,
        None,
        "comma-separated; root keys that are read while one is replaced",
    ),
    key("auth.signing_key", Shown::Hidden, None, "Ed25519 private key in PEM; signs access tokens"),
    key(
        "auth.registration",
        Shown::Plainly,
        Some("open"),
        "open or closed: who may make an agency, anybody or the operator",
    ),
    key(
        "auth.return_origins",
        Shown::Plainly,
        Some(""),
        "comma-separated origins, beside one's own, to which a sign-in through a provider may return",
    ),
    key("http.bind", Shown::Plainly, Some("127.0.0.1:8000"), "address and port of the API"),
    key(
        "http.trusted_proxies",
        Shown::Plainly,
        Some(""),
        "comma-separated networks, e.g. 10.0.0.0/8, of proxies whose X-Forwarded-For is believed",
    ),
    key(
        "http.cors_origins",
        Shown::Plainly,
        Some(""),
        "comma-separated origins, as in https://app.example.com, whose pages may call the API; none unless set",
    ),
    key("limits.user_per_minute", Shown::Plainly, Some("60000"), "requests of one user or API key"),
    key("limits.agency_per_minute", Shown::Plainly, Some("600000"), "requests of one agency"),
    key("limits.address_per_minute", Shown::Plainly, Some("300"), "sign-in requests from one address"),
    key("limits.agency_open_tasks", Shown::Plainly, Some("100000"), "tasks of one agency that have not ended"),
    key("http.public_url", Shown::Plainly, None, "where people reach the API, as in https://teamai.example.com"),
    key("worker.concurrency", Shown::Plainly, Some("1000"), "tasks in flight in one worker"),
    key(
        "worker.agency_concurrency",
        Shown::Plainly,
        Some("0"),
        "tasks of one agency at once, in all workers, whatever it sets itself; 0 for no limit",
    ),
    key("worker.drain_seconds", Shown::Plainly, Some("25"), "how long a worker that stops lets its tasks finish"),
    key("lease.seconds", Shown::Plainly, Some("60"), "how long a silent worker keeps its tasks"),
    key(
        "retention.days",
        Shown::Plainly,
        Some("365"),
        "how long finished tasks are kept where the agency has not said; ledgers stay",
    ),
    key("egress.allow", Shown::Plainly, Some(""), "comma-separated exact host:port that tenants' traffic may reach"),
    key("log.format", Shown::Plainly, Some("text"), "text or json"),
    key("log.filter", Shown::Plainly, Some(DEFAULT_FILTER), "what is logged, e.g. info,teamai=debug").plain("RUST_LOG"),
];

const fn key(path: &'static str, shown: Shown, default: Option<&'static str>, meaning: &'static str) -> Key {
    Key { path, plain: None, default, shown, meaning }
}

impl Key {
    const fn plain(mut self, name: &'static str) -> Self {
        self.plain = Some(name);
        self
    }
}

/// The setting at a path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether the path names a setting, a provider's among them.
#[must_use]
pub fn is_known(path: &str) -> bool {
    shown(path).is_some() || provider(path).is_some_and(|(_, field)| PROVIDER_KEYS.contains(&field))
}

/// How the setting at a path is shown; `None` if the table has no such setting.
#[must_use]
pub fn shown(path: &str) -> Option<Shown> {
    let key = find(path).or_else(|| oidc(path).and_then(|(_, field)| OIDC_KEYS.iter().find(|key| key.path == field)));
    key.map(|key| key.shown)
}

/// The provider's name and the field of `auth.oidc.<name>.<field>`.
#[must_use]
pub fn oidc(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("auth.oidc.")?.split_once('.')
}

/// The provider's name and the field of `providers.<name>.<field>`.
#[must_use]
pub fn provider(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("providers.")?.split_once('.')
}

/// The known key that looks most like a mistyped one, if any comes close.
#[must_use]
pub fn closest(path: &str) -> Option<String> {
    if let Some((name, field)) = provider(path) {
        let near = PROVIDER_KEYS.iter().min_by_key(|known| distance(known, field))?;
        return Some(format!("providers.{name}.{near}"));
    }
    if let Some((name, field)) = oidc(path) {
        let near = OIDC_KEYS.iter().min_by_key(|known| distance(known.path, field))?;
        return Some(format!("auth.oidc.{name}.{}", near.path));
    }
    let near = KEYS.iter().min_by_key(|key| distance(key.path, path))?;
    (distance(near.path, path) <= 4).then(|| near.path.to_owned())
}

/// Levenshtein distance in bytes; keys are ASCII.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_key() {
        assert_eq!(closest("worker.concurency").as_deref(), Some("worker.concurrency"));
        assert_eq!(closest("providers.groq.baseurl").as_deref(), Some("providers.groq.base_url"));
        assert_eq!(closest("auth.oidc.google.client").as_deref(), Some("auth.oidc.google.client_id"));
        assert_eq!(closest("something.else.entirely"), None);
    }

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
