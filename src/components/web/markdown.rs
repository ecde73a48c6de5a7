//! A page's tokens to Markdown: headings, lists, links, emphasis, code, quotes, tables.

use std::fmt::Write as _;

use crate::egress::Url;

/// Lists and quotes deeper than this are written at this depth.
const MAX_DEPTH: usize = 8;
/// Open links and emphasis that are remembered; more is not a real page.
const MAX_OPEN: usize = 32;
const MAX_COLUMNS: usize = 64;

/// Takes tokens in order and writes blocks. Never looks back further than the
/// current block, so that its time is linear in the page.
pub struct Markdown {
    base: Url,
    out: String,
    /// Text of the current block, or of the current table cell.
    block: String,
    /// `## ` or `- `, in front of the next block.
    marker: String,
    /// Links and emphasis open in the block, with the position where each began.
    open: Vec<Open>,
    /// For each open list the next number; `None` for bullets.
    lists: Vec<Option<u32>>,
    quotes: usize,
    pre: bool,
    table: Option<Table>,
}

struct Open {
    tag: &'static str,
    at: usize,
    href: String,
}

#[derive(Default)]
struct Table {
    rows: Vec<Vec<String>>,
    /// Tables within a cell are written as its text.
    inner: usize,
}

impl Markdown {
    pub fn new(base: Url) -> Self {
        Self {
            base,
            out: String::new(),
            block: String::new(),
            marker: String::new(),
            open: Vec::new(),
            lists: Vec::new(),
            quotes: 0,
            pre: false,
            table: None,
        }
    }

    pub fn rebase(&mut self, base: Url) {
        self.base = base;
    }

