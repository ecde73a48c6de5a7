//! What an operator sees for good and bad settings.

use secrecy::ExposeSecret;

use super::*;

const URL: (&str, &str) = ("DATABASE_URL", "postgres://teamai_api:s3cret@db/teamai");
const PEM: &str = "-----BEGIN PRIVATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIA==\\n-----END PRIVATE KEY-----";

fn load_in(dir: &std::path::Path, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())), dir)
}

fn load(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load_in(std::path::Path::new("/nonexistent"), env)
}

/// The only problem of a configuration with a database and these settings.
fn problem(env: &[(&str, &str)]) -> (String, String) {
    let all: Vec<_> = std::iter::once(URL).chain(env.iter().copied()).collect();
    let mut problems = load(&all).unwrap_err().0;
    assert_eq!(problems.len(), 1, "{problems:?}");
    let problem = problems.remove(0);
    (problem.name, problem.message)
}

#[test]
fn defaults_apply() {
    let config = load(&[URL, ("HOME", "/root"), ("TEAMAI_EGRESS__ALLOW", "")]).unwrap();
    assert_eq!(config.http.bind, "127.0.0.1:8000");
    assert_eq!(config.worker.concurrency, 1000);
    assert_eq!(config.lease.seconds, 60);
    assert_eq!(config.database.worker_url.expose_secret(), URL.1);
    assert!(config.egress.allow.is_empty() && config.providers.is_empty() && !config.log.json);
    assert!(config.root_key().unwrap_err().to_string().contains("TEAMAI_LOCKER__ROOT_KEY"));
    assert!(config.signing_key().unwrap_err().to_string().contains("openssl genpkey"));
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let toml = "[worker]\nconcurrency = 7\n[lease]\nseconds = 30\n[egress]\nallow = [\"a.example:80\", \"[::1]:81\"]\n";
    std::fs::write(dir.path().join("teamai.toml"), toml).unwrap();
    let config = load_in(dir.path(), &[URL, ("TEAMAI_LEASE__SECONDS", "90")]).unwrap();
    assert_eq!((config.worker.concurrency, config.lease.seconds), (7, 90));
    assert_eq!(config.egress.allow, ["a.example:80", "[::1]:81"]);
}

#[test]
fn an_unknown_key_names_itself_and_the_right_one() {
    let (name, message) = problem(&[("TEAMAI_WORKER__CONCURENCY", "5")]);
    assert_eq!(name, "TEAMAI_WORKER__CONCURENCY");
    assert!(message.contains("TEAMAI_WORKER__CONCURRENCY"), "{message}");
    let (name, message) = problem(&[("TEAMAI_PROVIDERS__GROQ__BASEURL", "https://x")]);
    assert_eq!(name, "TEAMAI_PROVIDERS__GROQ__BASEURL");
    assert!(message.contains("TEAMAI_PROVIDERS__GROQ__BASE_URL"), "{message}");
}

#[test]
fn the_file_names_the_key_that_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("teamai.toml"), "[worker]\nthreads = 4\nconcurrency = \"many\"\n").unwrap();
    let error = load_in(dir.path(), &[URL]).unwrap_err().to_string();
    assert!(error.contains("worker.threads in teamai.toml: there is no such setting"), "{error}");
    std::fs::write(dir.path().join("teamai.toml"), "[worker]\nconcurrency = \"many\"\n").unwrap();
    let error = load_in(dir.path(), &[URL]).unwrap_err().to_string();
    assert!(error.contains("worker.concurrency in teamai.toml: must be a whole number from 1 to 100000"), "{error}");
    std::fs::write(dir.path().join("teamai.toml"), "[worker\n").unwrap();
    assert!(load_in(dir.path(), &[URL]).unwrap_err().to_string().contains("teamai.toml"));
}

