//! Gives the sign-in through providers the guarded client: what a provider's
//! description names is a stranger's address.

use std::{sync::Arc, time::Duration};

use openidconnect::{HttpRequest, HttpResponse, http};
use tokio_util::sync::CancellationToken;

use super::guarded::guarded;
use crate::{
    auth::{
        Auth,
        oidc::{Fetch, FetchError, Oidc, Settings},
    },
    config::Config,
    egress::{Client, Limits, Request, Url, header},
};

/// Descriptions and key sets of large providers have some ten thousand.
const LIMITS: Limits = Limits { total: Duration::from_secs(10), body_bytes: 512 * 1024, redirects: 0 };

/// The sign-in through the providers of the configuration.
pub(super) fn service(config: &Config, auth: &Arc<Auth>) -> anyhow::Result<Oidc> {
    let settings = Settings {
        providers: &config.auth.oidc,
        public_url: config.http.public_url.as_ref(),
        return_origins: &config.auth.return_origins,
        signing_key: config.signing_key()?,
    };
    Ok(Oidc::new(Arc::clone(auth), &settings, &fetch(guarded(config)?))?)
}

#[must_use]
pub fn fetch(client: Client) -> Fetch {
    Arc::new(move |request| {
        let client = client.clone();
        Box::pin(async move { send(&client, request).await })
    })
}

async fn send(client: &Client, request: HttpRequest) -> Result<HttpResponse, FetchError> {
    let (parts, body) = request.into_parts();
    let url = Url::parse(&parts.uri.to_string()).map_err(|error| FetchError(error.to_string()))?;
    let mut outgoing = Request::new(parts.method, url);
    outgoing.headers = parts.headers;
    if let Some(credential) = outgoing.headers.get_mut(header::AUTHORIZATION) {
        credential.set_sensitive(true);
    }
    outgoing.body = body.into();
    outgoing.limits = LIMITS;
    let answer = client.send(outgoing, &CancellationToken::new()).await;
    let answer = answer.map_err(|error| FetchError(error.to_string()))?;
    let mut response = http::Response::new(answer.body.to_vec());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}
