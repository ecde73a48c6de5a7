//! What pages try in an author's own HTML, after templates were rendered.

use std::time::Instant;

use proptest::prelude::*;

use super::*;

const STAYS: [&str; 9] = [
    "<h1 id=\"top\" class=\"a b\">A &amp; B</h1>",
    "<table border=\"1\"><tr><td colspan=\"2\" style=\"color:red;width:50%\">1 &lt; 2</td></tr></table>",
    "<a href=\"https://example.com/?a=1&amp;b=2\" rel=\"noopener nofollow\">x</a>",
    "<a href=\"mailto:a@example.com\" rel=\"noopener nofollow\">x</a>",
    "<a href=\"#top\" rel=\"noopener nofollow\">x</a>",
    "<img src=\"data:image/png;base64,iVBORw0KGgo=\" alt=\"logo\">",
    "<style>@media (max-width: 600px) { td::before { content: \"\\201C\" } }</style>",
    "<details open=\"\"><summary>more</summary><p data-row=\"7\" aria-label=\"x\">y</p></details>",
    "<p lang=\"de\" dir=\"ltr\" title=\"it&#39;s\">tea<br>pot</p>",
];

/// What may not be in the result, by what was written.
const GOES: [(&str, &[&str]); 34] = [
    ("<a href=\"javascript:alert(1)\">x</a>", &["javascript"]),
    ("<a href=\" \x01java\nscript:alert(1)\">x</a>", &["href"]),
    ("<a href=\"&#106;avascript&colon;alert(1)\">x</a>", &["href"]),
    ("<a href=JaVaScRiPt:alert(1)>x</a>", &["href"]),
    ("<a href=\"vbscript:x\">x</a>", &["href"]),
    ("<a href=\"data:text/html,<script>x</script>\">x</a>", &["href"]),
    ("<a href=\"//evil.example\">x</a>", &["href"]),
    ("<a href=\"\\\\evil.example\">x</a>", &["href"]),
    (
        "<a href='https://e.example' onclick='x' ping='https://e.example' target=_top download>x</a>",
        &["onclick", "ping", "target", "download"],
    ),
    ("<a href=x onmouseover=alert(1) style=background:url(//e.example)>x</a>", &["onmouseover", "url("]),
    (
        "<p onclick=\"x\" ONLOAD=x on\u{0}x=1 formaction=javascript:x>y</p>",
        &["onclick", "onload", "on\u{fffd}x", "formaction"],
    ),
    ("<p data-=x data-a\"b=1 aria-<=1 <x>y</p>", &["data-", "aria-", "<x"]),
    ("<img src=x onerror=alert(1)>", &["<img", "onerror"]),
    ("<img src=\"https://e.example/p.png\" alt=\"<b>\">", &["<img", "<b>"]),
    ("<img src=\"data:image/svg+xml,<svg onload=x>\">", &["<img", "<svg"]),
    ("<img src=\"javascript:x\"><image src=x onerror=x>", &["<img", "<image", "href"]),
    ("<script>alert(1)</script ><script src=x></script>", &["script", "alert"]),
    ("<scr<script>ipt>alert(1)</script>", &["<"]),
    ("<SCRIPT/x>alert(1)//</SCRIPT>", &["script", "alert"]),
    ("<svg><script>alert(1)</script><a xlink:href=javascript:x>y</a></svg>", &["<", "alert", "javascript"]),
    ("<math><mtext><style><img src=x onerror=y></style></mtext></math>", &["<"]),
    ("<iframe srcdoc='<script>x</script>'></iframe><object data=x></object><embed src=x>", &["<"]),
    (
        "<meta http-equiv=refresh content='0;url=https://e.example'><base href=//e.example><link rel=stylesheet href=//e>",
        &["<"],
    ),
    ("<form action=javascript:x><button formaction=y>z</button><input autofocus onfocus=x></form>", &["<"]),
    ("<style>@import '//e.example'; p { background: URL(//e.example) } </style>", &["@import", "url(", "URL("]),
    ("<style>p { background: u\\72l(//e.example); b: image-set('//e.example' 1x) }</style>", &["e.example"]),
    ("<p style=\"background:\\75\nrl(//e.example)\">x</p>", &["e.example"]),
    ("<style>x</style><script>alert(1)</script>", &["script", "alert"]),
    ("<style><!--</style><script>alert(1)</script>-->", &["<script", "alert"]),
    ("<noscript><p title=\"</noscript><img src=x onerror=y>\"></noscript>", &["<img", "onerror=y>\""]),
    ("<xmp><p title=\"</xmp><img src=x onerror=y>\"></xmp>", &["<img"]),
    ("<textarea><img title=\"</textarea><img src=x onerror=y>\">", &["<img"]),
    ("<template><script>x</script></template><!--><script>alert(1)</script>-->", &["<script", "<!--"]),
    ("<plaintext><script>alert(1)</script>", &["<"]),
];