#[test]
fn all_problems_are_reported_at_once() {
    let error = load(&[("TEAMAI_HTTP__BIND", "8000"), ("TEAMAI_LOG__FORMAT", "xml"), ("REDIS_URL", "http://x")]);
    let problems = error.unwrap_err().0;
    let names: Vec<_> = problems.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["DATABASE_URL", "REDIS_URL", "TEAMAI_HTTP__BIND", "TEAMAI_LOG__FORMAT"]);
}

#[test]
fn a_bad_url_is_not_repeated() {
    let error = load(&[("DATABASE_URL", "postgres://user:top/secret@host/db")]).unwrap_err().to_string();
    assert!(error.contains("DATABASE_URL") && !error.contains("secret@"), "{error}");
}

#[test]
fn the_root_key_has_exactly_32_bytes() {
    let (name, message) = problem(&[("TEAMAI_LOCKER__ROOT_KEY", "c2hvcnQ=")]);
    assert_eq!(name, "TEAMAI_LOCKER__ROOT_KEY");
    assert!(message.contains("holds 5 bytes where 32 are needed"), "{message}");
    assert!(problem(&[("TEAMAI_LOCKER__ROOT_KEY", "not base64!")]).1.contains("is not base64"));
    let key = BASE64_STANDARD.encode([7_u8; 32]);
    let config = load(&[URL, ("TEAMAI_LOCKER__ROOT_KEY", &key)]).unwrap();
    assert_eq!(config.root_key().unwrap().expose_secret(), &[7_u8; 32]);
    assert!(!format!("{config:?}").contains("[7, 7"));
}

#[test]
fn previous_root_keys_are_a_list_of_whole_keys() {
    let (a, b) = (BASE64_STANDARD.encode([1_u8; 32]), BASE64_STANDARD.encode([2_u8; 32]));
    for list in [format!("{a},{b}"), format!(" {a} ,\n{b}\n"), format!("{a}\n{b}")] {
        let config = load(&[URL, ("TEAMAI_LOCKER__PREVIOUS_ROOT_KEYS", &list)]).unwrap();
        let keys: Vec<_> = config.locker.previous_root_keys.iter().map(|key| key.expose_secret()[0]).collect();
        assert_eq!(keys, [1, 2], "{list:?}");
    }
    assert!(load(&[URL]).unwrap().locker.previous_root_keys.is_empty());
    let (name, message) = problem(&[("TEAMAI_LOCKER__PREVIOUS_ROOT_KEYS", &format!("{a},c2hvcnQ="))]);
    assert_eq!(name, "TEAMAI_LOCKER__PREVIOUS_ROOT_KEYS");
    assert!(message.contains("holds 5 bytes where 32 are needed") && !message.contains("c2hv"), "{message}");
}

#[test]
fn a_signing_key_may_be_on_one_line() {
    let config = load(&[URL, ("TEAMAI_AUTH__SIGNING_KEY", PEM)]).unwrap();
    assert_eq!(config.signing_key().unwrap().expose_secret().lines().count(), 3);
    assert!(problem(&[("TEAMAI_AUTH__SIGNING_KEY", "abc")]).1.contains("is not a PEM private key"));
}

#[test]
fn a_file_holds_the_value() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("url"), format!("{}\n", URL.1)).unwrap();
    let config = load_in(dir.path(), &[("DATABASE_URL_FILE", "url")]).unwrap();
    assert_eq!(config.database.url.expose_secret(), URL.1);
    let error = load_in(dir.path(), &[URL, ("DATABASE_URL_FILE", "url")]).unwrap_err().to_string();
    assert!(error.contains("keep one of the two"), "{error}");
    let error = load_in(dir.path(), &[URL, ("TEAMAI_LOCKER__ROOT_KEY_FILE", "absent")]).unwrap_err().to_string();
    assert!(error.contains("TEAMAI_LOCKER__ROOT_KEY_FILE: cannot read absent"), "{error}");
    assert!(load(&[URL, ("TEAMAI_HTTP__BIND_FILE", "x")]).is_err(), "only secrets may be in a file");
}

