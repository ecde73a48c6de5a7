//! Reports from nodes and from templates, and what hostile pages try with them.

use pulldown_cmark::{Event, Options, Parser, Tag};
use serde_json::{Map, Value, json};

use super::ReportGenerator;
use crate::components::{Component as _, ComponentError, Escaping, testing::World};

fn world(nodes: Value) -> World {
    let mut world = World::allowing(&[]);
    if let Value::Object(nodes) = nodes {
        world.nodes = nodes.into_iter().map(|(name, value)| (name, value.into())).collect();
    }
    world
}

async fn report(nodes: Value, config: Value) -> Result<Value, ComponentError> {
    world(nodes).run(&ReportGenerator, config).await
}

async fn text(nodes: Value, config: Value) -> String {
    report(nodes, config).await.unwrap()["output"].as_str().unwrap().to_owned()
}

fn crawl() -> Value {
    json!({
        "crawl": {
            "base_url": "https://example.com/",
            "total_pages": 2,
            "broken_links": [],
            "pages": [
                {"url": "https://example.com/", "title": "Home | <b>Best</b>\nshop", "links": ["a", "b", "c", "d"], "images_without_alt": 1},
                {"url": "https://example.com/x", "title": null, "links": [], "images_without_alt": 0}
            ]
        },
        "summary": {"content": "## Findings\n\nTwo pages, <script>alert(1)</script> and [x](javascript:alert(1)).\n\n![t](https://evil.example/t.png)", "model": "m"}
    })
}

#[tokio::test]
async fn markdown_from_nodes() {
    let output = report(crawl(), json!({"title": "Audit of [site]"})).await.unwrap();
    assert_eq!(output["content_type"], "text/markdown; charset=utf-8");
    assert_eq!(output["filename"], "audit-of-site.md");
    let text = output["output"].as_str().unwrap();
    assert!(text.starts_with("# Audit of \\[site\\]\n\n## Crawl\n"), "{text}");
    assert!(text.contains("- **Total pages:** 2\n"), "{text}");
    assert!(text.contains("- **Broken links:** none\n"), "{text}");
    assert!(text.contains("### Pages\n\n| Url | Title |"), "{text}");
    assert!(text.contains("| https://example.com/ | Home \\| &lt;b&gt;Best&lt;/b&gt; shop |"), "{text}");
    assert!(text.contains("4 items"), "{text}");
    assert!(text.contains("## Findings"), "prose keeps its Markdown: {text}");
    assert!(!text.contains("<script") && text.contains("\\[x](javascript:"), "{text}");
    assert!(text.ends_with("Generated 2026-01-02T03:04:05Z\n"), "{text}");
}

#[tokio::test]
async fn html_from_nodes() {
    let output = report(crawl(), json!({"format": "HTML", "title": "A & B &lt;i&gt;"})).await.unwrap();
    assert_eq!(output["filename"], "a-b-i.html");
    let text = output["output"].as_str().unwrap();
    assert!(text.starts_with("<!doctype html>"), "{text}");
    assert!(text.contains("<title>A &amp; B &lt;i&gt;</title>"), "escaped once: {text}");
    assert!(text.contains("<td>Home | &lt;b&gt;Best&lt;/b&gt;\nshop</td>"), "{text}");
    assert!(text.contains("<a href=\"https://example.com/x\""), "{text}");
    assert!(text.contains("<h2>Findings</h2>") && text.contains("&lt;script&gt;"), "{text}");
    assert!(!text.contains("<script") && !text.contains("javascript:") && !text.contains("<img"), "{text}");
}

#[tokio::test]
async fn nothing_breaks_out_of_the_page() {
    for hostile in [
        "<img src=x onerror=alert(1)>",
        "\"><svg onload=alert(1)>",
        "<a href=\"javascript:x\">",
        "<!-- ",
        "```\n<script>",
        "https://x/\"onmouseover=\"alert(1)",
        "[x]( JaVaScRiPt:alert(1))",
        "<https://x/><script>x</script>",
        "[a]: javascript:x\n\n[a]",
        "data:text/html,<script>",
    ] {
        let nodes = json!({"n": {"long": format!("{hostile}\nsecond line"), "short": hostile, "list": [hostile], "rows": [{"a": hostile}], hostile: 1}, hostile: 1});
        let html = text(nodes.clone(), json!({"format": "html", "title": hostile})).await;
        let lower = html.to_ascii_lowercase();
        for tag in ["<script", "<img", "<svg", "<!-- ", "x/\"onmouseover=\"alert(1)\" rel"] {
            assert!(!lower.contains(tag), "{hostile} gave {tag}: {html}");
        }
        for link in lower.split("<a href=\"").skip(1) {
            assert!(["https://", "#\""].iter().any(|start| link.starts_with(start)), "{hostile} gave {link}");
        }
        let markdown = text(nodes, json!({"title": hostile})).await;
        for event in Parser::new_ext(&markdown, Options::ENABLE_TABLES) {
            match event {
                Event::Html(raw) | Event::InlineHtml(raw) => panic!("{hostile} gave {raw}: {markdown}"),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    assert!(super::prose::is_safe(&dest_url), "{hostile} gave {dest_url}: {markdown}");
                }
                _ => {}
            }
        }
        assert!(markdown.contains("\n### Rows\n"), "{hostile} swallowed the rest: {markdown}");
    }
}

