//! What an HTML page holds, read in one pass over its tokens.
//!
//! No tree is built: building one takes time and memory that a hostile page can
//! make quadratic, and nothing here needs it. Tokens follow the HTML standard, so
//! malformed pages read as in a browser.

use std::{
    cell::RefCell,
    collections::HashSet,
    time::{Duration, Instant},
};

use html5ever::{
    tendril::StrTendril,
    tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts, states},
};
use serde::Serialize;

use super::markdown::Markdown;
use crate::egress::Url;

const MAX_LINKS: usize = 5_000;
/// Bytes of all addresses: a long `<base>` makes much out of little.
const MAX_ADDRESSES: usize = 512 * 1024;
const MAX_IMAGES: usize = 2_000;
const MAX_HEADINGS: usize = 200;
/// Characters of a title, heading, description or alternative text.
const MAX_TEXT: usize = 2_000;
/// Longer addresses are left out: servers refuse them.
const MAX_URL: usize = 4_000;
/// Bytes between two looks at the clock.
/// Bytes that a text holds beside itself once it is a value, an image, and a page.
const VALUE: usize = 56;
const IMAGE: usize = 800;
const PAGE: usize = 4_000;
const CHUNK: usize = 16 * 1024;
/// A page that takes longer is hostile; what was read by then counts.
const MAX_PARSE: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Page {
    pub title: Option<String>,
    pub meta_description: Option<String>,
    pub meta_keywords: Option<String>,
    pub canonical: Option<String>,
    pub h1_tags: Vec<String>,
    pub h2_tags: Vec<String>,
    /// Of the visible text.
    pub word_count: usize,
    /// Absolute http(s) addresses without fragment, each once, in order.
    pub links: Vec<String>,
    pub images: Vec<Image>,
    /// Images that have no `alt` at all; an empty one marks decoration.
    pub images_without_alt: usize,
    /// The page asks that its links be left alone.
    #[serde(skip)]
    pub nofollow: bool,
    #[serde(skip)]
    pub markdown: String,
}

impl Page {
    /// Bytes that the page takes up in a report, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        let texts = self.links.iter().chain(&self.h1_tags).chain(&self.h2_tags).map(|text| VALUE + text.len());
        let images =
            self.images.iter().map(|image| IMAGE + image.src.len() + image.alt.as_ref().map_or(0, String::len));
        texts.chain(images).sum::<usize>() + PAGE
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    pub src: String,
    pub alt: Option<String>,
}

/// Reads a page. `base` is the address that it came from.
#[must_use]
pub fn read(html: &str, base: &Url, with_markdown: bool) -> Page {
    let reader = Reader {
        base: base.clone(),
        page: Page::default(),
        capture: None,
        hidden: Vec::new(),
        in_word: false,
        seen: HashSet::new(),
        address_bytes: 0,
        markdown: with_markdown.then(|| Markdown::new(base.clone())),
    };
    let tokenizer = Tokenizer::new(Sink(RefCell::new(reader)), TokenizerOpts::default());
    let input = BufferQueue::default();
    let deadline = Instant::now() + MAX_PARSE;
    let mut rest = html;
    while !rest.is_empty() && Instant::now() < deadline {
        let (chunk, tail) = rest.split_at(rest.floor_char_boundary(CHUNK.min(rest.len())));
        input.push_back(StrTendril::from_slice(chunk));
        let _ = tokenizer.feed(&input);
        rest = tail;
    }
    tokenizer.end();
    tokenizer.sink.0.into_inner().finish()
}

struct Sink(RefCell<Reader>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut reader = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(text) => reader.text(&text),
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => return reader.start(&tag),
            Token::TagToken(tag) => reader.end(&tag.name),
            Token::DoctypeToken(_)
            | Token::CommentToken(_)
            | Token::NullCharacterToken
            | Token::EOFToken
            | Token::ParseError(_) => {}
        }
        TokenSinkResult::Continue
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.0.borrow().in_foreign()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Capture {
    Title,
    H1,
    H2,
}

