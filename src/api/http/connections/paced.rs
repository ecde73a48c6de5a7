//! The requests of a connection.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use poem::{Body, Endpoint, Request, Response};
use tokio::time::{Instant, timeout_at};

use super::{open::Connections, pace::Pace};

/// From the end of the head to the end of the body.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// An endpoint that tells when a connection's requests begin and end.
#[derive(Debug)]
pub struct Paced<E> {
    connections: Connections,
    endpoint: E,
}

impl Connections {
    /// An endpoint whose requests come over these connections.
    #[must_use]
    pub fn answered_by<E: Endpoint<Output = Response>>(&self, endpoint: E) -> Paced<E> {
        Paced { connections: self.clone(), endpoint }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for Paced<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let answering = self.connections.pace_of(request.remote_addr()).map(Answering::begin);
        let body = request.take_body();
        request.set_body(in_time(body));
        let mut response = self.endpoint.call(request).await?;
        let body = Answer { body: response.take_body().into(), _answering: answering };
        response.set_body(Body::from(BoxBody::new(body)));
        Ok(response)
    }
}

/// A body that fails where it is not there in time.
fn in_time(body: Body) -> Body {
    if body.is_empty() {
        return body;
    }
    let until = Instant::now() + BODY_WITHIN;
    let chunks = stream::unfold(Some(body.into_bytes_stream().boxed()), move |chunks| async move {
        let mut chunks = chunks?;
        match timeout_at(until, chunks.next()).await {
            Ok(chunk) => chunk.map(|chunk| (chunk, Some(chunks))),
            Err(_) => Some((Err(io::Error::new(io::ErrorKind::TimedOut, "the body took too long")), None)),
        }
    });
    Body::from_bytes_stream(chunks)
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
struct Answering(Arc<Pace>);

impl Answering {
    fn begin(pace: Arc<Pace>) -> Self {
        pace.begin();
        Self(pace)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The body of an answer, which ends when it was sent or given up.
struct Answer {
    body: BoxBody<Bytes, io::Error>,
    _answering: Option<Answering>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
