//! The forms in which a server repeats a secret that it was sent, and texts without them.
//!
//! In letters of either case; with any of its bytes written as `%6b`, `\u006b`, `\x6b` or
//! `&#107;`, each of these up to three times over; with `+` for a blank; in hexadecimal; and in
//! base64, alone or in the middle of something longer, as in `Basic` credentials. What is
//! searched is the text as it stands and as each unescaping leaves it, all in small letters:
//! so no choice of signs that are escaped, and no case of digits, is a form of its own.

mod layer;

use std::{fmt, ops::Range};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use memchr::memmem;
use zeroize::Zeroizing;

use layer::Layer;

/// Shorter pieces of base64 or hexadecimal would be found by chance.
const MIN_ENCODED_CHARS: usize = 10;
/// A secret that looks escaped is shorter without; below this it would be found by chance.
const MIN_UNESCAPED_BYTES: usize = 6;
/// How often escapes are taken off: JSON in a query in a page.
const UNESCAPED: usize = 3;

/// A secret as it is searched for.
pub struct Spellings(Vec<Zeroizing<Vec<u8>>>);

impl fmt::Debug for Spellings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spellings")
    }
}

impl Spellings {
    #[must_use]
    pub fn of(secret: &str) -> Self {
        let mut spellings = Self(Vec::new());
        for text in [secret.to_owned(), secret.to_lowercase(), secret.to_uppercase()] {
            let mut layer = Layer::folded(text.as_bytes());
            spellings.add(layer.bytes.clone());
            for _ in 0..UNESCAPED {
                let Some(next) = layer.unescaped().filter(|next| next.bytes.len() >= MIN_UNESCAPED_BYTES) else {
                    break;
                };
                spellings.add(next.bytes.clone());
                layer = next;
            }
        }
        let hexadecimal = hex::encode(secret);
        let encoded = (0..3).flat_map(|before| in_base64(secret, before)).chain([hexadecimal]);
        for encoded in encoded.filter(|encoded| encoded.len() >= MIN_ENCODED_CHARS) {
            spellings.add(Layer::folded(encoded.as_bytes()).bytes);
        }
        spellings
    }

    fn add(&mut self, needle: Vec<u8>) {
        if !needle.is_empty() && !self.0.iter().any(|known| **known == needle) {
            self.0.push(needle.into());
        }
    }
}

/// The text with `sign` where one of the secrets stands, in whatever form. `None` if none does.
#[must_use]
pub fn without(text: &str, secrets: &[Spellings], sign: &str) -> Option<String> {
    let found = find(text, secrets);
    let mut clean = String::with_capacity(text.len());
    let mut done = 0;
    for range in &found {
        clean.push_str(text.get(done..range.start).unwrap_or_default());
        clean.push_str(sign);
        done = range.end;
    }
    clean.push_str(text.get(done..).unwrap_or_default());
    (!found.is_empty()).then_some(clean)
}

/// Where secrets stand, in order and apart from each other, on boundaries of characters.
fn find(text: &str, secrets: &[Spellings]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if secrets.is_empty() {
        return found;
    }
    let mut layers = vec![Layer::folded(text.as_bytes())];
    for depth in 0..=UNESCAPED {
        let Some(layer) = layers.get(depth) else { break };
        for needle in secrets.iter().flat_map(|secret| &secret.0) {
            // Finding prepares the needle first, whatever the text.
            if needle.len() > layer.bytes.len() {
                continue;
            }
            for start in memmem::find_iter(&layer.bytes, needle.as_slice()) {
                let range = origin(&layers, depth, start..start + needle.len());
                found.push(text.floor_char_boundary(range.start)..text.ceil_char_boundary(range.end));
            }
        }
        if depth < UNESCAPED
            && let Some(next) = layer.unescaped()
        {
            layers.push(next);
        }
    }
    merged(found)
}

/// Where in the text a range of a layer comes from.
fn origin(layers: &[Layer], depth: usize, range: Range<usize>) -> Range<usize> {
    let below = (1..=depth).rev().filter_map(|depth| Some((layers.get(depth)?, layers.get(depth - 1)?)));
    below.fold(range, |range, (layer, source)| layer.origin(source, &range))
}

/// Ranges that overlap become one, so that nothing of two secrets that do stays.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// What of the secret's base64 stays the same whatever stands around it, when
/// `before` bytes (0 to 2) of a group of three come from what stands before.
fn in_base64(secret: &str, before: usize) -> [String; 2] {
    let mut bytes = Zeroizing::new(vec![0; before]);
    bytes.extend_from_slice(secret.as_bytes());
    // The first characters also hold bits of what stands before, the last one of what follows.
    let first = [0, 2, 3][before % 3];
    let last = bytes.len() * 4 / 3;
    [BASE64_STANDARD_NO_PAD.encode(&*bytes), BASE64_URL_SAFE_NO_PAD.encode(&*bytes)]
        .map(|encoded| encoded.get(first..last.min(encoded.len())).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests;
