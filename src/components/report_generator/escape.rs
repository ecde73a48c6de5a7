//! Text from outside as text of an HTML document, and back.

/// As this and the engine of templates write signs that mean something in HTML.
pub const ENTITIES: [(&str, char); 8] = [
    ("amp;", '&'),
    ("lt;", '<'),
    ("gt;", '>'),
    ("quot;", '"'),
    ("#39;", '\''),
    ("#x27;", '\''),
    ("#x2f;", '/'),
    ("#34;", '"'),
];

pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// The text of what was escaped once.
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let known = ENTITIES.iter().find_map(|(entity, sign)| Some((*sign, after.strip_prefix(entity)?)));
        let (sign, behind) = known.unwrap_or(('&', after));
        out.push_str(before);
        out.push(sign);
        rest = behind;
    }
    out.push_str(rest);
    out
}
