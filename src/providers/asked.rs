//! Who was asked for what: an answer is judged by it.

use secrecy::SecretString;

/// Who was asked for what, and with which key; an answer is judged by it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub provider: &'a str,
    pub model: &'a str,
    /// Never shown; taken out of whatever the provider says.
    pub key: Option<&'a SecretString>,
}
