//! The elements and attributes that only show something.

use std::borrow::Cow;

use html5ever::tokenizer::states::RawKind;

use super::{super::prose::is_safe, style};

const ELEMENTS: [&str; 81] = [
    "a",
    "abbr",
    "address",
    "article",
    "aside",
    "b",
    "bdi",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "data",
    "dd",
    "del",
    "details",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "main",
    "mark",
    "menu",
    "meter",
    "nav",
    "ol",
    "p",
    "pre",
    "progress",
    "q",
    "rp",
    "rt",
    "ruby",
    "s",
    "samp",
    "search",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "time",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
];
const VOID: [&str; 5] = ["br", "col", "hr", "img", "wbr"];
/// What is in them is shown to nobody, or belongs to a language of its own.
const HIDDEN: [&str; 10] =
    ["applet", "audio", "canvas", "frameset", "math", "object", "select", "svg", "template", "video"];
/// `data-` and `aria-` beside these. None holds an address or a program.
const ATTRIBUTES: [&str; 49] = [
    "abbr",
    "align",
    "alt",
    "axis",
    "bgcolor",
    "border",
    "cellpadding",
    "cellspacing",
    "char",
    "charoff",
    "class",
    "clear",
    "color",
    "cols",
    "colspan",
    "compact",
    "datetime",
    "dir",
    "face",
    "headers",
    "height",
    "hidden",
    "high",
    "hspace",
    "id",
    "lang",
    "low",
    "max",
    "min",
    "noshade",
    "nowrap",
    "open",
    "optimum",
    "reversed",
    "role",
    "rows",
    "rowspan",
    "rules",
    "scope",
    "size",
    "span",
    "start",
    "summary",
    "title",
    "type",
    "valign",
    "value",
    "vspace",
    "width",
];
/// Pictures that cannot hold a program.
const PICTURES: [&str; 4] = ["data:image/png;", "data:image/jpeg;", "data:image/gif;", "data:image/webp;"];

pub fn element(name: &str) -> bool {
    ELEMENTS.contains(&name)
}

pub fn is_void(name: &str) -> bool {
    VOID.contains(&name)
}

pub fn is_hidden(name: &str) -> bool {
    HIDDEN.contains(&name)
}

/// How the content of elements that hold no tags is read. All are left out.
pub fn raw_text(name: &str) -> Option<RawKind> {
    match name {
        "script" => Some(RawKind::ScriptData),
        "textarea" | "title" => Some(RawKind::Rcdata),
        "iframe" | "noembed" | "noframes" | "noscript" | "xmp" => Some(RawKind::Rawtext),
        _ => None,
    }
}

/// The value that the attribute keeps, if it stays.
pub fn value<'a>(element: &str, name: &str, value: &'a str) -> Option<Cow<'a, str>> {
    match (element, name) {
        ("a", "href") => is_safe(value).then_some(Cow::Borrowed(value)),
        ("img", "src") => is_picture(value).then_some(Cow::Borrowed(value)),
        (_, "style") => Some(Cow::Owned(style::harmless(value))),
        _ => (ATTRIBUTES.contains(&name) || is_own(name)).then_some(Cow::Borrowed(value)),
    }
}

/// Names that a browser has no meaning for, in letters that need no escaping.
fn is_own(name: &str) -> bool {
    let rest = name.strip_prefix("data-").or_else(|| name.strip_prefix("aria-"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)))
}

pub fn is_picture(source: &str) -> bool {
    let lower = source.get(..32.min(source.len())).unwrap_or_default().to_ascii_lowercase();
    PICTURES.iter().any(|start| lower.starts_with(start))
}

pub fn is_address(source: &str) -> bool {
    let lower = source.trim().to_ascii_lowercase();
    lower.starts_with("https://") || lower.starts_with("http://")
}
