//! The cookie that binds a sign-in to one browser: what was sent to the provider,
//! sealed, so that a browser can keep it and neither read nor make it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use chrono::TimeDelta;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    auth::AuthError,
    base::{AgencyId, SessionId, UserId, random},
};

const NONCE_BYTES: usize = 24;
const CONTEXT: &[u8] = b"teamai oidc flow 1";
const NAME: &str = "teamai_oidc";
/// Browsers take one with this prefix only as ours: from this very host, over TLS.
const HOST_PREFIX: &str = "__Host-";

/// A sign-in that is under way at a provider.
#[derive(Serialize, Deserialize)]
pub struct Flow {
    pub provider: String,
    pub state: String,
    pub nonce: String,
    /// Of PKCE.
    pub verifier: String,
    pub return_to: Url,
    /// The session whose user is to be linked.
    pub link: Option<Link>,
    /// Seconds since 1970.
    pub expires_at: i64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Link {
    pub session: SessionId,
    pub user: UserId,
    pub agency: AgencyId,
}

impl Flow {
    /// In a time that does not tell how much of it fits.
    pub fn has_state(&self, state: &str) -> bool {
        self.state.as_bytes().ct_eq(state.as_bytes()).into()
    }
}

pub struct Cookies {
    key: Zeroizing<[u8; 32]>,
    secure: bool,
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cookies")
    }
}

impl Cookies {
    /// The key is derived from the signing key: a sign-in may come back to another process.
    pub fn new(signing_key: &SecretString, secure: bool) -> Result<Self, AuthError> {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(signing_key.expose_secret().as_bytes())
            .map_err(|error| AuthError::Internal(error.to_string()))?;
        mac.update(b"teamai oidc cookie");
        Ok(Self { key: Zeroizing::new(mac.finalize().into_bytes().into()), secure })
    }

    pub fn seal(&self, flow: &Flow) -> Result<String, AuthError> {
        let failed = |what: &str| AuthError::Internal(format!("a sign-in could not be sealed: {what}"));
        let text = Zeroizing::new(serde_json::to_vec(flow).map_err(|error| failed(&error.to_string()))?);
        let nonce = random::bytes::<NONCE_BYTES>()?;
        let payload = Payload { msg: &text, aad: CONTEXT };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| failed("encryption"))?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// `None` for anything that was not sealed here.
    pub fn open(&self, value: &str) -> Option<Flow> {
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
        let nonce = XNonce::from(<[u8; NONCE_BYTES]>::try_from(nonce).ok()?);
        let payload = Payload { msg: sealed, aad: CONTEXT };
        let text = Zeroizing::new(self.cipher().decrypt(&nonce, payload).ok()?);
        serde_json::from_slice(&text).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }

    /// For `Set-Cookie`. Lax: the provider sends the browser here from its own site.
    pub fn set(&self, value: &str, lifetime: TimeDelta) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        let seconds = lifetime.num_seconds();
        format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", self.name())
    }

    /// The cookie's value in a `Cookie` header.
    pub fn find<'a>(&self, header: &'a str) -> Option<&'a str> {
        let name = self.name();
        header.split(';').filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, v)| v)
    }

    fn name(&self) -> String {
        format!("{}{NAME}", if self.secure { HOST_PREFIX } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(key: &str, secure: bool) -> Cookies {
        Cookies::new(&SecretString::from(key), secure).unwrap()
    }

    fn flow() -> Flow {
        Flow {
            provider: "google".into(),
            state: "the-state".into(),
            nonce: "the-nonce".into(),
            verifier: "the-verifier".into(),
            return_to: Url::parse("https://teamai.example.com/console").unwrap(),
            link: None,
            expires_at: 1,
        }
    }

    #[test]
    fn a_sealed_flow_opens_with_its_key_alone_and_tells_nothing() {
        let ours = cookies("key", true);
        let sealed = ours.seal(&flow()).unwrap();
        let opened = ours.open(&sealed).unwrap();
        assert_eq!((opened.state.as_str(), opened.verifier.as_str()), ("the-state", "the-verifier"));
        assert!(cookies("another key", true).open(&sealed).is_none());
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"verifier"));
        for at in [0, NONCE_BYTES, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(ours.open(&URL_SAFE_NO_PAD.encode(changed)).is_none(), "{at}");
        }
        for text in ["", "x", "AAAA", "é", &*"A".repeat(5000)] {
            assert!(ours.open(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_cookie_is_kept_from_scripts_and_other_hosts() {
        let set = cookies("key", true).set("value", TimeDelta::minutes(10));
        assert_eq!(set, "__Host-teamai_oidc=value; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure");
        let plain = cookies("key", false).set("value", TimeDelta::zero());
        assert_eq!(plain, "teamai_oidc=value; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn the_cookie_is_found_among_others_by_its_whole_name() {
        let ours = cookies("key", true);
        assert_eq!(ours.find("a=b; __Host-teamai_oidc=x=y;c=d"), Some("x=y"));
        for header in ["", "teamai_oidc=x", "x__Host-teamai_oidc=x", "__Host-teamai_oidc"] {
            assert_eq!(ours.find(header), None, "{header}");
        }
    }

    #[test]
    fn a_state_fits_whole_or_not() {
        assert!(flow().has_state("the-state"));
        for state in ["", "the-stat", "the-state2", "The-state"] {
            assert!(!flow().has_state(state), "{state}");
        }
    }
}
