//! The steps of a sign-in: to the provider, back from it, and tokens.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    accounts::CODE,
    error::OidcError,
    fetch::Fetch,
    flow::{Cookies, Flow, Link},
    flows,
    issuer::{Issuer, plain},
    return_to::ReturnTo,
};
use crate::{
    auth::{Auth, AuthError, Session, SignedIn},
    base::random,
    config::OidcProvider,
};

/// From the start to the callback.
const FLOW: TimeDelta = TimeDelta::minutes(10);

/// What an installation is told about its providers.
#[derive(Debug)]
pub struct Settings<'a> {
    pub providers: &'a BTreeMap<String, OidcProvider>,
    /// Where people reach the API. Without it there are no providers.
    pub public_url: Option<&'a Url>,
    /// Origins, beside one's own, to which a sign-in may return.
    pub return_origins: &'a [url::Origin],
    /// The key of the cookies is derived from it.
    pub signing_key: &'a SecretString,
}

/// The sign-in through providers, of a process.
#[derive(Debug)]
pub struct Oidc {
    auth: Arc<Auth>,
    issuers: BTreeMap<String, Issuer>,
    cookies: Cookies,
    return_to: Option<ReturnTo>,
}

/// What a provider's callback was called with.
#[derive(Debug)]
pub struct Callback {
    pub code: Option<SecretString>,
    pub state: Option<String>,
    /// In place of a code.
    pub error: Option<String>,
    /// The issuer, where it says so (RFC 9207).
    pub iss: Option<String>,
}

/// Where the browser goes next, and the cookie that it takes along.
#[derive(Debug)]
pub struct Departure {
    pub to: Url,
    pub set_cookie: String,
}

impl Oidc {
    /// # Errors
    /// The address of this installation cannot be that of a callback.
    pub fn new(auth: Arc<Auth>, settings: &Settings<'_>, fetch: &Fetch) -> Result<Self, AuthError> {
        let mut issuers = BTreeMap::new();
        for (name, provider) in settings.providers {
            let wrong = |error: url::ParseError| AuthError::Internal(format!("the provider {name}: {error}"));
            let public = settings.public_url.ok_or(url::ParseError::RelativeUrlWithoutBase).map_err(wrong)?;
            let callback = public.join(&format!("auth/oidc/{name}/callback")).map_err(wrong)?;
            issuers.insert(name.clone(), Issuer::new(name, provider, callback, Arc::clone(fetch)).map_err(wrong)?);
        }
        let secure = settings.public_url.is_none_or(|url| url.scheme() == "https");
        Ok(Self {
            auth,
            issuers,
            cookies: Cookies::new(settings.signing_key, secure)?,
            return_to: settings.public_url.map(|own| ReturnTo::new(own, settings.return_origins)),
        })
    }

    /// The names of the providers, in alphabetical order.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.issuers.keys().map(String::as_str)
    }

    /// Begins a sign-in, or with a session the linking of its user to an identity.
    ///
    /// # Errors
    /// No such provider; it is away; `return_to` leads elsewhere.
    pub async fn begin(&self, provider: &str, return_to: &str, link: Option<&Session>) -> Result<Departure, OidcError> {
        let issuer = self.issuer(provider)?;
        let return_to = self.return_to.as_ref().ok_or(OidcError::UnknownProvider)?.parse(return_to)?;
        let flow = Flow {
            provider: provider.to_owned(),
            state: secret()?,
            nonce: secret()?,
            verifier: secret()?,
            return_to,
            link: link.map(|session| Link {
                session: session.id(),
                user: session.user_id(),
                agency: session.scope().agency_id(),
            }),
            expires_at: (self.auth.clock.now() + FLOW).timestamp(),
        };
        let to = issuer.authorize_url(&flow).await?;
        Ok(Departure { to, set_cookie: self.cookies.set(&self.cookies.seal(&flow)?, FLOW) })
    }

    /// Takes the provider's answer: the person is known, or the session's user
    /// linked, and the browser sent back to where it began. Nobody is signed in
    /// before the code that goes along is exchanged.
    ///
    /// # Errors
    /// See [`OidcError`]; nothing was created then.
    pub async fn finish(
        &self,
        provider: &str,
        callback: Callback,
        cookie: Option<&str>,
    ) -> Result<Departure, OidcError> {
        let issuer = self.issuer(provider)?;
        let now = self.auth.clock.now();
        let flow = self.begun(issuer, &callback, cookie, now)?;
        // From here on the sign-in is used up, whatever comes of it.
        if !flows::claim_flow(&self.auth.pool, &digest(&[&flow.state]), now, now + FLOW).await? {
            return Err(OidcError::NotBegun);
        }
        if let Some(error) = callback.error {
            tracing::info!(provider, error = %plain(&error), "a provider signed nobody in");
            return Err(OidcError::Denied);
        }
        let code = callback.code.ok_or(OidcError::NotBegun)?;
        let identity = issuer.identity(code, &flow, now).await?;
        let mut to = flow.return_to;
        if let Some(link) = flow.link {
            self.auth.link(&identity, link, now).await?;
            return Ok(Departure { to, set_cookie: self.cleared_cookie() });
        }
        let (code, browser) = (secret()?, secret()?);
        self.auth.admit(&identity, &digest(&[&code, &browser]), now).await?;
        // Not in the query: that would stand in logs and referrers.
        to.set_fragment(Some(&format!("code={code}")));
        Ok(Departure { to, set_cookie: self.cookies.set(&browser, CODE) })
    }

    /// The sign-in that this browser began and that the answer belongs to.
    fn begun(
        &self,
        issuer: &Issuer,
        callback: &Callback,
        cookie: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Flow, OidcError> {
        let flow = cookie.and_then(|cookie| self.cookies.open(cookie)).ok_or(OidcError::NotBegun)?;
        let state = callback.state.as_deref().unwrap_or_default();
        // RFC 9207: an answer of another provider is not given to this one.
        let elsewhere = callback.iss.as_deref().is_some_and(|iss| iss != issuer.url());
        if flow.provider != issuer.name() || flow.expires_at <= now.timestamp() || !flow.has_state(state) || elsewhere {
            return Err(OidcError::NotBegun);
        }
        Ok(flow)
    }

    /// Tokens for the code that the browser brought from the callback, once.
    ///
    /// # Errors
    /// [`OidcError::InvalidCode`]; the account or the agency is no longer in force.
    pub async fn exchange(
        &self,
        code: &str,
        cookie: Option<&str>,
        user_agent: Option<&str>,
    ) -> Result<SignedIn, OidcError> {
        let browser = cookie.ok_or(OidcError::InvalidCode)?;
        self.auth.exchange(&digest(&[code, browser]), user_agent).await
    }

    /// The cookie's value among those that a browser sent.
    #[must_use]
    pub fn cookie<'a>(&self, header: &'a str) -> Option<&'a str> {
        self.cookies.find(header)
    }

    /// Takes the cookie back.
    #[must_use]
    pub fn cleared_cookie(&self) -> String {
        self.cookies.set("", TimeDelta::zero())
    }

    fn issuer(&self, provider: &str) -> Result<&Issuer, OidcError> {
        self.issuers.get(provider).ok_or(OidcError::UnknownProvider)
    }
}

/// 32 random bytes as text.
fn secret() -> Result<String, OidcError> {
    let bytes = random::bytes::<32>().map_err(AuthError::Randomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of secrets. Ours hold no dot; a part that does fits nothing that is kept.
fn digest(parts: &[&str]) -> [u8; 32] {
    Sha256::digest(parts.join(".").as_bytes()).into()
}
