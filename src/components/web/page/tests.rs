//! Pages as they should be, as they are, and as someone hostile makes them.

use std::time::Instant;

use proptest::prelude::*;

use super::*;

fn page(html: &str) -> Page {
    read(html, &Url::parse("https://example.com/dir/page?x=1").unwrap(), true)
}

#[test]
fn reads_everything_in_its_place() {
    let page = page(
        r#"<!doctype html><html><head><title>
             Fish &amp; Chips </title><title>Second</title>
           <meta name="Description" content=" The  best ">
           <meta name=keywords content="fish, chips"><meta property="og:title" content="no">
           <link rel="alternate canonical" href="/home#top"><style>h1 { color: red }</style></head>
           <body><h1>Caf&eacute; <em>now</em></h1><h2>One</h2><h2>Two</h2>
           <script>document.write("<h1>not this</h1><a href=/no>no</a>")</script>
           <p>foo<b>bar</b> baz</p><p>qux</p>
           <a href="a#x">A</a> <a href="a">again</a> <a href="//other.example/">O</a>
           <a href="mailto:x@y">M</a> <a href="javascript:alert(1)">J</a><area href="/map">
           <img src="i.png" alt="An image"><img src="/j.png" alt=""><img src="k.png">
           </body></html>"#,
    );
    assert_eq!(page.title.as_deref(), Some("Fish & Chips"));
    assert_eq!(page.meta_description.as_deref(), Some("The best"));
    assert_eq!(page.meta_keywords.as_deref(), Some("fish, chips"));
    assert_eq!(page.canonical.as_deref(), Some("https://example.com/home"));
    assert_eq!(page.h1_tags, ["Café now"]);
    assert_eq!(page.h2_tags, ["One", "Two"]);
    assert_eq!(page.links, ["https://example.com/dir/a", "https://other.example/", "https://example.com/map"]);
    assert_eq!(page.images_without_alt, 1);
    assert_eq!(page.images[0], Image { src: "https://example.com/dir/i.png".into(), alt: Some("An image".into()) });
    assert_eq!(page.images[1].alt.as_deref(), Some(""));
    assert_eq!(page.images[2].alt, None);
    // Café now One Two foobar baz qux A again O M J
    assert_eq!(page.word_count, 12);
}

#[test]
fn base_and_robots() {
    let found =
        page(r#"<base href="/b/"><base href="/c/"><meta name=robots content="noindex, NOFOLLOW"><a href=x>x</a>"#);
    assert_eq!(found.links, ["https://example.com/b/x"]);
    assert!(found.nofollow);
    assert!(!page("<meta name=robots content=index>").nofollow);
}

#[test]
fn malformed_pages_give_what_they_have() {
    let found = page("<h1>Open <h2>Next<p>text <a href='/x'>link<title>Late");
    assert_eq!((found.h1_tags, found.h2_tags), (vec!["Open".to_owned()], vec!["Next text link".to_owned()]));
    assert_eq!(found.links, ["https://example.com/x"]);
    assert_eq!(found.title.as_deref(), Some("Late"));
    assert_eq!(page(""), Page::default());
    assert_eq!(page("<a href=http://[bad>x</a>").links, Vec::<String>::new());
    // An svg left open ends where the page goes on.
    let svg = page("<svg><title>icon</title><text>no</text><p>yes</p>");
    assert_eq!((svg.title, svg.word_count), (None, 1));
}

#[test]
fn a_word_across_chunks_is_one_word() {
    let long = format!("<p>{}</p>", "a".repeat(html_tokens::PIECE * 3));
    assert_eq!(page(&long).word_count, 1);
}

#[test]
fn hostile_pages_end_soon() {
    let mut attributes = String::from("<p ");
    for n in 0..150_000 {
        use std::fmt::Write as _;
        let _ = write!(attributes, "a{n} ");
    }
    let pages = [
        "<div>".repeat(100_000),
        "<b><i><table>".repeat(100_000),
        "<svg>".repeat(100_000),
        "<blockquote><ul><li>".repeat(100_000),
        "<h1>".repeat(100_000),
        "<a href=x>".repeat(100_000),
        "<em>x".repeat(100_000),
        attributes,
        format!(
            "<base href='/{}'>{}",
            "b".repeat(3_500),
            (0..100_000).map(|n| format!("<a href={n}>")).collect::<Vec<_>>().concat()
        ),
    ];
    for html in pages {
        let started = Instant::now();
        let weight = page(&html).weight();
        let took = started.elapsed();
        assert!(weight < 2 * MAX_ADDRESSES, "{} weighs {weight}", &html[..20]);
        assert!(took < MAX_PARSE * 3, "{} took {took:?}", &html[..20]);
    }
}

proptest! {
    #[test]
    fn never_panics(html in "(<|>|/|a|h1|title|table|td|li|ul|pre| href=|'|\"|&|#|é|\\PC){0,120}") {
        let _ = page(&html);
    }
}
