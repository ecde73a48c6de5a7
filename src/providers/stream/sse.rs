//! Server-sent events out of bytes, however they are cut: the data of each event.
//!
//! Follows the WHATWG rules: lines end in LF, CR or CRLF, `data` lines of an event are
//! joined by LF, an event ends with an empty line, comments and other fields do
//! nothing here, and an event that was not ended is none.

/// The state between two pieces. Holds at most one unfinished event.
#[derive(Debug, Default)]
pub struct Sse {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    begun: bool,
}

const BOM: &[u8] = b"\xef\xbb\xbf";

impl Sse {
    /// Takes bytes in and hands out the data of every event that they end, until
    /// one is refused.
    pub fn feed<E>(&mut self, mut bytes: &[u8], each: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line.extend_from_slice(&bytes[..end]);
            let ended_by = bytes[end];
            bytes = &bytes[end + 1..];
            if ended_by == b'\r' {
                match bytes.first() {
                    Some(b'\n') => bytes = &bytes[1..],
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            self.end_line(each)?;
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line<E>(&mut self, each: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let line = if self.begun { &self.line[..] } else { self.line.strip_prefix(BOM).unwrap_or(&self.line) };
        self.begun = true;
        let mut result = Ok(());
        if line.is_empty() {
            if self.has_data {
                result = each(&self.data);
            }
            self.data.clear();
            self.has_data = false;
        } else if let Some(value) = data(line) {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value);
            self.has_data = true;
        }
        self.line.clear();
        result
    }
}

/// The value of a `data` line.
fn data(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    match rest.strip_prefix(b":") {
        Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        None => rest.is_empty().then_some(rest),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let (mut sse, mut found) = (Sse::default(), Vec::new());
        for piece in pieces {
            sse.feed::<()>(piece, &mut |data| {
                found.push(String::from_utf8_lossy(data).into_owned());
                Ok(())
            })
            .unwrap();
        }
        found
    }

    #[test]
    fn lines_end_in_every_way_and_data_is_joined() {
        let text = b"\xef\xbb\xbfdata: a\n\n: comment\r\ndata:b\r\ndata\r\ndata:  c\r\n\r\nevent: x\rdata: d\r\rid: 1\n\ndatas: no\n\ndata: cut";
        assert_eq!(events(&[text]), ["a", "b\n\n c", "d"]);
    }

    #[test]
    fn a_cut_anywhere_changes_nothing() {
        let text = "data: {\"a\": \"é\"}\r\n\r\n: ping\n\ndata: one\rdata: two\r\r\n\ndata: [DONE]\n\n".as_bytes();
        let whole = events(&[text]);
        assert_eq!(whole.len(), 3, "{whole:?}");
        for at in 0..=text.len() {
            assert_eq!(events(&[&text[..at], b"", &text[at..]]), whole, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(events(&bytes), whole);
    }

    proptest! {
        #[test]
        fn whatever_comes_cutting_it_changes_nothing(text in "(data: ?[a-z]{0,3}|:|\r|\n|\r\n){0,20}", at in 0_usize..60) {
            let bytes = text.as_bytes();
            let at = at.min(bytes.len());
            prop_assert_eq!(events(&[&bytes[..at], &bytes[at..]]), events(&[bytes]));
        }
    }
}
