//! A text, or what is left of it when its escapes are taken off once, or all that is no letter
//! or digit.

use std::{borrow::Cow, ops::Range};

use memchr::memchr3;

use super::escape::{self, Unit};

/// After so many bytes it is noted where they come from.
const STRIDE: usize = 64;

pub struct Layer<'a> {
    pub bytes: Cow<'a, [u8]>,
    /// Where in this layer, and where in the one before: of about every [`STRIDE`] bytes the first.
    marks: Vec<(usize, usize)>,
    /// What the layer before was read by.
    unit: fn(&[u8], usize) -> Option<Unit>,
}

impl<'a> Layer<'a> {
    /// The text itself.
    pub fn of(text: &'a [u8]) -> Self {
        Self { bytes: Cow::Borrowed(text), marks: Vec::new(), unit: escape::unit }
    }

    /// `None` if there is nothing to take off.
    pub fn unescaped(&self) -> Option<Layer<'static>> {
        let sign = |from| {
            let rest: &[u8] = self.bytes.get(from..).unwrap_or_default();
            memchr3(b'%', b'&', b'\\', rest).map(|at| from + at)
        };
        let mut next = sign(0)?;
        let (mut bytes, mut marks) = (Vec::with_capacity(self.bytes.len()), Vec::new());
        let (mut from, mut changed) = (0, false);
        loop {
            let plain = self.bytes.get(from..next).unwrap_or_default();
            // Those within the part that is copied as it is, and the one at its end.
            while marks.len() * STRIDE <= bytes.len() + plain.len() {
                let at = bytes.len().max(marks.len() * STRIDE);
                marks.push((at, from + at - bytes.len()));
            }
            bytes.extend_from_slice(plain);
            let Some(unit) = escape::unit(&self.bytes, next) else { break };
            changed |= unit.taken > 1;
            bytes.extend_from_slice(unit.bytes());
            from = next + unit.taken;
            next = sign(from).unwrap_or(self.bytes.len());
        }
        changed.then_some(Layer { bytes: bytes.into(), marks, unit: escape::unit })
    }

    /// Letters and digits alone, the letters small.
    pub fn joined(&self) -> Layer<'static> {
        let mut bytes = vec![0; self.bytes.len()];
        let (mut len, mut marks) = (0, Vec::with_capacity(self.bytes.len() / STRIDE + 1));
        for (nth, part) in self.bytes.chunks(STRIDE).enumerate() {
            marks.push((len, nth * STRIDE));
            for byte in part {
                // Written in any case: to decide for each byte is what takes time.
                if let Some(place) = bytes.get_mut(len) {
                    *place = byte.to_ascii_lowercase();
                }
                len += usize::from(byte.is_ascii_alphanumeric());
            }
        }
        bytes.truncate(len);
        Layer { bytes: bytes.into(), marks, unit: letter_or_digit }
    }

    /// Small letters, and a blank for the sign that forms have for it.
    pub fn folded(&self) -> Vec<u8> {
        self.bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { byte.to_ascii_lowercase() }).collect()
    }

    /// Where in the layer before this one a range of it comes from, whole escapes.
    pub fn origin(&self, before: &Layer<'_>, range: &Range<usize>) -> Range<usize> {
        let (start, _) = self.source(before, range.start);
        let (_, end) = self.source(before, range.end.saturating_sub(1));
        start..end
    }

    /// What the byte at a place comes from.
    fn source(&self, before: &Layer<'_>, place: usize) -> (usize, usize) {
        let mark = self.marks.partition_point(|(at, _)| *at <= place).checked_sub(1);
        let (mut at, mut from) = mark.and_then(|mark| self.marks.get(mark)).copied().unwrap_or_default();
        while let Some(unit) = (self.unit)(&before.bytes, from) {
            if place < at + unit.bytes().len() {
                return (from, from + unit.taken);
            }
            at += unit.bytes().len();
            from += unit.taken;
        }
        (from, from)
    }
}

fn letter_or_digit(text: &[u8], at: usize) -> Option<Unit> {
    let byte = *text.get(at)?;
    Some(if byte.is_ascii_alphanumeric() { Unit::of_byte(1, byte) } else { Unit::nothing() })
}
