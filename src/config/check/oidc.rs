//! Checks what is set for OpenID Connect providers, and where people reach the API.

use std::collections::BTreeMap;

use url::Url;

use super::{Reader, keys};
use crate::config::OidcProvider;

const DEFAULT_SCOPES: &str = "openid email profile";
const MAX_NAME_CHARS: usize = 40;
const MAX_ISSUER_CHARS: usize = 500;
/// Segments in the place of a tenant that stand for any tenant.
const ANY_TENANT: [&str; 3] = ["common", "organizations", "consumers"];

impl Reader<'_> {
    /// The providers in order; a problem names the variable that sets it.
    pub(super) fn oidc(&mut self, allowed: &[String]) -> BTreeMap<String, OidcProvider> {
        let paths = self.settings.0.keys();
        let mut names: Vec<String> =
            paths.filter_map(|path| keys::oidc(path)).map(|(name, _)| name.to_owned()).collect();
        names.dedup();
        let providers: BTreeMap<_, _> =
            names.into_iter().filter_map(|name| Some((name.clone(), self.oidc_provider(&name, allowed)?))).collect();
        if !providers.is_empty() && self.text("http.public_url").is_none() {
            self.refuse(
                "http.public_url",
                "not set, and providers send people back to it; give the address at which people reach the API, \
                 as in https://teamai.example.com",
            );
        }
        providers
    }

    fn oidc_provider(&mut self, name: &str, allowed: &[String]) -> Option<OidcProvider> {
        let fits = (1..=MAX_NAME_CHARS).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits {
            let first = self.settings.0.keys().find(|path| keys::oidc(path).is_some_and(|(found, _)| found == name));
            let path = first.cloned().unwrap_or_default();
            self.refuse(&path, format!("`{name}` must have 1 to {MAX_NAME_CHARS} of the characters a-z, 0-9 and -"));
            return None;
        }
        let path = |field: &str| format!("auth.oidc.{name}.{field}");
        let issuer = self.required(&path("issuer"), "the provider's issuer, as in https://accounts.google.com");
        let issuer = issuer.and_then(|issuer| self.issuer(&path("issuer"), issuer, allowed));
        let client_id = self.required(&path("client_id"), "the client id that the provider gave out");
        let client_secret = self.required(&path("client_secret"), "the client secret that the provider gave out");
        let scopes = self.scopes(&path("scopes"));
        let trust_email = match self.text(&path("trust_email")) {
            None => Some(false),
            Some(_) => self.one_of(&path("trust_email"), [("false", false), ("true", true)]),
        };
        Some(OidcProvider {
            issuer: issuer?,
            client_id: client_id?,
            client_secret: client_secret?.into(),
            scopes: scopes?,
            trust_email: trust_email?,
        })
    }

    fn required(&mut self, path: &str, what: &str) -> Option<String> {
        match self.text(path).map(str::trim) {
            Some(text) if !text.is_empty() => Some(text.to_owned()),
            _ => {
                self.refuse(path, format!("not set; give {what}"));
                None
            }
        }
    }

    /// Kept as it is written: an issuer is compared by the character.
    fn issuer(&mut self, path: &str, text: String, allowed: &[String]) -> Option<String> {
        match issuer_problem(&text, allowed) {
            None => Some(text),
            Some(problem) => {
                self.refuse(path, problem);
                None
            }
        }
    }

    fn scopes(&mut self, path: &str) -> Option<Vec<String>> {
        let text = self.text(path).unwrap_or(DEFAULT_SCOPES);
        let scopes: Vec<String> = text.split([' ', ',']).filter(|s| !s.is_empty()).map(str::to_owned).collect();
        // RFC 6749, section 3.3.
        let fits = |scope: &String| scope.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'"' && b != b'\\');
        if !scopes.is_empty() && scopes.iter().all(fits) {
            return Some(scopes);
        }
        self.refuse(path, format!("must be scopes with spaces between them, as in `{DEFAULT_SCOPES}`"));
        None
    }

    pub(super) fn public_url(&mut self) -> Option<Url> {
        let text = self.text("http.public_url")?.trim().to_owned();
        let url = Url::parse(&text).ok().filter(is_plain_http);
        if url.is_none() {
            let message = "must be the address at which people reach the API, as in https://teamai.example.com: \
                           http:// or https://, without user, query or fragment";
            self.refuse("http.public_url", message);
        }
        url.map(|mut url| {
            if !url.path().ends_with('/') {
                let path = format!("{}/", url.path());
                url.set_path(&path);
            }
            url
        })
    }

    /// Exact origins: neither `*` nor `null` is one.
    pub(super) fn origins(&mut self, path: &str) -> Vec<url::Origin> {
        let text = self.text(path).unwrap_or_default().to_owned();
        let mut origins = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match Url::parse(entry).ok().filter(|url| is_plain_http(url) && url.path() == "/") {
                Some(url) => origins.push(url.origin()),
                None => self.refuse(
                    path,
                    format!("`{entry}` is not an origin, as in https://app.example.com: no path, query or wildcard"),
                ),
            }
        }
        origins
    }
}

fn issuer_problem(text: &str, allowed: &[String]) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| is_plain_http(url) && text.len() <= MAX_ISSUER_CHARS);
    let Some(url) = url else {
        return Some(
            "must be the provider's issuer, as in https://accounts.google.com: no user, query or fragment".into(),
        );
    };
    let host = url.host_str().unwrap_or_default();
    let pair = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
    if url.scheme() != "https" && !allowed.contains(&pair) {
        return Some(format!("must start with https://, unless TEAMAI_EGRESS__ALLOW holds {pair}"));
    }
    let tenant = url.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
    if host == "login.microsoftonline.com" && ANY_TENANT.contains(&tenant) {
        return Some(format!(
            "`{tenant}` lets the accounts of every organisation in; name your own, as in \
             https://login.microsoftonline.com/TENANT-ID/v2.0"
        ));
    }
    None
}

fn is_plain_http(url: &Url) -> bool {
    ["http", "https"].contains(&url.scheme())
        && url.host_str().is_some_and(|host| !host.is_empty() && !host.contains('*'))
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}
