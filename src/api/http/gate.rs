//! What every request passes before its handler: bounds on its head, and the count
//! of those who did not sign in. Signed-in callers are counted where their token
//! was checked: see `admit`.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use poem::{
    Endpoint, IntoResponse, Middleware, Request, Response,
    error::MethodNotAllowedError,
    http::{HeaderValue, StatusCode, header},
};

use super::{client_address::client_address, document::Operations, errors::from_framework, problem::Problem, query};
use crate::limits::Limiter;

/// Bytes of path and query.
const MAX_URI_BYTES: usize = 8 * 1024;
/// Bytes of all headers, names and values.
const MAX_HEADER_BYTES: usize = 32 * 1024;

#[derive(Debug)]
pub struct Gate {
    pub operations: Arc<Operations>,
    pub limiter: Limiter,
    pub trusted_proxies: Arc<[IpNet]>,
}

impl<E: Endpoint> Middleware<E> for Gate {
    type Output = Gated<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        let (operations, limiter) = (Arc::clone(&self.operations), self.limiter.clone());
        Gated { gate: Self { operations, limiter, trusted_proxies: Arc::clone(&self.trusted_proxies) }, endpoint }
    }
}

#[derive(Debug)]
pub struct Gated<E> {
    gate: Gate,
    endpoint: E,
}

impl<E: Endpoint> Endpoint for Gated<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        bounds(&request)?;
        self.gate.count(&request).await?;
        let uri = request.uri().clone();
        match self.endpoint.call(request).await {
            Ok(response) => Ok(response.into_response()),
            Err(error) if error.is::<MethodNotAllowedError>() => {
                let mut response = from_framework(&error).into_response();
                let allowed = self.gate.operations.allowed(uri.path());
                if let Some(allowed) = allowed.and_then(|methods| HeaderValue::from_str(&methods).ok()) {
                    response.headers_mut().insert(header::ALLOW, allowed);
                }
                Ok(response)
            }
            Err(error) => Err(error),
        }
    }
}

impl Gate {
    /// Where no token is needed, by the client's address. What has none, a request within a test, is not counted.
    async fn count(&self, request: &Request) -> Result<(), Problem> {
        if !self.operations.is_open(request.method(), request.uri().path()) {
            return Ok(());
        }
        let Some(client) = client(request, &self.trusted_proxies) else { return Ok(()) };
        Ok(self.limiter.admit_address(client).await?)
    }
}

/// The address of a request's client; one within a test has none.
pub fn client(request: &Request, trusted_proxies: &[IpNet]) -> Option<IpAddr> {
    let peer = request.remote_addr().as_socket_addr()?;
    Some(client_address(peer.ip(), request.headers(), trusted_proxies))
}

fn bounds(request: &Request) -> Result<(), Problem> {
    let uri = request.uri().path_and_query().map_or("", |whole| whole.as_str());
    if uri.len() > MAX_URI_BYTES {
        let detail = format!("The address has {} bytes; at most {MAX_URI_BYTES} are accepted.", uri.len());
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", detail));
    }
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers > MAX_HEADER_BYTES {
        let detail = format!("The headers have {headers} bytes; at most {MAX_HEADER_BYTES} are accepted.");
        return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", detail));
    }
    // No text that is stored has one, and Postgres refuses to compare with it.
    if request.uri().path().contains("%00") {
        return Err(Problem::not_found());
    }
    query::refusal(request.uri().query().unwrap_or_default()).map_or(Ok(()), Err)
}
