//! Queries of addresses, looked at before their parameters are read.

use percent_encoding::percent_decode_str;

use super::problem::Problem;

/// Refuses a parameter that is not UTF-8, for which the framework would read another text, or
/// that holds a NUL: no text that is stored has one, and Postgres refuses to compare with it.
pub fn refusal(query: &str) -> Option<Problem> {
    query.split('&').find_map(|pair| {
        let wrong = match percent_decode_str(pair).decode_utf8() {
            Ok(text) if text.contains('\0') => "must not contain NUL characters",
            Ok(_) => return None,
            Err(_) => "must be UTF-8 that is percent-encoded, such as %C3%BC for \u{fc}",
        };
        let name = pair.split('=').next().unwrap_or_default();
        Some(Problem::invalid(percent_decode_str(name).decode_utf8_lossy(), wrong))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_utf_8_is_named() {
        for (query, name) in [
            ("tag=%ff", "tag"),
            ("a=b&t%61g=x%C3", "tag"),
            ("a&%ff=1&b=2", "\u{fffd}"),
            ("a=%ed%a0%80", "a"),
            ("a=%C3&b=%BC", "a"),
        ] {
            let refused = refusal(query).map(|problem| problem.to_string()).unwrap_or_default();
            assert!(refused.contains(&format!("{name}: must be UTF-8")), "{query}: {refused}");
        }
        for query in ["", "&", "a=b&c", "a=%C3%BC&b=\u{fc}", "a=%", "a=%zz", "a=100%25+1"] {
            assert!(refusal(query).is_none(), "{query}");
        }
    }
}
