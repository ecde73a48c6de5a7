//! A secret that was opened for a node, and where it may be sent.

use secrecy::SecretString;

use super::ComponentError;
use crate::{base::SecretHost, egress::Url};

/// A secret in the hands of a node.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The node's own name for it.
    pub local: String,
    /// Its name in the locker.
    pub key_name: String,
    pub value: SecretString,
    pub bound: Bound,
}

/// Where a secret may be sent, whoever writes the address: it goes with the secret, not
/// with the recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// To these hosts; nowhere if there is none.
    To(Vec<SecretHost>),
    /// To the provider whose key it is; `host` is `None` for one that is in this process.
    Provider { name: String, host: Option<SecretHost> },
}

impl Opened {
    /// # Errors
    /// The secret may not go to this address. Names the secret, the host and the remedy.
    pub fn may_go_to(&self, url: &Url) -> Result<(), ComponentError> {
        let (permits, why) = match &self.bound {
            Bound::To(hosts) => (hosts.iter().any(|host| host.is_of(url)), why(&self.key_name, hosts)),
            Bound::Provider { name, host } => {
                let place = host.as_ref().map_or_else(String::new, |host| format!(", at {host},"));
                let why = format!(
                    "it is the key of the provider {name} and goes to it{place} alone; store what is for another host \
                     under another name"
                );
                (host.as_ref().is_some_and(|host| host.is_of(url)), why)
            }
        };
        if permits {
            return Ok(());
        }
        let host = SecretHost::of_url(url).map_or_else(String::new, |host| host.to_string());
        let message = format!("the secret {} may not be sent to {host}: {why}", self.key_name);
        Err(ComponentError::new("secret_host", message).field(format!("secrets.{}", self.local)))
    }
}

fn why(key_name: &str, hosts: &[SecretHost]) -> String {
    let put = format!("PUT /secrets/{key_name} with the value and `hosts`");
    if hosts.is_empty() {
        return format!(
            "it is bound to no host yet; give it hosts with {put}, or let somebody with secrets:write publish a recipe \
             that spells out the host it is sent to"
        );
    }
    let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
    format!("it is bound to {}; if this host may have it, add it with {put}", hosts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(bound: Bound) -> Opened {
        Opened { local: "key".into(), key_name: "door_key".into(), value: "s3cret-value".into(), bound }
    }

    fn refusal(bound: Bound, url: &str) -> Option<ComponentError> {
        secret(bound).may_go_to(&Url::parse(url).unwrap()).err()
    }

    #[test]
    fn a_secret_goes_to_its_own_hosts_alone() {
        let bound = |hosts: &[&str]| Bound::To(hosts.iter().map(|host| SecretHost::parse(host).unwrap()).collect());
        assert!(refusal(bound(&["a.example", "b.example:8443"]), "https://b.example:8443/x").is_none());
        for (hosts, url, said) in [
            (&["a.example"][..], "https://b.example/", "bound to a.example;"),
            (&["a.example"], "https://a.example:8443/", "a.example:8443: it is bound to a.example;"),
            (&["a.example"], "https://a.example.b.example/", "may not be sent to a.example.b.example"),
            (&["a.example"], "https://www.a.example/", "may not be sent to www.a.example"),
            (&[], "https://a.example/", "no host yet"),
        ] {
            let error = refusal(bound(hosts), url).unwrap();
            assert_eq!((error.code, error.field.as_deref()), ("secret_host", Some("secrets.key")));
            assert!(error.message.contains(said) && error.message.contains("PUT /secrets/door_key"), "{error}");
            assert!(!error.message.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_providers_key_goes_to_the_provider_alone() {
        let of = |host: Option<&str>| Bound::Provider {
            name: "acme".into(),
            host: host.map(|host| SecretHost::parse(host).unwrap()),
        };
        assert!(refusal(of(Some("api.acme.example")), "https://api.acme.example/v1").is_none());
        let error = refusal(of(Some("api.acme.example")), "https://b.example/").unwrap();
        assert!(error.message.contains("the provider acme and goes to it, at api.acme.example, alone"), "{error}");
        assert!(refusal(of(None), "https://api.acme.example/v1").is_some(), "it is in this process");
    }
}
