//! One request: checked, sent, redirected by hand, read within its limits.

use std::{error::Error as _, fmt, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{Url, redirect};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    USER_AGENT,
    error::{Error, ErrorKind},
    policy::{Policy, refused_address, shown},
    redirect::follow,
    request::Request,
    resolve::{Lookup, Resolver, SystemLookup, Unresolved},
    response::{Redirect, Response},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The guarded client. Cheap to clone; connections are pooled and kept alive.
#[derive(Debug, Clone)]
pub struct Client {
    policy: Arc<Policy>,
    /// Dials checked, public addresses only.
    guarded: reqwest::Client,
    /// For the operator's own `host:port` pairs. A pool of its own, because a
    /// resolver is told the host and not the port.
    open: reqwest::Client,
    /// Where answers are counted while they are read.
    room: Option<Arc<dyn Room>>,
}

/// Memory that answers may take up while they are read.
pub trait Room: fmt::Debug + Send + Sync {
    /// Room for so many bytes, until what is given is dropped.
    ///
    /// # Errors
    /// There is none; says why, and whether there may be later.
    fn take(&self, bytes: usize) -> Result<Box<dyn Send + Sync>, (String, bool)>;
}

/// A body grows into twice its length.
const COPIES: usize = 2;
/// Bytes of it that are counted at once: chunks can be tiny.
const STEP: usize = 8 * 1024;

impl Client {
    /// The same client, whose answers take up this room.
    #[must_use]
    pub fn within(&self, room: Arc<dyn Room>) -> Self {
        Self { room: Some(room), ..self.clone() }
    }

    /// Room for what is kept of answers. `None` where nothing is counted.
    ///
    /// # Errors
    /// There is none; as [`Client::send`] would say.
    pub fn hold(&self, bytes: usize) -> Result<Option<Box<dyn Send + Sync>>, ErrorKind> {
        let taken = self.room.as_ref().map(|room| room.take(bytes)).transpose();
        taken.map_err(|(why, later)| ErrorKind::NoRoom { why, later })
    }

    /// # Errors
    /// `Setup`: the TLS library could not be started.
    pub fn new(policy: Policy) -> Result<Self, Error> {
        Self::with_lookup(policy, Arc::new(SystemLookup))
    }

    /// A client that resolves names in its own way.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_lookup(policy: Policy, lookup: Arc<dyn Lookup>) -> Result<Self, Error> {
        let guarded = build(Resolver { lookup: Arc::clone(&lookup), refusal: Some(policy.refusal) })?;
        let open = build(Resolver { lookup, refusal: None })?;
        Ok(Self { policy: Arc::new(policy), guarded, open, room: None })
    }

    /// Checks a URL as far as it can be without resolving its name.
    ///
    /// # Errors
    /// `InvalidUrl` or `Refused`, as a request would give.
    pub fn check(&self, url: &Url) -> Result<(), Error> {
        self.policy.check(url).map_err(|kind| Error { kind, url: shown(url), sent: false })
    }

    /// Whether nobody on the way reads what is sent there: it goes over TLS, or to a host and
    /// port that the operator named.
    #[must_use]
    pub fn is_confidential(&self, url: &Url) -> bool {
        url.scheme() == "https" || self.policy.allows(url)
    }

    /// Sends the request and follows its redirects. Ends at the total limit,
    /// whatever the server does, and at once when cancelled.
    ///
    /// # Errors
    /// See [`ErrorKind`]. An HTTP status of 400 or above is an answer, not an error.
    pub async fn send(&self, request: Request, cancel: &CancellationToken) -> Result<Response, Error> {
        let total = request.limits.total;
        let mut progress = Progress { url: request.url.clone(), sent: false };
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ErrorKind::Cancelled),
            done = tokio::time::timeout(total, self.exchange(request, &mut progress)) => {
                done.unwrap_or(Err(ErrorKind::Timeout(total)))
            }
        };
        outcome.map_err(|kind| Error { kind, url: shown(&progress.url), sent: progress.sent })
    }

    async fn exchange(&self, mut request: Request, progress: &mut Progress) -> Result<Response, ErrorKind> {
        let started = Instant::now();
        let mut redirects = Vec::new();
        loop {
            let response = self.dial(&request, progress).await?;
            let status = response.status();
            let to = super::redirect::target(status, response.headers(), &request.url);
            if let Some(to) = to.filter(|_| request.limits.redirects > 0) {
                if redirects.len() == request.limits.redirects {
                    return Err(ErrorKind::TooManyRedirects(request.limits.redirects));
                }
                redirects.push(Redirect { from: request.url.clone(), status: status.as_u16(), to: to.clone() });
                follow(&mut request, status, to);
                continue;
            }
            let headers = response.headers().clone();
            let body = if (request.wanted)(status, &headers) {
                self.read(response, request.limits.body_bytes).await?
            } else {
                Bytes::new()
            };
            return Ok(Response {
                status,
                headers,
                body,
                final_url: request.url,
                redirects,
                elapsed: started.elapsed(),
            });
        }
    }

    async fn dial(&self, request: &Request, progress: &mut Progress) -> Result<reqwest::Response, ErrorKind> {
        progress.url = request.url.clone();
        self.policy.check(&request.url)?;
        let client = if self.policy.allows(&request.url) { &self.open } else { &self.guarded };
        let mut call = client.request(request.method.clone(), request.url.clone()).headers(request.headers.clone());
        if !request.body.is_empty() {
            call = call.body(request.body.clone());
        }
        // From here on it may leave; only a failure to connect proves that it did not.
        let before = std::mem::replace(&mut progress.sent, true);
        call.send().await.map_err(|error| {
            progress.sent = before || !error.is_connect();
            classify(&error)
        })
    }

    /// Reads the body, decompressed as it streams, and stops at the limit.
    async fn read(&self, mut response: reqwest::Response, limit: usize) -> Result<Bytes, ErrorKind> {
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(ErrorKind::TooLarge(limit));
        }
        let mut body = BytesMut::new();
        let (mut held, mut counted) = (Vec::new(), 0);
        while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
            if body.len() + chunk.len() > limit {
                return Err(ErrorKind::TooLarge(limit));
            }
            if body.is_empty() {
                body.reserve(announced.unwrap_or(chunk.len()));
            }
            if body.len() + chunk.len() > counted {
                let more = chunk.len().max(STEP);
                held.push(self.hold(COPIES * more)?);
                counted += more;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// How far a request came, for the error.
struct Progress {
    url: Url,
    sent: bool,
}

fn build(resolver: Resolver) -> Result<reqwest::Client, Error> {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(32)
        .tcp_nodelay(true)
        .dns_resolver(resolver)
        .build()
        .map_err(|error| Error { kind: ErrorKind::Setup(root_cause(&error)), url: "client".into(), sent: false })
}

fn classify(error: &reqwest::Error) -> ErrorKind {
    if let Some(unresolved) = unresolved(error) {
        return match unresolved {
            Unresolved::Refused(reason) => refused_address(reason),
            Unresolved::NotFound(why) => ErrorKind::NameNotFound(why.clone()),
        };
    }
    if error.is_connect() {
        let why = if error.is_timeout() {
            format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())
        } else {
            root_cause(error)
        };
        return ErrorKind::Unreachable(why);
    }
    if error.is_decode() {
        return ErrorKind::Undecodable(root_cause(error));
    }
    ErrorKind::Broken(root_cause(error))
}

fn unresolved(error: &reqwest::Error) -> Option<&Unresolved> {
    let mut cause = error.source();
    while let Some(current) = cause {
        if let Some(found) = current.downcast_ref::<Unresolved>() {
            return Some(found);
        }
        cause = current.source();
    }
    None
}

/// The innermost message: it says what happened, and holds no URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = String::from("the request could not be made");
    while let Some(current) = cause {
        text = current.to_string();
        cause = current.source();
    }
    text
}
