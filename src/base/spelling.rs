//! The forms in which a server repeats a secret that it was sent.
//!
//! Plainly; in a URL, with either sign for a blank, any choice of signs that are
//! left alone and digits of either case; in a JSON or HTML text; in hexadecimal; and
//! in base64, alone or in the middle of something longer, as in `Basic` credentials.

use std::fmt::Write;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::Value;

/// Shorter pieces of base64 or hexadecimal would be found by chance.
const MIN_ENCODED_CHARS: usize = 10;

/// Every spelling once, the longest first, so that none is cut by one that it contains.
#[must_use]
pub fn spellings(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_owned(), in_json(secret), in_json(secret).replace('/', "\\/"), in_html(secret)];
    // Unreserved signs of RFC 3986; the same and slashes; what JavaScript leaves alone; what forms do.
    for kept in ["-._~", "-._~/", "-._~!'()*", "-._*"] {
        let encoded = percent_encoded(secret, kept);
        all.push(encoded.replace("%20", "+"));
        all.push(lower_digits(&encoded));
        all.push(lower_digits(&encoded).replace("%20", "+"));
        all.push(encoded);
    }
    let long_enough = |encoded: &String| encoded.len() >= MIN_ENCODED_CHARS;
    let hexadecimal = hex::encode(secret);
    all.extend([hexadecimal.to_uppercase(), hexadecimal].into_iter().filter(long_enough));
    all.extend((0..3).flat_map(|before| in_base64(secret, before)).filter(long_enough));
    let mut once = Vec::with_capacity(all.len());
    for spelling in all {
        if !once.contains(&spelling) {
            once.push(spelling);
        }
    }
    once.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
    once
}

/// Without the quotes.
fn in_json(secret: &str) -> String {
    let json = Value::from(secret).to_string();
    json[1..json.len() - 1].to_owned()
}

fn in_html(secret: &str) -> String {
    secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

fn percent_encoded(secret: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(secret.len() * 3);
    for byte in secret.bytes() {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            write!(encoded, "%{byte:02X}").ok();
        }
    }
    encoded
}

/// `%2F` becomes `%2f`; nothing else changes.
fn lower_digits(encoded: &str) -> String {
    let mut out = String::with_capacity(encoded.len());
    let mut digits = 0;
    for c in encoded.chars() {
        out.push(if digits > 0 { c.to_ascii_lowercase() } else { c });
        digits = if c == '%' { 2 } else { usize::saturating_sub(digits, 1) };
    }
    out
}

/// What of the secret's base64 stays the same whatever stands around it, when
/// `before` bytes (0 to 2) of a group of three come from what stands before.
fn in_base64(secret: &str, before: usize) -> [String; 2] {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret.as_bytes());
    // The first characters also hold bits of what stands before, the last one of what follows.
    let first = [0, 2, 3][before % 3];
    let last = bytes.len() * 4 / 3;
    [BASE64_STANDARD_NO_PAD.encode(&bytes), BASE64_URL_SAFE_NO_PAD.encode(&bytes)]
        .map(|encoded| encoded.get(first..last.min(encoded.len())).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    fn found(secret: &str, text: &str) -> bool {
        spellings(secret).iter().any(|spelling| text.contains(spelling.as_str()))
    }

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secret = "s \"k/+é<&'~*";
        for text in [
            "s \"k/+é<&'~*",
            "s+%22k%2F%2B%C3%A9%3C%26%27~%2A",
            "s%20%22k/%2B%C3%A9%3C%26%27~%2A",
            "s+%22k%2F%2B%C3%A9%3C%26%27%7E*",
            "s%20%22k%2F%2B%C3%A9%3C%26'~*",
            "s%20%22k%2f%2b%c3%a9%3c%26%27~%2a",
            "s \\\"k/+é<&'~*",
            "s \\\"k\\/+é<&'~*",
            "s &quot;k/+é&lt;&amp;&#39;~*",
        ] {
            assert!(found(secret, &format!("a{text}b")), "{text}");
        }
        assert!(found(secret, &hex::encode(secret)) && found(secret, &hex::encode_upper(secret)));
    }

    #[test]
    fn a_short_secret_is_not_looked_for_in_base64() {
        assert!(spellings("abcdef").iter().all(|spelling| spelling == "abcdef" || spelling.len() >= 10));
    }

    proptest! {
        #[test]
        fn base64_is_found_wherever_the_secret_stands(
            before in proptest::collection::vec(any::<u8>(), 0..9),
            secret in "[ -~]{12,60}",
            after in proptest::collection::vec(any::<u8>(), 0..9),
        ) {
            let whole = [before.as_slice(), secret.as_bytes(), &after].concat();
            prop_assert!(found(&secret, &BASE64_STANDARD.encode(&whole)));
            prop_assert!(found(&secret, &BASE64_URL_SAFE.encode(&whole)));
        }
    }
}
