//! What a wire protocol has to say: where a question goes, how it is put, and how its answer is read.

use std::fmt;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use serde_json::Value;
use url::Url;

use super::{asked::Asked, completion::Completion, error::ProviderError, heard::Heard, request::Request};
use crate::base::Metered;

/// A wire protocol: pure functions around a call that `remote` and `http` make.
pub trait Protocol: Send + Sync + fmt::Debug {
    /// The name in `providers.<name>.protocol`.
    fn name(&self) -> &'static str;

    /// The path of a base URL that was given without one.
    fn default_path(&self) -> &'static str;

    /// Where a question to a model is posted.
    fn address(&self, model: &str, streams: bool) -> Address;

    /// What is asked for to try a key: only a good key is given it, and it costs nothing.
    fn key_address(&self) -> Address;

    /// The protocol's own headers, with the key in the one that is for it.
    ///
    /// # Errors
    /// The key holds characters that no header can have.
    fn headers(&self, key: Option<&str>) -> Result<HeaderMap, InvalidHeaderValue>;

    /// The body of a question; `streams`: its answer is to come in pieces.
    fn question(&self, request: &Request, streams: bool) -> Value;

    /// What puts the pieces of one answer together.
    fn fold(&self) -> Box<dyn Fold>;

    /// Reads an answer that came in one piece.
    ///
    /// # Errors
    /// It holds no message. Usage that it reports all the same is in the error.
    fn answer(&self, asked: Asked<'_>, reply: Reply) -> Result<Completion, ProviderError>;

    /// Takes the counts out of an answer that came in one piece, and reads them.
    fn usage(&self, body: &mut Value) -> Metered;
}

/// An answer on its way, put together event by event.
pub trait Fold: Send + fmt::Debug {
    /// Takes in the JSON of an event, and tells `heard` what it brought.
    fn take(&mut self, event: Value, heard: &Heard);

    /// Takes in `[DONE]`, which is no JSON.
    fn done(&mut self) {}

    /// Whether nothing that matters follows, even if the connection stays open.
    fn is_over(&self) -> bool {
        false
    }

    /// Whether the answer is complete, if the stream ends here.
    fn is_whole(&self) -> bool;

    /// The answer, as it would have been read in one piece.
    ///
    /// # Errors
    /// As [`Protocol::answer`].
    fn into_completion(
        self: Box<Self>,
        asked: Asked<'_>,
        request_id: Option<String>,
    ) -> Result<Completion, ProviderError>;
}

/// A JSON answer with a status of 200 to 299.
#[derive(Debug, Default)]
pub struct Reply {
    /// Of the answer's headers.
    pub request_id: Option<String>,
    pub body: Value,
}

/// A place below a provider's base URL.
#[derive(Debug, PartialEq, Eq)]
pub struct Address {
    /// Segments of the path; whatever is in one of them stays in it.
    pub path: Vec<String>,
    pub query: Option<&'static str>,
}

impl Address {
    #[must_use]
    pub fn new<const N: usize>(path: [&str; N]) -> Self {
        Self { path: path.map(str::to_owned).into(), query: None }
    }

    #[must_use]
    pub fn with_query(self, query: &'static str) -> Self {
        Self { query: Some(query), ..self }
    }

    /// The base's own path with this one added.
    #[must_use]
    pub fn below(&self, base: &Url) -> Url {
        let mut url = base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&self.path);
        }
        url.set_query(self.query);
        url
    }
}

/// One header, kept out of debug output: it holds a key.
///
/// # Errors
/// The text holds characters that no header can have.
pub fn key_header(name: HeaderName, text: &str) -> Result<(HeaderName, HeaderValue), InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(text)?;
    value.set_sensitive(true);
    Ok((name, value))
}
