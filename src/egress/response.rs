//! What came back.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    StatusCode, Url,
    header::{HeaderMap, HeaderName},
};

/// One hop that the server asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    pub from: Url,
    pub status: u16,
    pub to: Url,
}

#[derive(Debug, Clone)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Decompressed; empty if it was not wanted.
    pub body: Bytes,
    pub final_url: Url,
    pub redirects: Vec<Redirect>,
    pub elapsed: Duration,
}

impl Response {
    /// A header's value as text, if it is there and readable.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Where a redirect points, if this is one.
    #[must_use]
    pub fn location(&self) -> Option<Url> {
        super::redirect::target(self.status, &self.headers, &self.final_url)
    }

    /// `Retry-After` in seconds; dates are left to the caller's own waiting.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.header(&reqwest::header::RETRY_AFTER)?.trim().parse::<u64>().ok()?;
        Some(Duration::from_secs(seconds.min(24 * 3600)))
    }
}
