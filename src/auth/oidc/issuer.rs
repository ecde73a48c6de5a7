//! One provider: what it says of itself, fetched and remembered; the way there, and the code's exchange.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use openidconnect::{
    AsyncHttpClient, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope,
    core::{
        CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreProviderMetadata, CoreTokenResponse,
    },
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::Mutex, time::Instant};
use url::Url;

use super::{
    error::OidcError,
    fetch::{Fetch, FetchError},
    flow::Flow,
    identity::Identity,
    verify,
};
use crate::config::OidcProvider;

/// How long a provider's description and keys are believed.
const BELIEVED_FOR: Duration = Duration::from_hours(1);
/// An ID token with an unknown key has the keys fetched again, at most this often.
const REFRESH_EVERY: Duration = Duration::from_mins(1);
/// A provider that failed is left alone for this long: nobody waits for it meanwhile.
const LEFT_ALONE_FOR: Duration = Duration::from_secs(5);

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

pub struct Issuer {
    name: String,
    url: IssuerUrl,
    client_id: ClientId,
    client_secret: SecretString,
    scopes: Vec<Scope>,
    trust_email: bool,
    callback: RedirectUrl,
    http: Http,
    /// Whoever fetches holds it, so that many who wait cost one request.
    known: Mutex<Known>,
}

struct Http(Fetch);

impl AsyncHttpClient<'_> for Http {
    type Error = FetchError;
    type Future = BoxFuture<'static, Result<HttpResponse, FetchError>>;

    fn call(&self, request: HttpRequest) -> Self::Future {
        (self.0)(request)
    }
}

#[derive(Default)]
struct Known {
    metadata: Option<(Arc<CoreProviderMetadata>, Instant)>,
    refreshed: Option<Instant>,
    failed: Option<Instant>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("name", &self.name).field("url", &self.url).finish_non_exhaustive()
    }
}

