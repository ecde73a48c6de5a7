//! The spellings of a secret that are searched for.

use std::{collections::HashSet, fmt::Write as _};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::layer::Layer;

/// How often escapes are taken off: JSON in a query in a page.
pub const UNESCAPED: usize = 3;
/// Shorter pieces of base64 or hexadecimal would be found by chance.
const MIN_ENCODED_CHARS: usize = 10;
/// A secret that looks escaped, or has blanks around it, is shorter without; below this it would be found by chance.
const MIN_BARE_CHARS: usize = 6;
/// With signs left out, a secret of fewer letters and digits would be found in ordinary words and numbers.
const MIN_JOINED_CHARS: usize = 12;
/// And one of fewer different ones, such as 0000-0000-0000, in tables.
const MIN_JOINED_DIFFERENT: usize = 6;

type Needle = Zeroizing<Vec<u8>>;

/// Of one secret, each once.
#[derive(Default)]
pub struct Forms {
    /// For a text in small letters.
    pub plain: Vec<Needle>,
    /// For its letters and digits alone.
    pub joined: Vec<Needle>,
}

impl Forms {
    pub fn of(secret: &str) -> Self {
        let mut forms = Self::default();
        forms.add(secret);
        forms
    }

    fn add(&mut self, secret: &str) {
        let may_join = may_join(secret);
        let texts = texts(secret);
        for text in &texts {
            for cased in [text.to_string(), text.to_lowercase(), text.to_uppercase()].map(Zeroizing::new) {
                self.add_as_it_is(cased.as_bytes(), may_join);
                if let Some(bytes) = latin_1(&cased) {
                    self.add_as_it_is(&bytes, may_join);
                }
            }
        }
        let in_json = texts.iter().filter_map(|text| in_json(text));
        for text in texts.iter().cloned().chain(in_json) {
            self.add_encoded(text.as_bytes(), may_join);
        }
    }

    /// With and without the escapes that it may have itself.
    fn add_as_it_is(&mut self, text: &[u8], may_join: bool) {
        let mut layer = Layer::of(text);
        for _ in 0..=UNESCAPED {
            self.insert_plain(layer.folded());
            if may_join {
                self.insert_joined(&layer, MIN_JOINED_CHARS);
            }
            match layer.unescaped().filter(|next| next.bytes.len() >= MIN_BARE_CHARS) {
                Some(next) => layer = next,
                None => break,
            }
        }
    }

    fn add_encoded(&mut self, bytes: &[u8], may_join: bool) {
        let hexadecimal = Zeroizing::new(hex::encode(bytes));
        let encoded = (0..3).flat_map(|before| in_base64(bytes, before)).chain([hexadecimal]);
        for encoded in encoded {
            let layer = Layer::of(encoded.as_bytes());
            let is_joined = may_join && self.insert_joined(&layer, MIN_ENCODED_CHARS);
            if !is_joined && encoded.len() >= MIN_ENCODED_CHARS {
                self.insert_plain(layer.folded());
            }
        }
        if may_join {
            for list in in_lists(bytes) {
                self.insert_joined(&Layer::of(list.as_bytes()), MIN_JOINED_CHARS);
            }
        }
    }

    fn insert_plain(&mut self, needle: Vec<u8>) {
        insert(&mut self.plain, needle.into());
    }

    /// Whether it is long enough.
    fn insert_joined(&mut self, layer: &Layer<'_>, least: usize) -> bool {
        let needle = Zeroizing::new(layer.joined().bytes.into_owned());
        let is_long = needle.len() >= least;
        if is_long {
            insert(&mut self.joined, needle);
        }
        is_long
    }
}

fn insert(needles: &mut Vec<Needle>, needle: Needle) {
    if !needle.is_empty() && !needles.contains(&needle) {
        needles.push(needle);
    }
}

fn may_join(secret: &str) -> bool {
    let joined = Zeroizing::new(Layer::of(secret.as_bytes()).joined().bytes.into_owned());
    let different = joined.iter().collect::<HashSet<_>>().len();
    joined.len() >= MIN_JOINED_CHARS && different >= MIN_JOINED_DIFFERENT
}

/// The secret without the blanks around it, in both normal forms and with both line ends.
fn texts(secret: &str) -> Vec<Zeroizing<String>> {
    let bare = secret.trim();
    let bare = if bare.chars().count() < MIN_BARE_CHARS { secret } else { bare };
    let mut texts = Vec::<Zeroizing<String>>::new();
    for text in [bare.to_owned(), bare.nfc().collect(), bare.nfd().collect()].map(Zeroizing::new) {
        let lines = Zeroizing::new(text.replace("\r\n", "\n"));
        for text in [text, Zeroizing::new(lines.replace('\n', "\r\n")), lines] {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
    }
    texts
}

/// A byte for each character, if there are others than ASCII's and each has one.
fn latin_1(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = text.chars().map(|char| u8::try_from(u32::from(char)).ok()).collect::<Option<Vec<_>>>()?;
    (!text.is_ascii()).then(|| bytes.into())
}

/// As a string of JSON, without its quotes, if that is something else.
fn in_json(text: &str) -> Option<Zeroizing<String>> {
    let quoted = Zeroizing::new(serde_json::to_string(text).ok()?);
    let inside = quoted.strip_prefix('"')?.strip_suffix('"')?;
    (inside != text).then(|| Zeroizing::new(inside.to_owned()))
}

/// What of the base64 stays the same whatever stands around it, when
/// `before` bytes (0 to 2) of a group of three come from what stands before.
fn in_base64(secret: &[u8], before: usize) -> [Zeroizing<String>; 2] {
    let mut bytes = Zeroizing::new(vec![0; before]);
    bytes.extend_from_slice(secret);
    // The first characters also hold bits of what stands before, the last one of what follows.
    let first = [0, 2, 3][before % 3];
    let last = bytes.len() * 4 / 3;
    [BASE64_STANDARD_NO_PAD.encode(&*bytes), BASE64_URL_SAFE_NO_PAD.encode(&*bytes)]
        .map(|encoded| Zeroizing::new(encoded.get(first..last.min(encoded.len())).unwrap_or_default().to_owned()))
}

/// As programs print bytes: `[107, 101, 121]` and `{0x6b, 0x65, 0x79}`.
fn in_lists(bytes: &[u8]) -> [Zeroizing<String>; 2] {
    let (mut decimal, mut hexadecimal) = (Zeroizing::new(String::new()), Zeroizing::new(String::new()));
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(decimal, "{byte} ");
        let _ = write!(hexadecimal, "0x{byte:02x} ");
    }
    [decimal, hexadecimal]
}