struct Reader {
    base: Url,
    page: Page,
    /// Text that is being collected.
    capture: Option<(Capture, String)>,
    /// Open elements whose text nobody sees.
    hidden: Vec<String>,
    in_word: bool,
    seen: HashSet<String>,
    address_bytes: usize,
    markdown: Option<Markdown>,
}

impl Reader {
    fn in_foreign(&self) -> bool {
        self.hidden.last().is_some_and(|name| name == "svg" || name == "math")
    }

    fn start(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        if self.in_foreign() {
            if !leaves_foreign(name) {
                if (name == "svg" || name == "math") && !tag.self_closing {
                    self.hidden.push(name.to_owned());
                }
                return TokenSinkResult::Continue;
            }
            self.hidden.retain(|open| open != "svg" && open != "math");
        }
        self.part_words(name);
        if let Some(kind) = raw_text(name) {
            self.hidden.push(name.to_owned());
            return TokenSinkResult::RawData(kind);
        }
        match name {
            "title" => {
                self.begin(Capture::Title);
                return TokenSinkResult::RawData(states::RawKind::Rcdata);
            }
            "plaintext" => return TokenSinkResult::Plaintext,
            "svg" | "math" if tag.self_closing => {}
            "svg" | "math" | "template" => self.hidden.push(name.to_owned()),
            _ if !self.hidden.is_empty() => {}
            "h1" => self.begin(Capture::H1),
            "h2" => self.begin(Capture::H2),
            "h3" | "h4" | "h5" | "h6" => self.close_capture(),
            "meta" => self.meta(tag),
            "base" => self.rebase(tag),
            "link" => self.link_element(tag),
            "a" | "area" => self.link(tag),
            "img" => self.image(tag),
            _ => {}
        }
        if self.hidden.is_empty()
            && let Some(markdown) = &mut self.markdown
        {
            markdown.start(name, |key| attribute(tag, key));
        }
        TokenSinkResult::Continue
    }

    fn end(&mut self, name: &str) {
        self.part_words(name);
        if let Some(open) = self.hidden.last() {
            if open == name {
                self.hidden.pop();
            }
            return;
        }
        if matches!(name, "title" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "body" | "html") {
            self.close_capture();
        }
        if let Some(markdown) = &mut self.markdown {
            markdown.end(name);
        }
    }

    fn text(&mut self, text: &str) {
        if !self.hidden.is_empty() {
            return;
        }
        if let Some((_, collected)) = &mut self.capture
            && collected.len() < MAX_TEXT * 4
        {
            collected.push_str(text);
        }
        if matches!(self.capture, Some((Capture::Title, _))) {
            return;
        }
        for c in text.chars() {
            let space = c.is_whitespace();
            self.page.word_count += usize::from(!space && !self.in_word);
            self.in_word = !space;
        }
        if let Some(markdown) = &mut self.markdown {
            markdown.text(text);
        }
    }

    fn part_words(&mut self, name: &str) {
        if !is_inline(name) {
            self.in_word = false;
            if let Some((_, collected)) = &mut self.capture {
                collected.push(' ');
            }
        }
    }

    fn begin(&mut self, what: Capture) {
        self.close_capture();
        self.capture = Some((what, String::new()));
    }

    fn close_capture(&mut self) {
        let Some((what, text)) = self.capture.take() else { return };
        let text = tidy(&text);
        match what {
            Capture::Title if self.page.title.is_none() && !text.is_empty() => self.page.title = Some(text),
            Capture::H1 if self.page.h1_tags.len() < MAX_HEADINGS => self.page.h1_tags.push(text),
            Capture::H2 if self.page.h2_tags.len() < MAX_HEADINGS => self.page.h2_tags.push(text),
            _ => {}
        }
    }

