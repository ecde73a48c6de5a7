//! Hosts that a node's secrets may be sent to, beside the one its `url` names.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::catalog::read::{Read, Reader, Tree, text};

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
                "`{text}` is no host: write api.example.com or api.example.com:8443, without scheme, path, template \
                 or wildcard"
            )
        };
        // The URL parser brings the host to the form that it has in requests.
        let url = Url::parse(&format!("https://{text}/")).map_err(|_| refuse())?;
        let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let nobody = url.username().is_empty() && url.password().is_none() && !text.contains('@');
        let host = url.host_str().filter(|host| !host.is_empty() && !host.contains(['*', '{', '%']));
        match host {
            Some(host) if plain && nobody && text.len() <= 255 && !text.ends_with('/') => {
                Ok(Self { host: host.trim_end_matches('.').to_owned(), port: url.port() })
            }
            _ => Err(refuse()),
        }
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

impl Read for SecretHost {
    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        match text(tree, at, 255).map(Self::parse) {
            Some(Ok(host)) => host,
            Some(Err(message)) => at.refuse(tree, message),
            None => Self::default(),
        }
    }
}

impl JsonSchema for SecretHost {
    fn schema_name() -> Cow<'static, str> {
        "SecretHost".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": 255})
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
            ("bücher.example", "https://xn--bcher-kva.example/"),
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
        for text in [
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
        ] {
            assert!(SecretHost::parse(text).unwrap_err().contains("api.example.com:8443"), "{text}");
        }
    }
}
