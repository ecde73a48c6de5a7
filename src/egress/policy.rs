//! Which URLs may be asked at all, before any name is resolved.

use std::{collections::BTreeSet, net::IpAddr};

use reqwest::Url;
use url::Host;

use super::{
    address::{self, Refusal},
    error::{Error, ErrorKind},
};
use crate::base::host_name;

/// What the guard lets through: the public internet on 80 and 443, and the
/// operator's exact `host:port` pairs (`TEAMAI_EGRESS__ALLOW`).
#[derive(Debug, Clone)]
pub struct Policy {
    allow: BTreeSet<(String, u16)>,
    /// Services of this installation, refused whatever is allowed.
    own: BTreeSet<(String, u16)>,
    ports: Vec<u16>,
    pub(super) refusal: Refusal,
}

impl Default for Policy {
    fn default() -> Self {
        Self { allow: BTreeSet::new(), own: BTreeSet::new(), ports: vec![80, 443], refusal: address::refusal }
    }
}

impl Policy {
    /// # Errors
    /// An entry is not `host:port`; the message names it.
    pub fn new<S: AsRef<str>>(allow: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let allow = allow.into_iter().map(|entry| parse_pair(entry.as_ref().trim())).collect::<Result<_, _>>()?;
        Ok(Self { allow, ..Self::default() })
    }

    /// Never lets anyone through to these hosts and ports: the installation's own services.
    #[must_use]
    pub fn closed_to(mut self, own: impl IntoIterator<Item = (String, u16)>) -> Self {
        self.own.extend(own);
        self
    }

    /// A guard whose public internet is made of loopback addresses and free ports.
    #[cfg(test)]
    pub(super) fn laboratory(ports: &[u16], refusal: Refusal) -> Self {
        Self { ports: ports.to_vec(), refusal, ..Self::default() }
    }

    /// Whether the operator named this host and port.
    pub(super) fn allows(&self, url: &Url) -> bool {
        !self.allow.is_empty() && pair(url).is_some_and(|pair| self.allow.contains(&pair))
    }

    /// Checks all of a URL that can be checked without resolving a name.
    pub(super) fn check(&self, url: &Url) -> Result<(), ErrorKind> {
        check_form(url)?;
        if pair(url).is_some_and(|pair| self.own.contains(&pair)) {
            return Err(ErrorKind::Refused("the address is one of this installation's own services".into()));
        }
        if self.allows(url) {
            return Ok(());
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if !self.ports.contains(&port) {
            return Err(ErrorKind::Refused(format!(
                "port {port} is not 80 or 443; an operator can allow this host and port with TEAMAI_EGRESS__ALLOW"
            )));
        }
        let literal: Option<IpAddr> = match url.host() {
            Some(Host::Ipv4(v4)) => Some(v4.into()),
            Some(Host::Ipv6(v6)) => Some(v6.into()),
            _ => None,
        };
        match literal.and_then(self.refusal) {
            Some(reason) => Err(refused_address(reason)),
            None => Ok(()),
        }
    }
}

/// Host and port as they stand in the lists.
fn pair(url: &Url) -> Option<(String, u16)> {
    Some((url.host_str()?.trim_end_matches('.').to_owned(), url.port_or_known_default()?))
}

pub(super) fn refused_address(reason: &str) -> ErrorKind {
    ErrorKind::Refused(format!(
        "the host is {reason}; only public addresses are asked, unless an operator allows this host and port with \
         TEAMAI_EGRESS__ALLOW"
    ))
}

/// Parses a URL as a tenant writes it: http or https, a host, no user name or password.
///
/// # Errors
/// `InvalidUrl`, which names what is wrong.
pub fn parse_url(text: &str) -> Result<Url, Error> {
    let text = text.trim();
    let fail = |why: String| {
        let mut end = text.find(['?', '#']).unwrap_or(text.len()).min(200);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        // Whatever stands before an @ may be a password.
        let visible = text.get(..end).unwrap_or_default();
        let visible = visible.rsplit_once('@').map_or(visible, |(_, rest)| rest);
        Error { kind: ErrorKind::InvalidUrl(why), url: format!("\"{visible}\""), sent: false }
    };
    let url = Url::parse(text).map_err(|why| fail(why.to_string()))?;
    check_form(&url).map_err(|kind| match kind {
        ErrorKind::InvalidUrl(why) => fail(why),
        kind => Error { kind, url: shown(&url), sent: false },
    })?;
    Ok(url)
}

fn check_form(url: &Url) -> Result<(), ErrorKind> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ErrorKind::InvalidUrl(format!("the scheme is {}, not http or https", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ErrorKind::InvalidUrl("a user name or password in a URL is not accepted; use a secret".into()));
    }
    match url.host_str() {
        None | Some("") => Err(ErrorKind::InvalidUrl("it has no host".into())),
        Some(_) => Ok(()),
    }
}

/// A URL as it may be logged and shown: no credentials, no query values, no fragment.
#[must_use]
pub fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = if url.query().is_some() { "?..." } else { "" };
    format!("{}://{host}{port}{}{query}", url.scheme(), url.path())
}

