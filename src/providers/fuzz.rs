//! The door of the fuzz target `provider`, compiled for it alone.

use reqwest::header::HeaderMap;
use secrecy::SecretString;

use super::{
    anthropic,
    classify::{self, Asked},
    gemini,
    http::Reply,
    openai,
};

/// The key that the call was made with; an error never shows it.
pub const KEY: &str = "sk-0123456789abcdef";

/// Reads an answer as the protocol 0 to 2 would; the message of the error, if it is one.
#[must_use]
pub fn answer(protocol: u8, status: u16, body: &[u8]) -> Option<String> {
    let key = SecretString::from(KEY);
    let asked = Asked { provider: "fuzz", model: "m", key: Some(&key) };
    if !(200..300).contains(&status) {
        return Some(classify::refusal(asked, status, &HeaderMap::new(), body, None).to_string());
    }
    let body = serde_json::from_slice(body).ok()?;
    let reply = Reply { request_id: None, body };
    let read = match protocol % 3 {
        0 => openai::answer(asked, reply),
        1 => anthropic::answer(asked, reply),
        _ => gemini::answer(asked, reply),
    };
    read.err().map(|error| error.to_string())
}
