//! What is asked.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    Method, StatusCode, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

/// Bounds of one request, redirects included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub total: Duration,
    /// After decompression.
    pub body_bytes: usize,
    /// 0 hands the first redirect back as the response.
    pub redirects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: Duration::from_secs(30), body_bytes: 5 * 1024 * 1024, redirects: 5 }
    }
}

/// Decides from status and headers whether the body is read.
pub type Wanted = fn(StatusCode, &HeaderMap) -> bool;

#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    /// A value marked sensitive is a credential: it is never printed and never
    /// follows a redirect to another origin.
    pub headers: HeaderMap,
    pub body: Bytes,
    pub limits: Limits,
    pub wanted: Wanted,
}

impl Request {
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            limits: Limits::default(),
            wanted: |_, _| true,
        }
    }

    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}
