//! The bytes of a connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{open::Open, pace::IDLE_FOR};

/// How often it is looked whether anything is waited for: nobody says so when that begins.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How HTTP/2 begins, and no request of HTTP/1.1.
const HTTP_2: &[u8] = b"PRI";

/// A connection that ends when its client is over time.
#[derive(Debug)]
pub struct Watched<Io> {
    io: Io,
    open: Open,
    look: Pin<Box<Sleep>>,
    /// Bytes that came, as far as [`HTTP_2`] may still begin with them.
    begins_like_http_2: Option<usize>,
    /// Set while the client takes nothing of what is written.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<Io> Watched<Io> {
    pub(super) fn new(io: Io, open: Open) -> Self {
        Self {
            io,
            open,
            look: Box::pin(sleep_until(Instant::now() + LOOK_EVERY)),
            begins_like_http_2: Some(0),
            stalled: None,
        }
    }

    /// The framework would speak HTTP/2 too, in which one connection is any number of requests,
    /// each with an answer that waits for as long as the client likes.
    fn is_http_2(&mut self, came: &[u8]) -> bool {
        let Some(before) = self.begins_like_http_2 else { return false };
        let expected = &HTTP_2[before..];
        let len = came.len().min(expected.len());
        let alike = came[..len] == expected[..len];
        self.begins_like_http_2 = (alike && len < expected.len()).then_some(before + len);
        alike && len == expected.len()
    }

    /// Ready once the client is over time; else the task is woken when it may be.
    fn poll_over_time(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let now = Instant::now();
            let deadline = self.open.pace.deadline();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(over_time());
            }
            let next = now + LOOK_EVERY;
            self.look.as_mut().reset(deadline.map_or(next, |deadline| deadline.min(next)));
            ready!(self.look.as_mut().poll(cx));
        }
    }

    /// What a write gave, unless nothing was taken for too long.
    fn unless_stalled<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + IDLE_FOR)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(over_time()))
    }
}

fn over_time() -> io::Error {
    metrics::counter!("http_connections_over_time_total").increment(1);
    io::Error::new(io::ErrorKind::TimedOut, "the client was silent for too long")
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.io).poll_read(cx, buf);
        if read.is_ready() {
            if this.is_http_2(&buf.filled()[before..]) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::Unsupported, "HTTP/2 is not spoken here")));
            }
            this.open.pace.heard();
            // A client that sends a byte now and then is over time too.
            if this.open.pace.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                return Poll::Ready(Err(over_time()));
            }
            return read;
        }
        let error = ready!(this.poll_over_time(cx));
        Poll::Ready(Err(error))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.unless_stalled(written, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        Pin::new(&mut this.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bytes);
        this.unless_stalled(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