#[test]
fn what_an_author_shows_stays_as_it_is() {
    for html in STAYS {
        assert_eq!(part(html).unwrap(), html);
    }
    let whole = "<!DOCTYPE html>\n<HTML lang=de onload=x><head><meta charset=utf-8><title>A &amp; <b></title>\
                 <style>p{color:red}</style></head><body class=x onload=y><p>z</body></html>";
    let made = document(whole).unwrap();
    let (head, rest) = made.split_once(POLICY).unwrap();
    assert_eq!(head, "<!doctype html>\n<html lang=\"de\">\n<head>\n<meta charset=\"utf-8\">\n");
    let expected =
        "<title>A &amp; &lt;b&gt;</title><style>p{color:red}</style></head><body class=\"x\"><p>z</body></html>";
    assert_eq!(rest.trim(), expected);
}

#[test]
fn what_runs_or_loads_goes() {
    for (html, signs) in GOES {
        for made in [part(html).unwrap(), document(&format!("<html><body>{html}")).unwrap().replace(POLICY, "")] {
            let body = made.split_once("<body>").map_or(made.as_str(), |(_, body)| body);
            for sign in signs {
                assert!(!body.contains(sign), "{sign:?} in {body:?}, of {html:?}");
            }
        }
    }
    assert_eq!(
        part("<img src='https://e.example/p.png' alt=' a chart '>").unwrap(),
        "<a href=\"https://e.example/p.png\" rel=\"noopener nofollow\">a chart</a>"
    );
    assert_eq!(part("<form>a<custom-x>b</custom-x></form>").unwrap(), "ab", "texts stay");
}

#[test]
fn what_takes_long_or_becomes_long_is_refused() {
    let many: String = (0..300_000_u32).flat_map(|n| ["a".to_owned(), n.to_string(), " ".to_owned()]).collect();
    let started = Instant::now();
    assert!(part(&format!("<p {many}>")).unwrap_err().contains("takes more than"));
    assert!(started.elapsed() < apart::END * 3, "{:?}", started.elapsed());
    assert!(part(&">".repeat(LONGEST / 3)).unwrap_err().contains("longer than"));
    assert!(part(&"<b><p>".repeat(200_000)).is_ok(), "depth costs nothing");
}

/// The tags that a browser reads, as far as it reads tokens: no element here changes how.
#[derive(Default)]
struct Tags {
    names: Vec<String>,
    starts: Vec<Tag>,
}

impl html_tokens::Reader for Tags {
    fn start(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        self.names.push(tag.name.to_string());
        self.starts.push(tag.clone());
        match &*tag.name {
            "style" => TokenSinkResult::RawData(RawKind::Rawtext),
            "title" => TokenSinkResult::RawData(RawKind::Rcdata),
            _ => TokenSinkResult::Continue,
        }
    }

    fn end(&mut self, name: &str) {
        self.names.push(name.to_owned());
    }

    fn text(&mut self, _text: &str) {}
}

proptest! {
    #[test]
    fn nothing_of_a_soup_runs(text in "(<|</|>|/|=|\"|'|`| |\n|\u{0}|&#58;|&lt;|<!--|-->|<!|\\]\\]>|<!\\[CDATA\\[|a|p|img|svg|math|style|title|script|template|noscript|textarea|select|html|body|head|href|src|style|onload|java|script:|url\\(|\\\\75 rl\\(|@import|data:image/png;|https://e){0,40}") {
        for made in [part(&text).unwrap(), document(&text).unwrap()] {
            let tags = html_tokens::read(&made.replace(POLICY, ""), Tags::default(), |_| true);
            for name in &tags.names {
                prop_assert!(allowed::element(name) || ["html", "head", "body", "title", "style", "meta"].contains(&&**name), "{made}");
            }
            for tag in &tags.starts {
                for attribute in &tag.attrs {
                    let name = &*attribute.name.local;
                    prop_assert!(!name.starts_with("on") && name != "http-equiv", "{made}");
                    prop_assert!(name != "href" || super::super::prose::is_safe(&attribute.value), "{made}");
                    prop_assert!(name != "src" || allowed::is_picture(&attribute.value), "{made}");
                    prop_assert!(name != "style" || !attribute.value.contains("url("), "{made}");
                }
            }
        }
    }
}
