//! The requests of a connection.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use poem::{Body, Endpoint, IntoResponse, Request, Response};
use tokio::time::{Instant, timeout_at};

use super::{
    super::problem::Problem,
    open::{Connections, PIECE},
    pace::Pace,
};
use crate::base::shares::Place;

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
        let peer = request.remote_addr().clone();
        let answering = self.connections.pace_of(&peer).map(Answering::begin);
        let body = request.take_body();
        request.set_body(in_time(body));
        let mut response = self.endpoint.call(request).await?;
        let body: BoxBody<Bytes, io::Error> = response.take_body().into();
        let place = self.connections.unread(&peer, body.size_hint().lower());
        let (body, place) = if let Ok(place) = place {
            (body, place)
        } else {
            let (parts, refused) = Problem::unavailable("answers_unread", UNREAD).into_response().into_parts();
            response.set_status(parts.status);
            response.headers_mut().extend(parts.headers);
            (refused.into(), None)
        };
        let body = Answer { body, rest: Bytes::new(), _answering: answering, _place: place };
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

const UNREAD: &str =
    "Too many large answers wait to be read by you or by others; read them, or ask for less, and try again.";

/// The body of an answer, which ends when it was sent or given up. It is given in pieces, as
/// the client takes them: what was given is held by the connection, and counted by nobody.
struct Answer {
    body: BoxBody<Bytes, io::Error>,
    rest: Bytes,
    _answering: Option<Answering>,
    _place: Option<Place<IpAddr>>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let len = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(len)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (left, mut hint) = (self.rest.len() as u64, self.body.size_hint());
        if let Some(bytes) = hint.exact() {
            return SizeHint::with_exact(bytes + left);
        }
        hint.set_lower(hint.lower() + left);
        hint
    }
}