    pub fn start<'a>(&mut self, name: &str, attribute: impl Fn(&str) -> Option<&'a str>) {
        if let Some(tag) = span(name) {
            let href = if tag == "a" { attribute("href").and_then(|href| self.link(href)) } else { None };
            if self.open.len() < MAX_OPEN && !self.pre && (tag != "a" || href.is_some()) {
                self.open.push(Open { tag, at: self.block.len(), href: href.unwrap_or_default() });
            }
            return;
        }
        match name {
            "br" => self.block.push_str(if self.table.is_some() { " " } else { "\n" }),
            "img" => self.image(attribute("alt"), attribute("src")),
            "td" | "th" | "tr" | "table" => self.table_start(name),
            _ if self.table.is_some() => self.space(),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.heading(name),
            "ul" | "ol" => {
                self.flush();
                self.lists.push((name == "ol").then_some(1));
            }
            "li" => self.item(),
            "blockquote" => {
                self.flush();
                self.quotes += 1;
            }
            "pre" => {
                self.flush();
                self.pre = true;
            }
            "hr" => {
                self.flush();
                self.write_block("---");
            }
            _ if is_block(name) => self.flush(),
            _ => {}
        }
    }

    pub fn end(&mut self, name: &str) {
        if let Some(tag) = span(name) {
            self.close_span(tag);
            return;
        }
        match name {
            "td" | "th" | "tr" | "table" => self.table_end(name),
            _ if self.table.is_some() => self.space(),
            "ul" | "ol" => {
                self.flush();
                self.lists.pop();
                self.marker.clear();
            }
            "blockquote" => {
                self.flush();
                self.quotes = self.quotes.saturating_sub(1);
            }
            "pre" => {
                self.flush();
                self.pre = false;
            }
            _ if is_block(name) || heading_level(name).is_some() => self.flush(),
            _ => {}
        }
    }

    pub fn text(&mut self, text: &str) {
        if self.pre {
            self.block.push_str(text);
            return;
        }
        for c in text.chars() {
            if c.is_whitespace() {
                self.space();
            } else {
                if matches!(c, '\\' | '*' | '`' | '[' | ']' | '<') || (c == '|' && self.table.is_some()) {
                    self.block.push('\\');
                }
                self.block.push(c);
            }
        }
    }

    pub fn finish(mut self) -> String {
        if self.table.is_some() {
            self.write_table();
        }
        self.flush();
        self.out.truncate(self.out.trim_end().len());
        self.out
    }

    fn space(&mut self) {
        if !self.block.is_empty() && !self.block.ends_with([' ', '\n']) {
            self.block.push(' ');
        }
    }

    fn link(&self, href: &str) -> Option<String> {
        let url = self.base.join(href.trim()).ok()?;
        matches!(url.scheme(), "http" | "https" | "mailto" | "tel").then(|| target(&url))
    }

    fn image(&mut self, alt: Option<&str>, src: Option<&str>) {
        let src = src.and_then(|src| self.base.join(src.trim()).ok()).filter(|url| url.scheme().starts_with("http"));
        if let (Some(src), false) = (src, self.pre) {
            let alt = alt.unwrap_or_default().replace(['[', ']', '\n', '\\'], " ");
            let _ = write!(self.block, "![{}]({})", alt.trim(), target(&src));
        }
    }

    fn heading(&mut self, name: &str) {
        self.flush();
        self.marker = "#".repeat(heading_level(name).unwrap_or(1)) + " ";
    }

    fn item(&mut self) {
        self.flush();
        self.marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                let marker = format!("{number}. ");
                *number += 1;
                marker
            }
            _ => "- ".to_owned(),
        };
    }

    /// Wraps what was written since the element began.
    fn close_span(&mut self, tag: &str) {
        let Some(index) = self.open.iter().rposition(|open| open.tag == tag) else { return };
        let Open { at, href, .. } = self.open.remove(index);
        let inner = self.block.get(at..).unwrap_or_default();
        let text = inner.trim().to_owned();
        if text.is_empty() || (text.contains('\n') && tag != "a") {
            return;
        }
        let (lead, tail) = (inner.starts_with([' ', '\n']), inner.ends_with([' ', '\n']));
        self.block.truncate(at);
        if lead {
            self.space();
        }
        let _ = match tag {
            "a" => write!(self.block, "[{}]({href})", text.replace('\n', " ")),
            "`" => write!(self.block, "`{}`", text.replace('\\', "")),
            mark => write!(self.block, "{mark}{text}{mark}"),
        };
        if tail {
            self.space();
        }
    }

    /// Ends the current block and writes it.
    fn flush(&mut self) {
        self.open.clear();
        let block = std::mem::take(&mut self.block);
        if self.pre {
            if !block.trim().is_empty() {
                let fence = if block.contains("```") { "~~~~" } else { "```" };
                self.write_block(&format!("{fence}\n{}\n{fence}", block.trim_matches('\n')));
            }
        } else if !block.trim().is_empty() {
            self.write_block(block.trim());
        }
    }

    fn write_block(&mut self, text: &str) {
        let marker = std::mem::take(&mut self.marker);
        let is_item = !marker.is_empty() && !marker.starts_with('#');
        let depth = self.lists.len().min(MAX_DEPTH);
        let quote = "> ".repeat(self.quotes.min(MAX_DEPTH));
        let outer = "  ".repeat(if is_item { depth.saturating_sub(1) } else { depth });
        if is_item && self.out.ends_with("\n\n") && depth > 0 && self.in_list() {
            self.out.pop();
        }
        for (n, line) in text.lines().enumerate() {
            let hang = if n > 0 && is_item { "  " } else { "" };
            let marker = if n == 0 { marker.as_str() } else { "" };
            let _ = writeln!(self.out, "{quote}{outer}{hang}{marker}{}", line.trim_end());
        }
        self.out.push('\n');
    }

    /// Whether the last line written belongs to a list.
    fn in_list(&self) -> bool {
        let last = self.out.trim_end().rsplit('\n').next().unwrap_or_default().trim_start_matches(['>', ' ']);
        last.starts_with("- ") || last.split_once(". ").is_some_and(|(n, _)| n.bytes().all(|b| b.is_ascii_digit()))
    }

    fn table_start(&mut self, name: &str) {
        match (&mut self.table, name) {
            (None, "table") => {
                self.flush();
                self.table = Some(Table::default());
            }
            (Some(table), "table") => table.inner += 1,
            (Some(Table { inner: 0, rows }), "tr") => rows.push(Vec::new()),
            (Some(Table { inner: 0, rows }), _) => {
                if rows.is_empty() {
                    rows.push(Vec::new());
                }
                self.close_cell();
            }
            _ => {}
        }
    }

    fn table_end(&mut self, name: &str) {
        match (&mut self.table, name) {
            (Some(Table { inner: 0, .. }), "table") => {
                self.close_cell();
                self.write_table();
            }
            (Some(table), "table") => table.inner -= 1,
            (Some(Table { inner: 0, .. }), "td" | "th") => {
                let text = self.cell_text();
                if let Some(row) = self.table.as_mut().and_then(|table| table.rows.last_mut())
                    && row.len() < MAX_COLUMNS
                {
                    row.push(text);
                }
            }
            (Some(Table { inner: 0, .. }), _) => self.close_cell(),
            (Some(_), _) => self.space(),
            (None, _) => self.flush(),
        }
    }

    /// A cell or caption that was left open: its text is kept if there is any.
    fn close_cell(&mut self) {
        let text = self.cell_text();
        if !text.is_empty()
            && let Some(row) = self.table.as_mut().and_then(|table| table.rows.last_mut())
            && row.len() < MAX_COLUMNS
        {
            row.push(text);
        }
    }

    fn cell_text(&mut self) -> String {
        self.open.clear();
        std::mem::take(&mut self.block).trim().replace('\n', " ")
    }

    fn write_table(&mut self) {
        let Some(mut table) = self.table.take() else { return };
        table.rows.retain(|row| !row.is_empty());
        let columns = table.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut text = String::new();
        for (n, row) in table.rows.iter_mut().enumerate() {
            row.resize(columns, String::new());
            let _ = writeln!(text, "| {} |", row.join(" | "));
            if n == 0 {
                let _ = writeln!(text, "|{}", " --- |".repeat(columns));
            }
        }
        if !text.is_empty() {
            self.write_block(text.trim_end());
        }
    }
}

