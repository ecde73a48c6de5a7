//! `/docs`: Swagger UI as one page, under a policy that lets its own scripts and style run and
//! nothing else.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use poem::{
    Endpoint, IntoResponse, Response,
    endpoint::make_sync,
    http::{HeaderValue, header},
};
use sha2::{Digest, Sha256};

/// The page of the framework as it is. Its policy names what is written into it by hash, so
/// that whatever else gets there, from a description or a fault of the framework, stays text.
pub fn page(html: String) -> impl Endpoint<Output = Response> + 'static {
    let (policy, html) = (policy(&html), Bytes::from(html));
    make_sync(move |_| {
        // One copy for all answers.
        let mut response = html.clone().with_content_type("text/html; charset=utf-8").into_response();
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    })
}

fn policy(html: &str) -> String {
    format!(
        "default-src 'none'; script-src{}; style-src{}; img-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hashes(html, "script"),
        hashes(html, "style")
    )
}

/// The text of each of these elements, as a policy names it. It ends at the first closing tag,
/// as in a browser: what stands in it looks like tags in places.
fn hashes(html: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}"), format!("</{element}>"));
    let mut sources = String::new();
    let mut rest = html;
    while let Some((_, tag)) = rest.split_once(&open) {
        let Some((text, after)) = tag.split_once('>').and_then(|(_, inner)| inner.split_once(&close)) else { break };
        sources.push_str(" 'sha256-");
        sources.push_str(&BASE64_STANDARD.encode(Sha256::digest(text)));
        sources.push('\'');
        rest = after;
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_styles_are_named_by_hash_and_nothing_else_is_allowed() {
        let policy = policy("<style a>b</style><script x>y('<script')</script><p><script>z</script>");
        for (name, texts) in [("script-src", ["y('<script')", "z"].as_slice()), ("style-src", &["b"])] {
            let hashes: Vec<_> = texts.iter().map(|text| BASE64_STANDARD.encode(Sha256::digest(text))).collect();
            assert!(policy.contains(&format!("{name} 'sha256-{}';", hashes.join("' 'sha256-"))), "{policy}");
        }
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
}