fn parse_pair(entry: &str) -> Result<(String, u16), Error> {
    let fail = || Error {
        kind: ErrorKind::InvalidUrl(format!(
            "an allowed address must be exactly host:port, such as ollama.internal:11434; {}",
            host_name::RULE
        )),
        url: format!("\"{entry}\""),
        sent: false,
    };
    let (_, port) = entry.rsplit_once(':').ok_or_else(fail)?;
    let port = port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(fail)?;
    // The URL parser brings the host to the form that it has in requests.
    let url = Url::parse(&format!("http://{entry}/")).map_err(|_| fail())?;
    let plain = url.username().is_empty() && url.password().is_none() && url.path() == "/" && url.query().is_none();
    match url.host_str() {
        Some(host) if plain && host_name::is_possible(&url) => Ok((host.trim_end_matches('.').to_owned(), port)),
        _ => Err(fail()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &Policy, url: &str) -> Result<(), ErrorKind> {
        policy.check(&Url::parse(url).unwrap())
    }

    #[test]
    fn literal_addresses_are_seen_in_every_spelling() {
        let policy = Policy::default();
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://0/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://169.254.169.254/latest/meta-data",
            "http://①②⑦.0.0.1/",
            "http://127.0.0.1./",
            "http://017700000001/",
            "http://0x7f.0.0.0x1/",
            "http://0x7f.1/",
            "http://127.0x1/",
            "http://127。0。0。1/",
            "http://１２７.0.0.1/",
            "http://%31%32%37.0.0.1/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://[0:0:0:0:0:ffff:127.0.0.1]/",
            "http://[::ffff:0:127.0.0.1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::10.0.0.1]/",
            "http://[64:ff9b:1::10.0.0.1]/",
            "http://[2002:a00:1::1]/",
            "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
            "http://[2606:4700::5efe:10.0.0.1]/",
            "http://[fe80::1]/",
            "http://[fd00::1]/",
            "http://[ff02::1]/",
            "http://10.0.0.1\\@example.com/",
        ] {
            let refused = check(&policy, url);
            assert!(matches!(refused, Err(ErrorKind::Refused(_))), "{url}: {refused:?}");
        }
        assert_eq!(check(&policy, "http://8.8.8.8/"), Ok(()));
    }

    #[test]
    fn ports_schemes_and_userinfo() {
        let policy = Policy::default();
        assert!(
            matches!(check(&policy, "http://example.com:8080/"), Err(ErrorKind::Refused(why)) if why.contains("8080"))
        );
        assert_eq!(check(&policy, "http://example.com:443/"), Ok(()));
        for url in
            ["ftp://example.com/", "file:///etc/passwd", "http://user:pw@example.com/", "http://user@example.com/"]
        {
            assert!(matches!(check(&policy, url), Err(ErrorKind::InvalidUrl(_))), "{url}");
        }
    }

    #[test]
    fn tricks_with_the_form_of_a_url_do_not_hide_its_host() {
        for text in [
            "http://[fe80::1%25eth0]/",
            "http://[::1%lo]/",
            "http://127.0.0.1:99999/",
            "http://256.1.1.1/",
            "http://0x100000000/",
            "http://exa mple.com/",
            "http://example.com:80@127.0.0.1/",
            "http://127.0.0.1@example.com/",
            "http://@example.com@127.0.0.1/",
            "http:///",
            "//example.com/",
            "javascript:alert(1)",
            "gopher://example.com/",
            "data:text/html,x",
        ] {
            assert!(matches!(parse_url(text), Err(Error { kind: ErrorKind::InvalidUrl(_), .. })), "{text}");
        }
        // What the parser makes of them is what is dialled.
        for (text, host) in [
            ("http:example.com", "example.com"),
            ("http:\\\\example.com\\@127.0.0.1", "example.com"),
            ("http://EXAMPLE.com./", "example.com."),
            ("http://ⓔxample.com/", "example.com"),
            ("http://exa\tmple.com/", "example.com"),
            ("http://аpple.example/", "xn--pple-43d.example"),
        ] {
            assert_eq!(parse_url(text).unwrap().host_str(), Some(host), "{text}");
        }
    }

    #[test]
    fn our_own_services_are_refused_whatever_is_allowed() {
        let policy = Policy::new(["redis.internal:443", "127.0.0.1:5432", "127.0.0.1:9000"]).unwrap();
        let policy = policy.closed_to([("redis.internal".to_owned(), 443), ("127.0.0.1".to_owned(), 5432)]);
        for url in ["https://redis.internal/", "https://REDIS.internal./", "http://127.1:5432/"] {
            assert!(
                matches!(check(&policy, url), Err(ErrorKind::Refused(why)) if why.contains("own services")),
                "{url}"
            );
        }
        assert_eq!(check(&policy, "http://127.0.0.1:9000/"), Ok(()));
    }

    #[test]
    fn an_allowed_pair_is_exact() {
        let policy = Policy::new(["127.0.0.1:9000", "LocalHost:9001", "[::1]:9002"]).unwrap();
        for url in ["http://127.0.0.1:9000/", "https://0x7f.1:9000/x", "http://localhost:9001/", "http://[::1]:9002/"] {
            assert_eq!(check(&policy, url), Ok(()), "{url}");
        }
        for url in
            ["http://127.0.0.1:9001/", "http://127.0.0.1/", "http://[::1]:9000/", "http://localhost.evil.com:9001/"]
        {
            assert!(check(&policy, url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_wrong_pair_names_itself() {
        for entry in [
            "example.com",
            "example.com:",
            "example.com:0",
            "*.example.com:443",
            "a@b:80",
            "http://x:80",
            ":80",
            "-a.com:80",
            "a..b:80",
            ".a:80",
            "a-:80",
        ] {
            let error = Policy::new([entry]).unwrap_err().to_string();
            assert!(error.contains(entry) && error.contains("host:port"), "{error}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let url = Url::parse("https://u:p@example.com:444/a/b?key=s3cret#frag").unwrap();
        assert_eq!(shown(&url), "https://example.com:444/a/b?...");
        for text in ["https://u:s3cret@example.com/", "https://u:s3cret@/", "not a url ?k=s3cret"] {
            let message = parse_url(text).unwrap_err().to_string();
            assert!(!message.contains("s3cret"), "{message}");
        }
    }
}
