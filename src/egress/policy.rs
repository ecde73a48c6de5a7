//! Which URLs may be asked at all, before any name is resolved.

use std::{collections::BTreeSet, net::IpAddr};

use reqwest::Url;
use url::Host;

use super::{
    address,
    error::{Error, ErrorKind},
};

/// What the guard lets through: the public internet on 80 and 443, and the
/// operator's exact `host:port` pairs (`TEAMAI_EGRESS__ALLOW`).
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allow: BTreeSet<(String, u16)>,
}

impl Policy {
    /// # Errors
    /// An entry is not `host:port`; the message names it.
    pub fn new<S: AsRef<str>>(allow: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let allow = allow.into_iter().map(|entry| parse_pair(entry.as_ref().trim())).collect::<Result<_, _>>()?;
        Ok(Self { allow })
    }

    /// Whether the operator named this host and port.
    pub(super) fn allows(&self, url: &Url) -> bool {
        !self.allow.is_empty()
            && matches!((url.host_str(), url.port_or_known_default()), (Some(host), Some(port))
                if self.allow.contains(&(host.trim_end_matches('.').to_owned(), port)))
    }

    /// Checks all of a URL that can be checked without resolving a name.
    pub(super) fn check(&self, url: &Url) -> Result<(), ErrorKind> {
        check_form(url)?;
        if self.allows(url) {
            return Ok(());
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if port != 80 && port != 443 {
            return Err(ErrorKind::Refused(format!(
                "port {port} is not 80 or 443; an operator can allow this host and port with TEAMAI_EGRESS__ALLOW"
            )));
        }
        let literal: Option<IpAddr> = match url.host() {
            Some(Host::Ipv4(v4)) => Some(v4.into()),
            Some(Host::Ipv6(v6)) => Some(v6.into()),
            _ => None,
        };
        match literal.and_then(address::refusal) {
            Some(reason) => Err(refused_address(reason)),
            None => Ok(()),
        }
    }
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
        kind: ErrorKind::InvalidUrl(
            "an allowed address must be exactly host:port, such as ollama.internal:11434".into(),
        ),
        url: format!("\"{entry}\""),
        sent: false,
    };
    let (_, port) = entry.rsplit_once(':').ok_or_else(fail)?;
    let port = port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(fail)?;
    // The URL parser brings the host to the form that it has in requests.
    let url = Url::parse(&format!("http://{entry}/")).map_err(|_| fail())?;
    let plain = url.username().is_empty() && url.password().is_none() && url.path() == "/" && url.query().is_none();
    match url.host_str() {
        Some(host) if plain && !host.is_empty() && !host.contains('*') => {
            Ok((host.trim_end_matches('.').to_owned(), port))
        }
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
        for entry in
            ["example.com", "example.com:", "example.com:0", "*.example.com:443", "a@b:80", "http://x:80", ":80"]
        {
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
