//! HTML read by its tokens, in one pass and in pieces, without a tree.
//!
//! Building a tree takes time and memory that a hostile page can make quadratic, and nothing
//! here needs one. Tokens follow the HTML standard, so that malformed text reads as in a browser.

use std::cell::RefCell;

use html5ever::{
    tendril::StrTendril,
    tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts},
};

/// Bytes of a piece.
pub const PIECE: usize = 16 * 1024;

/// What is done with tags and texts. Comments, doctypes and errors are passed over.
pub trait Reader {
    /// The result says how what follows the tag is to be read.
    fn start(&mut self, tag: &Tag) -> TokenSinkResult<()>;
    fn end(&mut self, name: &str);
    fn text(&mut self, text: &str);
    /// Whether what is open is SVG or `MathML`, where `CDATA` sections are text.
    fn in_foreign(&self) -> bool {
        false
    }
}

/// Reads the text to its end, or as long as `go_on` says after a piece: some inputs take the
/// tokenizer time that is quadratic in their length.
pub fn read<R: Reader>(html: &str, reader: R, mut go_on: impl FnMut(&R) -> bool) -> R {
    let tokenizer = Tokenizer::new(Sink(RefCell::new(reader)), TokenizerOpts::default());
    let input = BufferQueue::default();
    let mut rest = html;
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(rest.floor_char_boundary(PIECE.min(rest.len())));
        input.push_back(StrTendril::from_slice(piece));
        let _ = tokenizer.feed(&input);
        if !go_on(&tokenizer.sink.0.borrow()) {
            break;
        }
        rest = tail;
    }
    tokenizer.end();
    tokenizer.sink.0.into_inner()
}

/// The value of an attribute.
pub fn attribute<'a>(tag: &'a Tag, name: &str) -> Option<&'a str> {
    tag.attrs.iter().find(|attribute| &*attribute.name.local == name).map(|attribute| &*attribute.value)
}

struct Sink<R>(RefCell<R>);

impl<R: Reader> TokenSink for Sink<R> {
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