#[tokio::test]
async fn sections_are_chosen_in_order() {
    let chosen = text(crawl(), json!({"include_sections": ["summary", "crawl.pages", "nothing"]})).await;
    let at = |what: &str| chosen.find(what).unwrap_or_else(|| panic!("{what}: {chosen}"));
    assert!(at("## Summary") < at("## Crawl pages") && at("## Crawl pages") < at("## Nothing\n\nNo finished step"));
    assert!(!chosen.contains("Total pages"));
    let error = report(crawl(), json!({"include_sections": ["x", "y"]})).await.unwrap_err();
    assert_eq!(error.field.as_deref(), Some("config.include_sections"));
    assert!(error.message.contains("crawl, summary"), "{error}");
}

#[tokio::test]
async fn json_is_json() {
    let output = report(crawl(), json!({"format": "json", "title": "T"})).await.unwrap();
    assert_eq!(
        (output["content_type"].as_str(), output["filename"].as_str()),
        (Some("application/json"), Some("t.json"))
    );
    let parsed: Value = serde_json::from_str(output["output"].as_str().unwrap()).unwrap();
    assert_eq!((&parsed["title"], &parsed["sections"]["crawl"]["total_pages"]), (&json!("T"), &json!(2)));
    assert_eq!(text(json!({}), json!({"format": "json", "template": {"a": 1}})).await, "{\n  \"a\": 1\n}");
    assert_eq!(text(json!({}), json!({"format": "json", "template": "[1]"})).await, "[\n  1\n]");
    let error = report(json!({}), json!({"format": "json", "template": "not json"})).await.unwrap_err();
    assert_eq!(error.field.as_deref(), Some("config.template"));
}

#[tokio::test]
async fn templates_are_data_by_now() {
    assert_eq!(text(crawl(), json!({"template": "# {{ 7*7 }}"})).await, "# {{ 7*7 }}");
    let page = text(crawl(), json!({"format": "html", "template": "<p>x</p>", "title": "<T>"})).await;
    assert!(page.contains("<title>&lt;T&gt;</title>") && page.contains("<body>\n<p>x</p>\n"), "{page}");
    let own = "<!DOCTYPE html><html><body>x</body></html>";
    let page = text(crawl(), json!({"format": "html", "template": own})).await;
    assert!(page.starts_with("<!doctype html>\n<html>\n<head>\n") && page.ends_with("<body>x</body></html>"), "{page}");
    let error = report(crawl(), json!({"template": ["x"]})).await.unwrap_err();
    assert_eq!(error.field.as_deref(), Some("config.template"));
}

/// The title arrives escaped, as all that a template writes into HTML.
#[tokio::test]
async fn a_file_is_named_for_the_title_as_it_is_read() {
    for (title, name) in [
        ("Bed &amp; Breakfast", "bed-breakfast.html"),
        ("Bed & Breakfast", "bed-breakfast.html"),
        ("Ann&#x27;s &lt;b&gt; &quot;1&#x2f;2&quot; &#39;x&#39;", "ann-s-b-1-2-x.html"),
        ("the amp; and the quot;", "the-amp-and-the-quot.html"),
        ("&amp;lt;", "lt.html"),
        ("&amp;&lt;", "report.html"),
    ] {
        let output = report(crawl(), json!({"format": "html", "title": title})).await.unwrap();
        assert_eq!(output["filename"], name, "{title}");
    }
}

#[tokio::test]
async fn bad_formats_are_named() {
    let error = report(json!({}), json!({"format": "pdf"})).await.unwrap_err();
    assert!(error.message.contains("pdf is not offered yet; use markdown, html or json"), "{error}");
    let error = report(json!({}), json!({"format": "docx"})).await.unwrap_err();
    assert_eq!((error.field.as_deref(), error.message.contains("docx")), (Some("config.format"), true));
    assert_eq!(report(json!({}), json!({"formats": 1})).await.unwrap_err().field.as_deref(), Some("config.formats"));
}

#[test]
fn escaping_is_on_unless_it_is_certainly_not_html() {
    let escaping = |config: Value| ReportGenerator.escaping(config.as_object().unwrap_or(&Map::new()));
    assert_eq!(escaping(json!({})), Escaping::None);
    assert_eq!(escaping(json!({"format": "markdown"})), Escaping::None);
    assert_eq!(escaping(json!({"format": " Html "})), Escaping::Html);
    assert_eq!(escaping(json!({"format": "{{ inputs.format }}"})), Escaping::Html);
    assert_eq!(escaping(json!({"format": ["html"]})), Escaping::Html);
}