/// A URL as a link's target: nothing in it can end the link.
fn target(url: &Url) -> String {
    url.as_str().replace('(', "%28").replace(')', "%29")
}

fn span(name: &str) -> Option<&'static str> {
    match name {
        "a" => Some("a"),
        "b" | "strong" => Some("**"),
        "i" | "em" => Some("*"),
        "code" | "kbd" | "samp" => Some("`"),
        _ => None,
    }
}

fn heading_level(name: &str) -> Option<usize> {
    name.strip_prefix('h').and_then(|level| level.parse().ok()).filter(|level| (1..=6).contains(level))
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "p" | "div"
            | "section"
            | "article"
            | "header"
            | "footer"
            | "main"
            | "nav"
            | "aside"
            | "figure"
            | "figcaption"
            | "form"
            | "fieldset"
            | "address"
            | "dl"
            | "dt"
            | "dd"
            | "li"
            | "body"
            | "html"
            | "head"
            | "title"
            | "details"
            | "summary"
            | "caption"
            | "option"
            | "button"
            | "label"
            | "center"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn markdown(html: &str) -> String {
        crate::components::web::page::read(html, &Url::parse("https://example.com/a/").unwrap(), true).markdown
    }

    #[test]
    fn blocks_and_spans() {
        assert_eq!(
            markdown("<title>T</title><h1>Head</h1><p>One <b>two </b>three<br>four <code>a_b</code></p><hr><p>Last"),
            "# Head\n\nOne **two** three\nfour `a_b`\n\n---\n\nLast"
        );
        assert_eq!(
            markdown(r#"<p><a href="b (1)">a link</a> <img src=i.png alt="[x]"> <a href="javascript:x">no</a></p>"#),
            "[a link](https://example.com/a/b%20%281%29) ![x](https://example.com/a/i.png) no"
        );
        assert_eq!(markdown("<p>2 * 3 [x] &lt;b&gt; <em></em>"), "2 \\* 3 \\[x\\] \\<b>");
    }

    #[test]
    fn lists_nest() {
        assert_eq!(
            markdown("<p>Intro<ul><li>a<li>b<ol><li>one</li><li>two</li></ol></li><li><p>c</p></li></ul><p>end"),
            "Intro\n\n- a\n- b\n  1. one\n  2. two\n- c\n\nend"
        );
    }

    #[test]
    fn quotes_and_code() {
        assert_eq!(markdown("<blockquote><p>said</p></blockquote><p>x"), "> said\n\nx");
        assert_eq!(markdown("<pre><code>fn a() {\n  b * c\n}</code></pre>"), "```\nfn a() {\n  b * c\n}\n```");
    }

    #[test]
    fn tables() {
        assert_eq!(
            markdown("<table><tr><th>A<th>B</tr><tr><td>1 | x<td><p>2</p></td></tr><tr><td></td><td>3</table><p>after"),
            "| A | B |\n| --- | --- |\n| 1 \\| x | 2 |\n|  | 3 |\n\nafter"
        );
    }

    #[test]
    fn scripts_and_styles_are_left_out() {
        assert_eq!(
            markdown("<style>p{}</style><p>seen</p><script>hidden()</script><svg><text>no</text></svg>"),
            "seen"
        );
    }
}
