//! Hosts that a secret may be sent to.
//!
//! A host is exact. There is no `*.example.com`: below many a domain strangers have
//! hosts of their own, and one of them would do.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use url::Url;

use super::host_name;

/// Of one secret.
pub const MAX_SECRET_HOSTS: usize = 20;
const MAX_BYTES: usize = 255;

/// `HOST` or `HOST:PORT`. Without a port it means the usual one of http or https.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretHost {
    host: String,
    port: Option<u16>,
}

impl SecretHost {
    /// # Errors
    /// Says how a host is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "`{}` is not a valid host: write api.example.com or api.example.com:8443, without scheme, path, template \
                 or wildcard; {}",
                text.chars().take(100).collect::<String>(),
                host_name::RULE
            )
        };
        // The URL parser would leave out blanks and line breaks, wherever they stand.
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(refuse());
        }
        // It brings the host to the form that it has in requests.
        let url = Url::parse(&format!("https://{text}/")).map_err(|_| refuse())?;
        let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let nobody = url.username().is_empty() && url.password().is_none() && !text.contains('@');
        let host = url.host_str().filter(|_| host_name::is_possible(&url));
        match host {
            Some(host) if plain && nobody && text.len() <= MAX_BYTES && !text.ends_with('/') => {
                Ok(Self::of(host, &url))
            }
            _ => Err(refuse()),
        }
    }

    /// The host and port that a URL leads to. `None` if it names no host.
    #[must_use]
    pub fn of_url(url: &Url) -> Option<Self> {
        url.host_str().filter(|host| !host.is_empty()).map(|host| Self::of(host, url))
    }

    fn of(host: &str, url: &Url) -> Self {
        Self { host: host.trim_end_matches('.').to_owned(), port: url.port() }
    }

    /// Whether a URL leads to this host and port.
    #[must_use]
    pub fn is_of(&self, url: &Url) -> bool {
        let port = match self.port {
            None => url.port().is_none(),
            port => url.port_or_known_default() == port,
        };
        port && url.host_str().is_some_and(|host| host.trim_end_matches('.') == self.host)
    }
}

impl std::fmt::Display for SecretHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Serialize for SecretHost {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretHost {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for SecretHost {
    fn schema_name() -> Cow<'static, str> {
        "SecretHost".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_BYTES})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_exact() {
        let is_of = |host: &str, url: &str| SecretHost::parse(host).unwrap().is_of(&Url::parse(url).unwrap());
        for (host, url) in [
            ("api.example.com", "https://api.example.com/x"),
            ("API.example.com", "https://api.example.com.:443/x"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("[::1]:8080", "http://[0:0::1]:8080/"),
            ("bücher.example", "https://xn--bcher-kva.example/"),
            ("a--b.x-1_y.example.", "https://a--b.x-1_y.example/"),
            ("x", "https://x/"),
        ] {
            assert!(is_of(host, url), "{host} {url}");
        }
        for (host, url) in [
            ("api.example.com", "https://api.example.com.evil.example/"),
            ("api.example.com", "https://evil.example/api.example.com"),
            ("api.example.com", "https://api.example.com:8443/"),
            ("api.example.com:8443", "https://api.example.com/"),
            ("example.com", "https://api.example.com/"),
        ] {
            assert!(!is_of(host, url), "{host} {url}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = "a".repeat(300);
        for text in [
            long.as_str(),
            "",
            "https://x.example",
            "x.example/",
            "x.example/y",
            "*.example",
            "{{ inputs.host }}",
            "a@b",
            "x?y",
            "x#y",
            "@x",
            " x.example",
            "x.example\n",
            "x.\texample",
            "x.example\\y",
            "x.example:99999",
            "x.example,y.example",
            "x.example;y",
            "...",
            "-a.com",
            "a.-b.com",
            "a-.com",
            "x:0",
            "example..com",
            ".example.com",
            "example.com..",
            &format!("{}.example", "a".repeat(64)),
            &format!("{}.example", "a.".repeat(125)),
        ] {
            assert!(SecretHost::parse(text).unwrap_err().contains("api.example.com:8443"), "{text}");
        }
    }
}
