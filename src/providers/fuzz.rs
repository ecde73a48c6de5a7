//! The doors of the fuzz targets `provider` and `stream`, compiled for them alone.

use reqwest::header::HeaderMap;
use secrecy::SecretString;

use super::{
    asked::Asked,
    classify,
    heard::Heard,
    known::PROTOCOLS,
    protocol::{Protocol, Reply},
    stream::Reading,
};

/// The key that the call was made with; an error never shows it.
pub const KEY: &str = "sk-0123456789abcdef";

/// Reads an answer as the protocol of that number would; the message of the error, if it is one.
#[must_use]
pub fn answer(protocol: u8, status: u16, body: &[u8]) -> Option<String> {
    let key = SecretString::from(KEY);
    let asked = Asked { provider: "fuzz", model: "m", key: Some(&key) };
    if !(200..300).contains(&status) {
        return Some(classify::refusal(asked, status, &HeaderMap::new(), body, None).to_string());
    }
    let body = serde_json::from_slice(body).ok()?;
    let read = numbered(protocol).answer(asked, Reply { request_id: None, body });
    read.err().map(|error| error.to_string())
}

/// Reads a stream as the protocol of that number would, in the pieces given; what came of
/// it, and the answer's tokens counted on the way.
#[must_use]
pub fn stream<'a>(protocol: u8, pieces: impl IntoIterator<Item = &'a [u8]>) -> (String, u64) {
    let heard = Heard::default();
    let mut reading = Reading::new(numbered(protocol), &heard);
    let fed = pieces.into_iter().try_for_each(|piece| reading.feed(piece));
    let asked = Asked { provider: "fuzz", model: "m", key: None };
    let read = fed.and_then(|()| reading.finish()).map(|fold| fold.into_completion(asked, None));
    let counted = heard.partial(0).map_or(0, |partial| partial.usage.output);
    (format!("{read:?}"), counted)
}

/// Any number is a protocol's.
fn numbered(number: u8) -> &'static dyn Protocol {
    PROTOCOLS[usize::from(number) % PROTOCOLS.len()]
}
