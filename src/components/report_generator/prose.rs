//! Markdown from outside: it keeps its form, its HTML becomes text, and its links lead to the web.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Text that was HTML is read as Markdown afterwards and can hold links, and so
/// on; what is not clean after this many rounds loses its markup altogether.
const MAX_ROUNDS: usize = 6;
/// Stands for what comes after the text in the report.
const AFTER: char = '\u{e000}';

/// The text with everything in it made harmless that a renderer would run or load as HTML.
#[must_use]
pub fn disarmed(text: &str) -> String {
    let mut text = text.replace(AFTER, "");
    for _ in 0..MAX_ROUNDS {
        let edits = edits(&text);
        if edits.is_empty() {
            return closed(text);
        }
        text = apply(&text, &edits);
    }
    closed(text.replace('<', "&lt;").replace('[', "\\["))
}

/// Whether a link may lead there.
#[must_use]
pub fn is_safe(target: &str) -> bool {
    let lower = target.trim().to_ascii_lowercase();
    ["https://", "http://", "mailto:", "#"].iter().any(|start| lower.starts_with(start))
        || (!lower.is_empty() && !lower.contains([':', '\\']) && !lower.starts_with("//"))
}

fn parse(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH)
}

/// Where a `<` must become text (true), or a `[` be escaped (false).
fn edits(text: &str) -> Vec<(usize, bool)> {
    let mut edits = Vec::new();
    for (event, range) in parse(text).into_offset_iter() {
        let source = text.get(range.clone()).unwrap_or_default();
        match event {
            Event::Html(_) | Event::InlineHtml(_) => {
                edits.extend(source.match_indices('<').map(|(at, _)| (range.start + at, true)));
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) if !is_safe(&dest_url) => {
                let sign = source.char_indices().find(|(_, c)| matches!(c, '<' | '['));
                edits.extend(sign.map(|(at, c)| (range.start + at, c == '<')));
            }
            _ => {}
        }
    }
    edits.sort_unstable();
    edits.dedup();
    edits
}

fn apply(text: &str, edits: &[(usize, bool)]) -> String {
    let mut out = String::with_capacity(text.len() + edits.len() * 4);
    let mut done = 0;
    for (at, is_html) in edits {
        out.push_str(text.get(done..*at).unwrap_or_default());
        out.push_str(if *is_html { "&lt;" } else { "\\[" });
        done = at + 1;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// Ends a code block that was left open: it would swallow the rest of the report.
fn closed(mut text: String) -> String {
    let probe = format!("{text}\n\n{AFTER}");
    let mut fence = None;
    for (event, range) in parse(&probe).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => fence = probe.get(range),
            Event::End(TagEnd::CodeBlock) => fence = None,
            Event::Text(inner) if inner.contains(AFTER) => break,
            _ => {}
        }
    }
    if let Some(opening) = fence.map(str::trim_start) {
        let sign = if opening.starts_with('~') { '~' } else { '`' };
        let length = opening.chars().take_while(|c| *c == sign).count();
        text.push('\n');
        text.extend(std::iter::repeat_n(sign, length));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn form_stays_and_html_goes() {
        for text in [
            "## Head\n\n- a\n- **b**",
            "the data: here [1] and [x](https://e.com) `<b>`",
            "```html\n<title>x</title>\n```",
        ] {
            assert_eq!(disarmed(text), text);
        }
        assert_eq!(disarmed("a <b>x</b>"), "a &lt;b>x&lt;/b>");
        assert_eq!(disarmed("[x](javascript:y)"), "\\[x](javascript:y)");
        assert_eq!(disarmed("[x](java&#115;cript:y)"), "\\[x](java&#115;cript:y)");
        assert_eq!(disarmed("    ```\n<script>x</script>"), "    ```\n&lt;script>x&lt;/script>");
    }

    #[test]
    fn an_open_fence_is_closed() {
        assert_eq!(disarmed("```\n<b>"), "```\n<b>\n```");
        assert_eq!(disarmed("~~~~\nx"), "~~~~\nx\n~~~~");
        assert_eq!(disarmed("- ```\n  x"), "- ```\n  x", "a list ends its own");
        assert_eq!(disarmed("```\nx\n```"), "```\nx\n```");
    }

    proptest! {
        #[test]
        fn nothing_runs(text in "(<|>|!|\\[|\\]|\\(|\\)|:|\"|`|```|~~~|\n|\n\n| |    |- |a|https://a|javascript:|<script>|<!--|-->|</|\\\\|&#58;){0,24}") {
            let report = format!("{}\n\nafter {AFTER}", disarmed(&text));
            let mut in_code = false;
            for event in parse(&report) {
                match event {
                    Event::Html(raw) | Event::InlineHtml(raw) => prop_assert!(false, "{raw} in {report}"),
                    Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => prop_assert!(is_safe(&dest_url), "{dest_url} in {report}"),
                    Event::Start(Tag::CodeBlock(_)) => in_code = true,
                    Event::End(TagEnd::CodeBlock) => in_code = false,
                    Event::Text(inner) if inner.contains(AFTER) => prop_assert!(!in_code, "swallowed: {report}"),
                    _ => {}
                }
            }
        }
    }
}
