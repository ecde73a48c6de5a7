//! What a JSON value holds in memory, which its text does not tell: `{"a":0}` has seven bytes
//! as text and seven hundred as a value.

use std::io;

use serde::Serialize;
use serde_json::{
    Value,
    ser::{CompactFormatter, Formatter},
};

/// A value in its place.
const SLOT: usize = size_of::<Value>();
/// Of one output or config.
pub const MOST: usize = 48 * 1024 * 1024;

/// What the allocator adds to each piece.
const PIECE: usize = 16;
/// A mapping keeps its entries in blocks of eleven places, which are about half full.
const BLOCK: usize = 11 * (size_of::<String>() + SLOT) + 2 * PIECE;
const ENTRIES: usize = 6;

/// Bytes of memory that a value holds.
#[must_use]
pub fn of(value: &Value) -> usize {
    SLOT + match value {
        Value::String(text) => text_of(text.len()),
        Value::Array(items) => PIECE + items.iter().map(of).sum::<usize>(),
        Value::Object(fields) => {
            fields.len().div_ceil(ENTRIES) * BLOCK
                + fields.iter().map(|(key, value)| text_of(key.len()) + of(value) - SLOT).sum::<usize>()
        }
        _ => 0,
    }
}

/// What a JSON text comes to when it is parsed, or a little more: found without parsing it.
#[must_use]
pub fn of_json(text: &[u8]) -> usize {
    let (mut inside, mut escaped) = (false, false);
    let mut piece = |byte: u8| {
        let quote = byte == b'"' && !escaped;
        escaped = inside && byte == b'\\' && !escaped;
        inside ^= quote;
        match byte {
            _ if inside => 0,
            b'{' => BLOCK,
            b',' | b'[' | b':' => SLOT + PIECE + size_of::<String>(),
            _ => 0,
        }
    };
    text.len() + SLOT + PIECE + text.iter().map(|byte| piece(*byte)).sum::<usize>()
}

const fn text_of(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes + PIECE }
}

/// What a value holds once it is made, without making it; `None` if that is more than `most`,
/// or `out` takes no more of its text.
///
/// # Errors
/// It is no JSON.
pub fn of_any(value: &impl Serialize, most: usize, out: impl io::Write) -> Result<Option<usize>, serde_json::Error> {
    let mut scales = Scales { weight: SLOT, most, entries: Vec::new() };
    match value.serialize(&mut serde_json::Serializer::with_formatter(out, &mut scales)) {
        Ok(()) => Ok(Some(scales.weight)),
        Err(error) if error.is_io() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Is told of each part of a value in its turn.
struct Scales {
    weight: usize,
    most: usize,
    /// Of the mappings that are open.
    entries: Vec<usize>,
}

impl Scales {
    fn add(&mut self, bytes: usize) -> io::Result<()> {
        self.weight += bytes;
        if self.weight > self.most { Err(io::Error::other("too heavy")) } else { Ok(()) }
    }
}

impl Formatter for &mut Scales {
    fn begin_string<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.add(PIECE)?;
        CompactFormatter.begin_string(out)
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        self.add(fragment.len())?;
        CompactFormatter.write_string_fragment(out, fragment)
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.add(PIECE)?;
        CompactFormatter.begin_array(out)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.add(SLOT)?;
        CompactFormatter.begin_array_value(out, first)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.entries.push(0);
        CompactFormatter.begin_object(out)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        let entries = self.entries.last_mut().map_or(0, |entries| {
            *entries += 1;
            *entries
        });
        if entries % ENTRIES == 1 {
            self.add(BLOCK)?;
        }
        CompactFormatter.begin_object_key(out, first)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.entries.pop();
        CompactFormatter.end_object(out)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn small_values_weigh_what_they_hold_and_not_what_they_say() {
        let many = |item: Value| Value::Array(vec![item; 1000]);
        for (value, least, most) in [
            (json!("x".repeat(100_000)), 100_000, 100_100),
            (many(json!(null)), 24_000, 40_000),
            (many(json!([])), 24_000, 60_000),
            (many(json!({"a": 0})), 500_000, 800_000),
            (many(json!({"a": 1, "b": "some text that is no very short one"})), 600_000, 900_000),
        ] {
            let weight = of(&value);
            assert!((least..most).contains(&weight), "{weight}");
            let text = of_json(value.to_string().as_bytes());
            assert!(text >= weight, "{text} is less than {weight}");
            let found = of_any(&value, usize::MAX, io::sink()).unwrap().unwrap();
            assert!(found.abs_diff(weight) * 10 <= weight, "{found} is far from {weight}");
            assert_eq!(of_any(&value, weight / 2, io::sink()).unwrap(), None);
        }
    }
}