#[test]
fn egress_takes_exact_pairs_only() {
    for bad in [
        "example.com",
        "http://example.com:80",
        "*.example.com:80",
        "a:0",
        "a:80/x",
        "u@a:80",
        "-a.com:80",
        "a..b:80",
        ".a:80",
        "a-.b:80",
    ] {
        let (name, message) = problem(&[("TEAMAI_EGRESS__ALLOW", bad)]);
        assert_eq!(name, "TEAMAI_EGRESS__ALLOW");
        assert!(message.contains(bad), "{message}");
    }
    let config = load(&[URL, ("TEAMAI_EGRESS__ALLOW", "127.0.0.1:80, Site.Example:8443,[::1]:9")]).unwrap();
    assert_eq!(config.egress.allow, ["127.0.0.1:80", "site.example:8443", "[::1]:9"]);
}

#[test]
fn a_providers_stream_and_number_of_calls_are_read() {
    let set = |name, value| load(&[URL, (name, value)]).unwrap().providers["groq"].clone();
    assert_eq!(set("TEAMAI_PROVIDERS__GROQ__STREAM", "false").stream, Some(false));
    assert_eq!(set("TEAMAI_PROVIDERS__GROQ__MAX_IN_FLIGHT", "8").max_in_flight, Some(8));
    assert!(problem(&[("TEAMAI_PROVIDERS__GROQ__STREAM", "maybe")]).1.contains("true or false"));
    let (name, message) = problem(&[("TEAMAI_PROVIDERS__GROQ__MAX_IN_FLIGHT", "0")]);
    assert!(name.ends_with("MAX_IN_FLIGHT") && message.contains("from 1"), "{message}");
}

#[test]
fn providers_of_ones_own_need_a_protocol_and_an_address() {
    let base = ("TEAMAI_PROVIDERS__MY_LLM__BASE_URL", "http://10.0.0.5:9000/v1/");
    let (name, message) = problem(&[base]);
    assert_eq!(name, "TEAMAI_PROVIDERS__MY_LLM__PROTOCOL");
    assert!(message.contains("none of the known providers"), "{message}");
    let config = load(&[URL, base, ("TEAMAI_PROVIDERS__MY_LLM__PROTOCOL", "OpenAI")]).unwrap();
    assert_eq!(config.providers["my_llm"].base_url.as_deref(), Some("http://10.0.0.5:9000/v1"));
    assert_eq!(config.providers["my_llm"].protocol.as_deref(), Some("openai"));
    assert_eq!(problem(&[("TEAMAI_PROVIDERS__X__PROTOCOL", "openai")]).0, "TEAMAI_PROVIDERS__X__BASE_URL");
    assert!(problem(&[("TEAMAI_PROVIDERS__GROQ__BASE_URL", "https://u:p@x")]).1.contains("locker"));
    assert!(problem(&[("TEAMAI_PROVIDERS__GROQ__PROTOCOL", "soap")]).1.contains("must be one of"));
}

#[test]
fn what_is_shown_hides_secrets() {
    let env = [URL, ("TEAMAI_LOCKER__ROOT_KEY", "AAAA"), ("TEAMAI_AUTH__SIGNING_KEY", PEM)];
    let env = env.map(|(k, v)| (k.to_owned(), v.to_owned()));
    let settings = Settings::read(env, std::path::Path::new("/nonexistent")).unwrap();
    let shown = format!("{:?} {settings:?}", settings.shown());
    assert!(!shown.contains("s3cret") && !shown.contains("AAAA") && !shown.contains("MC4C"), "{shown}");
    assert!(shown.contains("teamai_api:hidden@db") && shown.contains("TEAMAI_LOCKER__ROOT_KEY"), "{shown}");
}

