//! Blocks to one HTML file that needs nothing else and runs nothing.

use std::fmt::Write as _;

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd};

use super::{
    blocks::Block,
    escape::{ENTITIES, escape},
    harmless::{self, POLICY},
    prose::is_safe,
};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2128}\
h1,h2,h3,h4{line-height:1.2;margin-top:2rem}h2{border-bottom:1px solid #d0d7de;padding-bottom:.25rem}\
table{border-collapse:collapse;display:block;overflow-x:auto;font-size:.9rem}\
th,td{border:1px solid #d0d7de;padding:.3rem .6rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
th{background:#f6f8fa}dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem}dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}\
pre{background:#f6f8fa;padding:1rem;overflow-x:auto}footer{margin-top:3rem;color:#59636e;font-size:.85rem}\
@media print{body{margin:0;max-width:none}}";

pub fn document(title: &str, blocks: &[Block], now: &str) -> String {
    let mut body = format!("<h1>{}</h1>\n", escape_once(title));
    for block in blocks {
        write_block(block, &mut body);
    }
    frame(title, &body, now)
}

/// A template's own document, or a part in a document of ours. Nothing in either runs or loads.
///
/// # Errors
/// As [`harmless::document`].
pub fn page(title: &str, template: &str, now: &str) -> Result<String, String> {
    if harmless::is_document(template) {
        return harmless::document(template);
    }
    Ok(frame(title, &harmless::part(template)?, now))
}

fn frame(title: &str, body: &str, now: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{POLICY}\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n{body}\n<footer>Generated {}</footer>\n</body>\n</html>\n",
        escape_once(title),
        escape(now)
    )
}

fn write_block(block: &Block, out: &mut String) {
    let _ = match block {
        Block::Heading { level, text } => writeln!(out, "<h{level}>{}</h{level}>", escape(text)),
        Block::Text(text) => writeln!(out, "{}", prose(text)),
        Block::Facts(facts) => {
            out.push_str("<dl>\n");
            for (name, value) in facts {
                let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escape(name), linked(value));
            }
            writeln!(out, "</dl>")
        }
        Block::Table { columns, rows, more } => {
            out.push_str("<table>\n<thead><tr>");
            write_each(columns, "<th>", escape, "</th>", out);
            out.push_str("</tr></thead>\n<tbody>\n");
            for row in rows {
                out.push_str("<tr>");
                write_each(row, "<td>", linked, "</td>", out);
                out.push_str("</tr>\n");
            }
            out.push_str("</tbody>\n</table>\n");
            write_more(*more, "rows", out)
        }
        Block::List { items, more } => {
            out.push_str("<ul>\n");
            write_each(items, "<li>", linked, "</li>\n", out);
            out.push_str("</ul>\n");
            write_more(*more, "items", out)
        }
        Block::Code(code) => writeln!(out, "<pre><code>{}</code></pre>", escape(code)),
    };
}

fn write_each(texts: &[String], open: &str, render: fn(&str) -> String, close: &str, out: &mut String) {
    for text in texts {
        out.push_str(open);
        out.push_str(&render(text));
        out.push_str(close);
    }
}

fn write_more(more: usize, what: &str, out: &mut String) -> std::fmt::Result {
    if more > 0 { writeln!(out, "<p>and {more} more {what}</p>") } else { Ok(()) }
}

/// Markdown to HTML. Raw HTML in it is shown as text; images, which would call
/// home when the report is opened, become links; links lead to the web only.
fn prose(text: &str) -> String {
    let parser = Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH);
    let events = parser.map(|event| match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Event::Start(link(dest_url)),
        Event::End(TagEnd::Image) => Event::End(TagEnd::Link),
        other => other,
    });
    let mut out = String::with_capacity(text.len() * 2);
    pulldown_cmark::html::push_html(&mut out, events);
    out
}

fn link(target: CowStr<'_>) -> Tag<'_> {
    let dest_url = if is_safe(&target) { target } else { CowStr::Borrowed("#") };
    Tag::Link { link_type: LinkType::Inline, dest_url, title: CowStr::Borrowed(""), id: CowStr::Borrowed("") }
}

/// Text, as a link if it is an address.
fn linked(text: &str) -> String {
    let escaped = escape(text);
    let is_address =
        (text.starts_with("https://") || text.starts_with("http://")) && !text.contains(char::is_whitespace);
    if is_address { format!("<a href=\"{escaped}\" rel=\"noopener nofollow\">{escaped}</a>") } else { escaped }
}

/// For text of which parts may be escaped already: the recipe's own words are
/// not, the values put into them are.
fn escape_once(text: &str) -> String {
    let mut escaped = escape(text);
    for (entity, _) in ENTITIES {
        escaped = escaped.replace(&format!("&amp;{entity}"), &format!("&{entity}"));
    }
    escaped
}
