//! What a site's robots.txt lets us fetch.

use std::time::Duration;

use texting_robots::Robot;

use crate::egress::{self, Request, Response, Url, header};

/// Rules past this size are not read, as the large search engines do.
const MAX_BYTES: usize = 500 * 1024;
/// A longer crawl delay is cut to this, or a site could hold a worker for days.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// The rules of one origin.
pub enum Robots {
    /// There are none, or none that apply.
    Open,
    Rules(Box<Robot>),
    /// The site could not say, so nothing is fetched; with the reason.
    Closed(String),
}

impl Robots {
    /// The request that asks for the rules of the URL's origin.
    #[must_use]
    pub fn request(site: &Url, user_agent: header::HeaderValue, timeout: Duration) -> Option<Request> {
        let mut request = Request::get(site.join("/robots.txt").ok()?).header(header::USER_AGENT, user_agent);
        request.limits = egress::Limits { total: timeout, body_bytes: MAX_BYTES, ..egress::Limits::default() };
        Some(request)
    }

    /// Reads the answer as RFC 9309 has it: 4xx means no rules, 5xx and no answer mean keep out.
    #[must_use]
    pub fn from_answer(answer: &Result<Response, egress::Error>, user_agent: &str) -> Self {
        let response = match answer {
            Ok(response) => response,
            Err(error)
                if matches!(error.kind, egress::ErrorKind::TooLarge(_) | egress::ErrorKind::TooManyRedirects(_)) =>
            {
                return Self::Open;
            }
            Err(error) => return Self::Closed(format!("robots.txt could not be read: {error}")),
        };
        match response.status.as_u16() {
            200..=299 => Self::parse(&response.body, user_agent),
            status @ (429 | 500..=599) => {
                Self::Closed(format!("robots.txt answered HTTP {status}, which means that nothing may be crawled"))
            }
            _ => Self::Open,
        }
    }

    fn parse(body: &[u8], user_agent: &str) -> Self {
        match Robot::new(&product(user_agent), body) {
            Ok(robot) => Self::Rules(Box::new(robot)),
            Err(_) => Self::Closed("robots.txt has rules that cannot be read".to_owned()),
        }
    }

    /// Why the URL may not be fetched, or `None` if it may.
    #[must_use]
    pub fn refusal(&self, url: &Url) -> Option<String> {
        match self {
            Self::Open => None,
            Self::Rules(robot) if robot.allowed(url.as_str()) => None,
            Self::Rules(_) => Some("robots.txt disallows it".to_owned()),
            Self::Closed(why) => Some(why.clone()),
        }
    }

    /// The pause between two requests that the site asks for.
    #[must_use]
    pub fn delay(&self) -> Duration {
        match self {
            Self::Rules(robot) => {
                let seconds = f64::from(robot.delay.unwrap_or(0.0)).clamp(0.0, MAX_DELAY.as_secs_f64());
                Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
            }
            Self::Open | Self::Closed(_) => Duration::ZERO,
        }
    }
}

/// The name that robots.txt groups go by: `TeamAI` of `TeamAI/1.0 (+https://...)`.
fn product(user_agent: &str) -> String {
    let end =
        user_agent.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).unwrap_or(user_agent.len());
    user_agent.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowed(rules: &str, path: &str) -> bool {
        let url = Url::parse("https://example.com").unwrap().join(path).unwrap();
        Robots::parse(rules.as_bytes(), "TeamAI/0.1 (+https://x)").refusal(&url).is_none()
    }

    #[test]
    fn groups_and_the_longest_match() {
        let rules = "User-agent: teamai\nDisallow: /no\nAllow: /no/yes\nUser-agent: *\nDisallow: /";
        assert!(allowed(rules, "/anything"));
        assert!(!allowed(rules, "/no/x"));
        assert!(allowed(rules, "/no/yes"));
        assert!(!allowed("User-agent: *\nDisallow: /*.pdf$", "/a/b.pdf"));
        assert!(allowed("User-agent: *\nDisallow: /*.pdf$", "/a/b.pdf?x"));
        assert!(!allowed("User-agent: other\nuser-agent: *\nDisallow: /a", "/a"));
        assert!(allowed("User-agent: *\nDisallow:", "/a"));
        assert!(allowed("", "/a"));
        assert!(allowed("<!doctype html><h1>Not found</h1>", "/a"), "a page is not rules");
    }

    #[test]
    fn delays_are_capped() {
        let delay = |text: &str| Robots::parse(text.as_bytes(), "TeamAI").delay();
        assert_eq!(delay("User-agent: *\nCrawl-delay: 0.5"), Duration::from_millis(500));
        assert_eq!(delay("User-agent: *\nCrawl-delay: 86400"), MAX_DELAY);
        assert_eq!(delay("User-agent: *\nCrawl-delay: -3"), Duration::ZERO);
        assert_eq!(delay("User-agent: *\nCrawl-delay: soon"), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn never_panics(body: Vec<u8>, path in "(/|\\*|a|%|\\?|é){0,20}") {
            let robots = Robots::parse(&body, "TeamAI");
            if let Ok(url) = Url::parse("https://example.com/").unwrap().join(&path) {
                let _ = (robots.refusal(&url), robots.delay());
            }
        }

        #[test]
        fn rules_never_panic(lines in "((User-agent|Allow|Disallow|Crawl-delay|Sitemap) ?: ?(\\*|/|a|\\$|é|%|NaN|inf|-1){0,8}(\n|\r)?){0,12}") {
            let robots = Robots::parse(lines.as_bytes(), "TeamAI");
            let _ = (robots.refusal(&Url::parse("https://example.com/a$*a").unwrap()), robots.delay());
        }
    }
}