#[test]
fn networks_of_proxies_are_read_and_refused_by_name() {
    let config = load(&[URL, ("TEAMAI_HTTP__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7 ,fd00::/8")]).unwrap();
    let networks: Vec<String> = config.http.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]);
    for bad in ["10.0.0.0/33", "proxy.example", "10.0.0", "*"] {
        let (name, message) = problem(&[("TEAMAI_HTTP__TRUSTED_PROXIES", bad)]);
        assert_eq!(name, "TEAMAI_HTTP__TRUSTED_PROXIES");
        assert!(message.contains(bad) && message.contains("10.0.0.0/8"), "{message}");
    }
}

#[test]
fn limits_have_defaults_and_are_never_nothing() {
    let limits = load(&[URL]).unwrap().limits;
    assert_eq!((limits.user_per_minute, limits.agency_per_minute, limits.address_per_minute), (60_000, 600_000, 300));
    let (name, message) = problem(&[("TEAMAI_LIMITS__USER_PER_MINUTE", "0")]);
    assert!(name == "TEAMAI_LIMITS__USER_PER_MINUTE" && message.contains("from 1 to"), "{name}: {message}");
}

#[test]
fn our_own_services_cannot_be_allowed() {
    let config = load(&[
        URL,
        ("TEAMAI_DATABASE__OWNER_URL", "postgres://owner:s3cret@DB.internal:6432/teamai"),
        ("REDIS_URL", "rediss://:s3cret@[::1]/0"),
        ("TEAMAI_HTTP__BIND", "0.0.0.0:8000"),
    ]);
    let own = config.unwrap().own_services();
    let own: Vec<String> = own.into_iter().map(|(host, port)| format!("{host}:{port}")).collect();
    assert_eq!(own, ["0.0.0.0:8000", "[::1]:6379", "db:5432", "db.internal:6432"]);
    let (name, message) = problem(&[("TEAMAI_EGRESS__ALLOW", "intranet:80,db:5432")]);
    assert_eq!(name, "TEAMAI_EGRESS__ALLOW");
    assert!(
        message.contains("`db:5432`") && message.contains("take it out") && !message.contains("s3cret"),
        "{message}"
    );
}

const ISSUER: (&str, &str) = ("TEAMAI_AUTH__OIDC__GOOGLE__ISSUER", "https://accounts.google.com");
const CLIENT: (&str, &str) = ("TEAMAI_AUTH__OIDC__GOOGLE__CLIENT_ID", "teamai");
const SECRET: (&str, &str) = ("TEAMAI_AUTH__OIDC__GOOGLE__CLIENT_SECRET", "provider-s3cret");
const PUBLIC: (&str, &str) = ("TEAMAI_HTTP__PUBLIC_URL", "https://teamai.example.com");

#[test]
fn an_openid_provider_is_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret"), "from-a-file\n").unwrap();
    let other = [
        ("TEAMAI_AUTH__OIDC__MY-IDP__ISSUER", "https://idp.example.com/realms/a/"),
        ("TEAMAI_AUTH__OIDC__MY-IDP__CLIENT_ID", "b"),
        ("TEAMAI_AUTH__OIDC__MY-IDP__CLIENT_SECRET_FILE", "secret"),
        ("TEAMAI_AUTH__OIDC__MY-IDP__SCOPES", "openid,email"),
        ("TEAMAI_AUTH__OIDC__MY-IDP__TRUST_EMAIL", "true"),
        ("TEAMAI_AUTH__RETURN_ORIGINS", "https://app.example.com, http://localhost:3000/"),
    ];
    let env: Vec<_> = [URL, ISSUER, CLIENT, SECRET, PUBLIC].into_iter().chain(other).collect();
    let config = load_in(dir.path(), &env).unwrap();
    let (google, mine) = (&config.auth.oidc["google"], &config.auth.oidc["my-idp"]);
    assert_eq!((google.issuer.as_str(), google.client_id.as_str(), google.trust_email), (ISSUER.1, "teamai", false));
    assert_eq!(google.scopes, ["openid", "email", "profile"]);
    assert_eq!(mine.issuer, "https://idp.example.com/realms/a/");
    assert_eq!((mine.client_secret.expose_secret(), mine.trust_email), ("from-a-file", true));
    assert_eq!(mine.scopes, ["openid", "email"]);
    assert_eq!(config.http.public_url.unwrap().as_str(), "https://teamai.example.com/");
    let origins: Vec<_> = config.auth.return_origins.iter().map(url::Origin::ascii_serialization).collect();
    assert_eq!(origins, ["https://app.example.com", "http://localhost:3000"]);
}

