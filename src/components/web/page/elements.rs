//! What elements mean for the text around them, as the HTML standard has it.

use html5ever::tokenizer::states::RawKind;

/// Elements whose content is not markup, and not for the reader.
pub fn raw_text(name: &str) -> Option<RawKind> {
    match name {
        "script" => Some(RawKind::ScriptData),
        "style" | "xmp" | "iframe" | "noembed" | "noframes" => Some(RawKind::Rawtext),
        "textarea" => Some(RawKind::Rcdata),
        _ => None,
    }
}

/// Elements that end an `<svg>` or `<math>` left open, as the standard has it.
pub fn leaves_foreign(name: &str) -> bool {
    matches!(
        name,
        "body"
            | "br"
            | "center"
            | "div"
            | "dl"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "head"
            | "hr"
            | "img"
            | "li"
            | "meta"
            | "ol"
            | "p"
            | "pre"
            | "span"
            | "table"
            | "ul"
            | "blockquote"
    )
}

/// Elements that do not part words.
pub fn is_inline(name: &str) -> bool {
    matches!(
        name,
        "a" | "abbr"
            | "b"
            | "bdi"
            | "bdo"
            | "cite"
            | "code"
            | "em"
            | "font"
            | "i"
            | "ins"
            | "del"
            | "kbd"
            | "mark"
            | "q"
            | "s"
            | "samp"
            | "small"
            | "span"
            | "strong"
            | "sub"
            | "sup"
            | "u"
            | "var"
            | "wbr"
    )
}