    fn meta(&mut self, tag: &Tag) {
        let (Some(name), Some(content)) = (attribute(tag, "name"), attribute(tag, "content")) else { return };
        match name.trim().to_ascii_lowercase().as_str() {
            "description" if self.page.meta_description.is_none() => self.page.meta_description = Some(tidy(content)),
            "keywords" if self.page.meta_keywords.is_none() => self.page.meta_keywords = Some(tidy(content)),
            "robots" | "teamai" => {
                let directives = content.to_ascii_lowercase();
                self.page.nofollow |= directives.split(',').any(|word| matches!(word.trim(), "nofollow" | "none"));
            }
            _ => {}
        }
    }

    fn rebase(&mut self, tag: &Tag) {
        // Only the first one with an address counts.
        if let Some(url) = attribute(tag, "href").and_then(|href| self.base.join(href.trim()).ok())
            && self.seen.insert(String::new())
            && !url.cannot_be_a_base()
        {
            self.base = url.clone();
            if let Some(markdown) = &mut self.markdown {
                markdown.rebase(url);
            }
        }
    }

    fn link_element(&mut self, tag: &Tag) {
        let canonical = attribute(tag, "rel")
            .is_some_and(|rel| rel.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("canonical")));
        if canonical && self.page.canonical.is_none() {
            self.page.canonical = attribute(tag, "href").and_then(|href| self.resolve(href));
        }
    }

    fn link(&mut self, tag: &Tag) {
        if self.page.links.len() < MAX_LINKS
            && self.address_bytes < MAX_ADDRESSES
            && let Some(url) = attribute(tag, "href").and_then(|href| self.resolve(href))
            && self.seen.insert(url.clone())
        {
            self.address_bytes += url.len();
            self.page.links.push(url);
        }
    }

    fn image(&mut self, tag: &Tag) {
        let alt = attribute(tag, "alt").map(tidy);
        self.page.images_without_alt += usize::from(alt.is_none());
        if self.page.images.len() < MAX_IMAGES && self.address_bytes < MAX_ADDRESSES {
            let src = attribute(tag, "src").and_then(|src| self.resolve(src)).unwrap_or_default();
            self.address_bytes += src.len();
            self.page.images.push(Image { src, alt });
        }
    }

    /// An absolute http(s) address without fragment.
    fn resolve(&self, href: &str) -> Option<String> {
        let href = href.trim();
        if href.len() > MAX_URL {
            return None;
        }
        let mut url = self.base.join(href).ok()?;
        url.set_fragment(None);
        let usable = matches!(url.scheme(), "http" | "https") && url.has_host();
        usable.then(|| url.into())
    }

    fn finish(mut self) -> Page {
        self.close_capture();
        self.page.markdown = self.markdown.take().map(Markdown::finish).unwrap_or_default();
        self.page
    }
}

fn attribute<'a>(tag: &'a Tag, name: &str) -> Option<&'a str> {
    tag.attrs.iter().find(|attribute| &*attribute.name.local == name).map(|attribute| &*attribute.value)
}

/// Whitespace collapsed, and cut to what a title or a description can be.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len().min(MAX_TEXT));
    for word in text.split_whitespace() {
        if !tidy.is_empty() {
            tidy.push(' ');
        }
        tidy.push_str(word);
        if tidy.len() > MAX_TEXT {
            tidy.truncate(tidy.floor_char_boundary(MAX_TEXT));
            break;
        }
    }
    tidy
}

/// Elements whose content is not markup, and not for the reader.
fn raw_text(name: &str) -> Option<states::RawKind> {
    match name {
        "script" => Some(states::RawKind::ScriptData),
        "style" | "xmp" | "iframe" | "noembed" | "noframes" => Some(states::RawKind::Rawtext),
        "textarea" => Some(states::RawKind::Rcdata),
        _ => None,
    }
}

/// Elements that end an `<svg>` or `<math>` left open, as the standard has it.
fn leaves_foreign(name: &str) -> bool {
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
fn is_inline(name: &str) -> bool {
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

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