#[test]
fn what_is_missing_or_wrong_of_an_openid_provider_names_itself() {
    for (left_out, named) in [(0, ISSUER.0), (1, CLIENT.0), (2, SECRET.0), (3, PUBLIC.0)] {
        let mut env = vec![ISSUER, CLIENT, SECRET, PUBLIC];
        env.remove(left_out);
        let (name, message) = problem(&env);
        assert!(name == named && message.starts_with("not set"), "{name}: {message}");
    }
    let wrong = [
        (ISSUER.0, "accounts.google.com", "must be the provider's issuer"),
        (ISSUER.0, "https://a.example/?x=1", "no user, query or fragment"),
        (ISSUER.0, "http://idp.internal:8080/realm", "TEAMAI_EGRESS__ALLOW holds idp.internal:8080"),
        (ISSUER.0, "https://login.microsoftonline.com/common/v2.0", "every organisation"),
        ("TEAMAI_AUTH__OIDC__GOOGLE__SCOPES", "a\"b", "must be scopes"),
        ("TEAMAI_AUTH__OIDC__GOOGLE__TRUST_EMAIL", "yes", "must be false or true"),
        ("TEAMAI_AUTH__OIDC__GOOGLE__CLIENT", "x", "TEAMAI_AUTH__OIDC__GOOGLE__CLIENT_ID"),
        ("TEAMAI_AUTH__OIDC__MY_IDP__ISSUER", "https://a.example", "a-z, 0-9 and -"),
        ("TEAMAI_AUTH__RETURN_ORIGINS", "https://*.example.com", "is not an origin"),
        ("TEAMAI_AUTH__RETURN_ORIGINS", "https://app.example.com/path", "is not an origin"),
        ("TEAMAI_HTTP__CORS_ORIGINS", "*", "`*` is not an origin"),
        ("TEAMAI_HTTP__CORS_ORIGINS", "https://app.example.com, null", "`null` is not an origin"),
        ("TEAMAI_HTTP__CORS_ORIGINS", "https://*.example.com", "is not an origin"),
        ("TEAMAI_HTTP__CORS_ORIGINS", "https://app.example.com/path", "is not an origin"),
        (PUBLIC.0, "teamai.example.com", "as in https://teamai.example.com"),
    ];
    for (variable, value, expected) in wrong {
        let env: Vec<_> = [ISSUER, CLIENT, SECRET, PUBLIC].into_iter().filter(|(name, _)| *name != variable).collect();
        let (name, message) = problem(&[env.as_slice(), &[(variable, value)]].concat());
        assert!(name == variable && message.contains(expected), "{name}: {message}");
    }
    let allowed = ("TEAMAI_EGRESS__ALLOW", "idp.internal:8080");
    load(&[URL, (ISSUER.0, "http://idp.internal:8080/realm"), CLIENT, SECRET, PUBLIC, allowed]).unwrap();
}

#[test]
fn a_providers_secret_is_not_shown() {
    let env = [URL, ISSUER, CLIENT, SECRET, PUBLIC].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let settings = Settings::read(env, std::path::Path::new("/nonexistent")).unwrap();
    let shown = format!("{:?} {settings:?} {:?}", settings.shown(), settings.check().unwrap());
    assert!(!shown.contains("provider-s3cret") && shown.contains("auth.oidc.google.client_secret"), "{shown}");
}