impl Issuer {
    pub fn new(name: &str, provider: &OidcProvider, callback: Url, fetch: Fetch) -> Result<Self, url::ParseError> {
        Ok(Self {
            name: name.to_owned(),
            url: IssuerUrl::new(provider.issuer.clone())?,
            client_id: ClientId::new(provider.client_id.clone()),
            client_secret: provider.client_secret.clone(),
            scopes: provider.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new).collect(),
            trust_email: provider.trust_email,
            callback: RedirectUrl::from_url(callback),
            http: Http(fetch),
            known: Mutex::default(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Where a browser goes to sign in.
    pub async fn authorize_url(&self, flow: &Flow) -> Result<Url, OidcError> {
        let client = self.client(&*self.metadata().await?);
        let verifier = PkceCodeVerifier::new(flow.verifier.clone());
        let (state, nonce) = (CsrfToken::new(flow.state.clone()), Nonce::new(flow.nonce.clone()));
        let (url, ..) = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce)
            .add_scopes(self.scopes.clone())
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
        Ok(url)
    }

    /// Exchanges the code and verifies the ID token that comes for it.
    pub async fn identity(&self, code: SecretString, flow: &Flow, now: DateTime<Utc>) -> Result<Identity, OidcError> {
        let metadata = self.metadata().await?;
        let token = self.id_token(&metadata, code, flow).await?;
        let nonce = Nonce::new(flow.nonce.clone());
        let check = |metadata: &CoreProviderMetadata| {
            verify::claims(&token, &verify::verifier(&self.client_id, &self.url, metadata, now), &nonce)
        };
        let claims = match check(&metadata) {
            Err(verify::Failure::UnknownKey) => check(&*self.refreshed(&metadata).await?),
            done => done,
        };
        let claims = claims.map_err(|failure| self.refused(&failure.to_string()))?;
        verify::identity(self.url(), &claims, self.trust_email).map_err(|error| {
            if matches!(error, OidcError::Refused) {
                self.refused("no usable subject or e-mail address")
            } else {
                error
            }
        })
    }

    async fn id_token(
        &self,
        metadata: &CoreProviderMetadata,
        code: SecretString,
        flow: &Flow,
    ) -> Result<CoreIdToken, OidcError> {
        let client = self.client(metadata);
        let code = AuthorizationCode::new(code.expose_secret().to_owned());
        let request =
            client.exchange_code(code).map_err(|_| self.away("its discovery document names no token endpoint"))?;
        let response: Result<CoreTokenResponse, _> =
            request.set_pkce_verifier(PkceCodeVerifier::new(flow.verifier.clone())).request_async(&self.http).await;
        // What a provider sends is not logged: tokens may stand in it.
        let response = response.map_err(|error| match error {
            RequestTokenError::ServerResponse(refusal) => {
                self.refused(&format!("it refused the code: {}", plain(refusal.error().as_ref())))
            }
            RequestTokenError::Request(error) => self.away(&error.to_string()),
            RequestTokenError::Parse(error, _) => {
                self.away(&format!("its token answer cannot be read at `{}`", plain(&error.path().to_string())))
            }
            RequestTokenError::Other(_) => self.away("its token answer is empty or has a strange type"),
        })?;
        let token = response.extra_fields().id_token().cloned();
        token.ok_or_else(|| self.refused("it sent no ID token; ask it for the scope openid"))
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> Client {
        let secret = ClientSecret::new(self.client_secret.expose_secret().to_owned());
        // Basic unless the provider says that it takes the secret in the body alone.
        let methods = metadata.token_endpoint_auth_methods_supported();
        let basic = methods.is_none_or(|methods| {
            methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                || !methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        CoreClient::from_provider_metadata(metadata.clone(), self.client_id.clone(), Some(secret))
            .set_redirect_uri(self.callback.clone())
            .set_auth_type(if basic { AuthType::BasicAuth } else { AuthType::RequestBody })
    }

    /// What the provider says of itself, with its keys.
    async fn metadata(&self) -> Result<Arc<CoreProviderMetadata>, OidcError> {
        let mut known = self.known.lock().await;
        match &known.metadata {
            Some((metadata, fetched)) if fetched.elapsed() < BELIEVED_FOR => Ok(Arc::clone(metadata)),
            _ => self.discover(&mut known).await,
        }
    }

    /// As [`Self::metadata`], fetched since `seen` was, unless that happened a moment ago.
    async fn refreshed(&self, seen: &Arc<CoreProviderMetadata>) -> Result<Arc<CoreProviderMetadata>, OidcError> {
        let mut known = self.known.lock().await;
        if let Some((metadata, _)) = &known.metadata {
            let lately = known.refreshed.is_some_and(|at| at.elapsed() < REFRESH_EVERY);
            if lately || !Arc::ptr_eq(metadata, seen) {
                return Ok(Arc::clone(metadata));
            }
        }
        known.refreshed = Some(Instant::now());
        self.discover(&mut known).await
    }

    async fn discover(&self, known: &mut Known) -> Result<Arc<CoreProviderMetadata>, OidcError> {
        if known.failed.is_some_and(|at| at.elapsed() < LEFT_ALONE_FOR) {
            return Err(OidcError::IssuerAway);
        }
        let found = CoreProviderMetadata::discover_async(self.url.clone(), &self.http).await;
        let found = found.map_err(|error| explained(&error)).and_then(|metadata| self.same_scheme(metadata));
        match found {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                known.metadata = Some((Arc::clone(&metadata), Instant::now()));
                known.failed = None;
                Ok(metadata)
            }
            Err(why) => {
                known.failed = Some(Instant::now());
                Err(self.away(&why))
            }
        }
    }

    /// A provider on https has everything there: the secret goes to its token endpoint.
    fn same_scheme(&self, metadata: CoreProviderMetadata) -> Result<CoreProviderMetadata, String> {
        let scheme = self.url.url().scheme();
        let token = metadata.token_endpoint().ok_or("its discovery document names no token endpoint")?;
        let urls = [metadata.authorization_endpoint().url(), token.url(), metadata.jwks_uri().url()];
        match urls.iter().find(|url| url.scheme() != scheme) {
            None => Ok(metadata),
            Some(url) => {
                Err(format!("its description names an address that is not {scheme}://: {}", plain(url.scheme())))
            }
        }
    }

    fn refused(&self, why: &str) -> OidcError {
        tracing::warn!(provider = self.name, why, "a sign-in through a provider was refused");
        OidcError::Refused
    }

    fn away(&self, why: &str) -> OidcError {
        tracing::warn!(provider = self.name, why, "a provider does not answer as it should");
        OidcError::IssuerAway
    }
}

fn explained(error: &openidconnect::DiscoveryError<FetchError>) -> String {
    use openidconnect::DiscoveryError::{Parse, Request};
    match error {
        Request(error) => error.to_string(),
        Parse(error) => format!("its description cannot be read at `{}`", plain(&error.path().to_string())),
        other => other.to_string().chars().filter(|c| !c.is_control()).take(300).collect(),
    }
}

/// A stranger's text, for the log.
pub fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c)).take(60).collect()
}
