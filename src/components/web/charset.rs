//! Bytes of a page or a document to text, by the signs that browsers go by.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How much of a page is searched for a `<meta>` that names the encoding.
const PRESCAN_BYTES: usize = 2048;

/// Decodes by byte order mark, then the header's charset, then a `<meta>`; without
/// any, UTF-8 if it is valid and Windows-1252 otherwise. What cannot be decoded
/// becomes U+FFFD.
#[must_use]
pub fn decode(body: &[u8], content_type: Option<&str>) -> String {
    let named = content_type.and_then(header_charset).or_else(|| meta_charset(body));
    let encoding = match named {
        Some(encoding) => encoding,
        None if std::str::from_utf8(body).is_ok() => UTF_8,
        None => WINDOWS_1252,
    };
    // `decode` lets a byte order mark win and removes it.
    encoding.decode(body).0.into_owned()
}

/// The media type without parameters, in lower case.
#[must_use]
pub fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn header_charset(content_type: &str) -> Option<&'static Encoding> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let label = value.trim().trim_matches(['"', '\'']);
        name.trim().eq_ignore_ascii_case("charset").then(|| Encoding::for_label(label.as_bytes())).flatten()
    })
}

fn meta_charset(body: &[u8]) -> Option<&'static Encoding> {
    let head = body.get(..PRESCAN_BYTES).unwrap_or(body).to_ascii_lowercase();
    let mut rest = head.as_slice();
    while let Some(start) = find(rest, b"<meta") {
        rest = rest.get(start + 5..)?;
        let tag = rest.get(..find(rest, b">").unwrap_or(rest.len()))?;
        if let Some(at) = find(tag, b"charset") {
            let value = tag.get(at + 7..)?.trim_ascii_start().strip_prefix(b"=").unwrap_or_default().trim_ascii_start();
            let value = value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value);
            let end = value.iter().position(|b| b"\"' ;/>\t\r\n".contains(b)).unwrap_or(value.len());
            let encoding = value.get(..end).and_then(Encoding::for_label);
            // A page whose meta can be read byte by byte is not UTF-16, whatever it says.
            return encoding.map(|found| if [UTF_16BE, UTF_16LE].contains(&found) { UTF_8 } else { found });
        }
    }
    None
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn signs_in_order() {
        let latin = b"caf\xe9";
        assert_eq!(decode(latin, Some("text/html; charset=ISO-8859-1")), "café");
        assert_eq!(decode(latin, Some("text/html; Charset=\"latin1\"")), "café");
        assert_eq!(decode(latin, None), "café", "invalid UTF-8 is Windows-1252");
        assert_eq!(decode("café".as_bytes(), None), "café");
        assert_eq!(decode("café".as_bytes(), Some("text/html; charset=nonsense")), "café");
        assert_eq!(decode(b"\xef\xbb\xbfcaf\xc3\xa9", Some("text/html; charset=latin1")), "café", "the mark wins");
        assert_eq!(decode(b"\xff\xfec\x00a\x00f\x00\xe9\x00", None), "café");
        assert_eq!(decode(b"\x93\xfa\x96\x7b", Some("text/html; charset=Shift_JIS")), "日本");
    }

    #[test]
    fn meta_is_found_in_both_forms() {
        assert!(decode(b"<html><META charset=windows-1251><p>\xcf\xf0\xe8", None).ends_with("При"));
        let long = b"<meta name=x><meta http-equiv=Content-Type content='text/html; charset=koi8-r'>\xf0\xd2\xc9";
        assert!(decode(long, None).ends_with("При"));
        assert_eq!(decode("<meta charset=utf-16le>é".as_bytes(), None), "<meta charset=utf-16le>é");
    }

    #[test]
    fn media_types() {
        assert_eq!(media_type(" Text/HTML ; charset=x"), "text/html");
    }

    proptest! {
        #[test]
        fn never_panics(body: Vec<u8>, content_type in proptest::option::of(".*")) {
            let _ = decode(&body, content_type.as_deref());
        }

        #[test]
        fn meta_never_panics(tail in "(charset|[ =\"'<>;/]|utf-8|\\PC){0,40}") {
            let _ = decode(format!("<meta {tail}").as_bytes(), None);
        }
    }
}
