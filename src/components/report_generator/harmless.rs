//! HTML of a recipe's author with values of pages in it: what it shows stays, what it could run
//! or load goes.
//!
//! Text that a template prints is escaped. That does not make it harmless in an `href`, in an
//! attribute without quotes, in a script or in a style, and a model that writes HTML escapes
//! nothing. So the finished text is read by tokens, as pages are, and written anew: elements and
//! attributes of a list alone, every text and value escaped. No element of the list changes how
//! a browser reads what follows it, but for `title` and `style`, which are written whole; so
//! that what a browser reads are the tokens that are written here.
//!
//! - [`allowed`]: the elements and attributes that stay
//! - [`style`]: what stays of a style sheet

mod allowed;
mod style;
#[cfg(test)]
mod tests;

use std::time::Instant;

use html5ever::tokenizer::{Tag, TokenSinkResult, states::RawKind};

use super::escape::escape;
use crate::{
    base::apart,
    components::web::html_tokens::{self, attribute},
};

/// Goes with the file, wherever it is opened. It has to stand before everything that it is for.
pub const POLICY: &str = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
                          style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">";
/// Bytes. Escaping makes up to six times of what was there.
const LONGEST: usize = 15 * 1024 * 1024;

/// Whether the text is a document by itself, and not a part of one.
pub fn is_document(html: &str) -> bool {
    let start = html.trim_start();
    let starts = |with: &str| start.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    starts("<!doctype") || starts("<html")
}

/// A part of a document, made harmless: without `html`, `head`, `body` and `title`.
///
/// # Errors
/// In words for the author: it takes too long, or becomes too long.
pub fn part(html: &str) -> Result<String, String> {
    read(html, false).map(|writer| writer.out)
}

/// A document, made harmless, with [`POLICY`] in its head.
///
/// # Errors
/// As [`part`].
pub fn document(html: &str) -> Result<String, String> {
    let Writer { root, out, .. } = read(html, true)?;
    let root = root.unwrap_or_default();
    Ok(format!("<!doctype html>\n<html{root}>\n<head>\n<meta charset=\"utf-8\">\n{POLICY}\n{out}"))
}

fn read(html: &str, whole: bool) -> Result<Writer, String> {
    let deadline = Instant::now() + apart::END;
    let mut wrong = None;
    let mut writer = html_tokens::read(html, Writer::new(whole), |writer| {
        if Instant::now() > deadline {
            let end = apart::END.as_secs();
            wrong = Some(format!("takes more than {end} s to be made harmless; use fewer attributes"));
        } else if writer.out.len() > LONGEST {
            wrong = Some(format!("becomes longer than {LONGEST} bytes when it is escaped; write less"));
        }
        wrong.is_none()
    });
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    writer.end_raw();
    Ok(writer)
}

/// What is open and holds text of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Raw {
    Title,
    Style,
}

#[derive(Debug)]
struct Writer {
    whole: bool,
    /// The attributes of `html`, which is written by whoever asked.
    root: Option<String>,
    out: String,
    /// The element whose content is left out, and how often it is open.
    hidden: Option<(String, usize)>,
    raw: Option<(Raw, String)>,
}

impl html_tokens::Reader for Writer {
    fn start(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        if let Some((hidden, depth)) = &mut self.hidden {
            *depth += usize::from(hidden == name && !tag.self_closing);
            return TokenSinkResult::Continue;
        }
        match name {
            "title" if self.whole => {
                self.raw = Some((Raw::Title, String::new()));
                return TokenSinkResult::RawData(RawKind::Rcdata);
            }
            "style" => {
                self.raw = Some((Raw::Style, String::new()));
                return TokenSinkResult::RawData(RawKind::Rawtext);
            }
            "plaintext" => return self.hide(name, TokenSinkResult::Plaintext),
            "html" if self.whole && self.root.is_none() => self.root = Some(attributes(tag)),
            "body" if self.whole => self.write(tag),
            _ if allowed::element(name) => self.write(tag),
            _ => match allowed::raw_text(name) {
                Some(kind) => return self.hide(name, TokenSinkResult::RawData(kind)),
                None if allowed::is_hidden(name) && !tag.self_closing => {
                    return self.hide(name, TokenSinkResult::Continue);
                }
                // The element goes and what is in it stays.
                None => {}
            },
        }
        TokenSinkResult::Continue
    }

    fn end(&mut self, name: &str) {
        if let Some((hidden, depth)) = &mut self.hidden {
            *depth -= usize::from(hidden == name);
            if *depth == 0 {
                self.hidden = None;
            }
            return;
        }
        if self.raw.is_some() {
            return self.end_raw();
        }
        if allowed::element(name) && !allowed::is_void(name) || self.whole && ["head", "body", "html"].contains(&name) {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
    }

    fn text(&mut self, text: &str) {
        match &mut self.raw {
            _ if self.hidden.is_some() => {}
            Some((_, collected)) => collected.push_str(text),
            None => self.out.push_str(&escape(text)),
        }
    }
}

impl Writer {
    fn new(whole: bool) -> Self {
        Self { whole, root: None, out: String::new(), hidden: None, raw: None }
    }

    fn hide(&mut self, name: &str, how: TokenSinkResult<()>) -> TokenSinkResult<()> {
        self.hidden = Some((name.to_owned(), 1));
        how
    }

    fn end_raw(&mut self) {
        let (open, text, close) = match self.raw.take() {
            Some((Raw::Title, text)) => ("<title>", escape(&text), "</title>"),
            Some((Raw::Style, text)) => ("<style>", style::harmless(&text), "</style>"),
            None => return,
        };
        self.out.extend([open, &text, close]);
    }

    fn write(&mut self, tag: &Tag) {
        if &*tag.name == "img" && attribute(tag, "src").is_none_or(|src| !allowed::is_picture(src)) {
            return self.write_link_of(tag);
        }
        self.out.push('<');
        self.out.push_str(&tag.name);
        self.out.push_str(&attributes(tag));
        self.out.push('>');
    }

    /// A picture from elsewhere would call home when the report is opened.
    fn write_link_of(&mut self, image: &Tag) {
        let source = attribute(image, "src").unwrap_or_default();
        let named = attribute(image, "alt").map(str::trim).filter(|alt| !alt.is_empty()).unwrap_or(source);
        let named = escape(named);
        if allowed::is_address(source) {
            let source = escape(source);
            self.out.extend(["<a href=\"", &source, "\" rel=\"noopener nofollow\">", &named, "</a>"]);
        } else {
            self.out.push_str(&named);
        }
    }
}

/// The attributes that stay, each with a space before it.
fn attributes(tag: &Tag) -> String {
    let mut out = String::new();
    for attribute in &tag.attrs {
        let name = &*attribute.name.local;
        if let Some(value) = allowed::value(&tag.name, name, &attribute.value) {
            out.extend([" ", name, "=\"", &escape(&value), "\""]);
        }
    }
    if &*tag.name == "a" {
        out.push_str(" rel=\"noopener nofollow\"");
    }
    out
}
