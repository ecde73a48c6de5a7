//! What an HTML page holds, read in one pass over its tokens.
//!
//! - [`found`]: what a page holds
//! - [`elements`]: what elements mean for a text

mod elements;
mod found;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use html5ever::tokenizer::{Tag, TokenSinkResult, states::RawKind};

pub use found::{Image, Page};

use super::{
    html_tokens::{self, attribute},
    markdown::Markdown,
};
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
/// A page that takes longer is hostile; what was read by then counts.
const MAX_PARSE: Duration = Duration::from_secs(3);

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
    let deadline = Instant::now() + MAX_PARSE;
    html_tokens::read(html, reader, |_| Instant::now() < deadline).finish()
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

impl html_tokens::Reader for Reader {
    fn in_foreign(&self) -> bool {
        self.hidden.last().is_some_and(|name| name == "svg" || name == "math")
    }

    fn start(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        if self.in_foreign() {
            if !elements::leaves_foreign(name) {
                if (name == "svg" || name == "math") && !tag.self_closing {
                    self.hidden.push(name.to_owned());
                }
                return TokenSinkResult::Continue;
            }
            self.hidden.retain(|open| open != "svg" && open != "math");
        }
        self.part_words(name);
        if let Some(kind) = elements::raw_text(name) {
            self.hidden.push(name.to_owned());
            return TokenSinkResult::RawData(kind);
        }
        match name {
            "title" => {
                self.begin(Capture::Title);
                return TokenSinkResult::RawData(RawKind::Rcdata);
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
}

impl Reader {
    fn part_words(&mut self, name: &str) {
        if !elements::is_inline(name) {
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
