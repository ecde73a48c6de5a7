//! What browsers are told: to come over TLS alone, and which other origins' pages may call the API.

use std::sync::Arc;

use poem::{
    Request, Response,
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
            ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, STRICT_TRANSPORT_SECURITY, VARY,
        },
    },
};
use url::{Origin, Url};

/// What a page may send, and read of an answer, beyond what every page may.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const SENT: &str = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id";
const READ: &str = "Content-Disposition, Idempotency-Replayed, Location, Retry-After, X-Request-Id";
/// Seconds for which a browser need not ask again.
const ASKED_FOR: &str = "600";
/// A year.
const TLS_ALONE: &str = "max-age=31536000";
/// Here alone a cookie counts, which binds a sign-in to its browser. Everywhere else a
/// page sends its token itself, so that a cookie of whatever kind would be of no use.
const WITH_COOKIES: &str = "/auth/oidc/";

#[derive(Debug, Clone, Default)]
pub struct Browsers {
    /// As browsers write them.
    origins: Arc<[String]>,
    tls: bool,
}

impl Browsers {
    /// Without origins no page of another origin may call; with a `public_url` of https
    /// browsers are told to come that way alone.
    #[must_use]
    pub fn new(origins: &[Origin], public_url: Option<&Url>) -> Self {
        Self {
            origins: origins.iter().map(Origin::ascii_serialization).collect(),
            tls: public_url.is_some_and(|url| url.scheme() == "https"),
        }
    }

    /// The origin of the page that asks, if it may.
    pub(super) fn guest(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        self.origins.iter().any(|known| known.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }

    /// The answer to a browser that asks for a page whether it may ask.
    pub(super) fn preflight(&self, request: &Request) -> Option<Response> {
        let asks =
            *request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks {
            return None;
        }
        self.guest(request.headers())?;
        let mut response = Response::builder().status(StatusCode::NO_CONTENT).finish();
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(ASKED_FOR));
        Some(response)
    }

    /// Adds to an answer what the browser is to know.
    pub(super) fn tell(&self, guest: Option<HeaderValue>, path: &str, headers: &mut HeaderMap) {
        if self.tls {
            headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(TLS_ALONE));
        }
        if self.origins.is_empty() {
            return;
        }
        // A cache must not give one origin's answer to another.
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = guest else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ));
        if path.starts_with(WITH_COOKIES) {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn browsers(origins: &[&str], public_url: &str) -> Browsers {
        let origins: Vec<_> = origins.iter().map(|origin| Url::parse(origin).unwrap().origin()).collect();
        Browsers::new(&origins, Url::parse(public_url).ok().as_ref())
    }

    fn told(browsers: &Browsers, origin: Option<&str>, path: &str) -> HeaderMap {
        let mut asked = HeaderMap::new();
        asked.extend(origin.map(|origin| (ORIGIN, HeaderValue::from_str(origin).unwrap())));
        let mut headers = HeaderMap::new();
        browsers.tell(browsers.guest(&asked), path, &mut headers);
        headers
    }

    fn preflight(browsers: &Browsers, method: Method, origin: &str, asks: bool) -> Option<Response> {
        let request = Request::builder().method(method).header(ORIGIN, origin);
        let request = if asks { request.header(ACCESS_CONTROL_REQUEST_METHOD, "PUT") } else { request };
        browsers.preflight(&request.finish())
    }

    #[test]
    fn only_an_origin_of_the_list_is_a_guest_to_the_letter() {
        let browsers = browsers(&["https://app.example.com", "http://localhost:3000"], "https://api.example.com");
        for origin in ["https://app.example.com", "http://localhost:3000"] {
            let headers = told(&browsers, Some(origin), "/tasks");
            assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], origin);
            assert_eq!(headers[VARY], "Origin");
            assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS), "a page has its token");
            assert_eq!(told(&browsers, Some(origin), "/auth/oidc/exchange")[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        }
        for origin in [
            None,
            Some("null"),
            Some("https://evil.example"),
            Some("http://app.example.com"),
            Some("https://app.example.com:8443"),
            Some("https://app.example.com.evil.example"),
            Some("https://evil-app.example.com"),
            Some("https://APP.example.com"),
        ] {
            let headers = told(&browsers, origin, "/auth/oidc/exchange");
            assert!(!headers.keys().any(|name| name.as_str().starts_with("access-control")), "{origin:?}: {headers:?}");
            assert_eq!(headers[VARY], "Origin", "a cache must not give a guest's answer to others");
        }
    }

    #[test]
    fn a_browser_that_asks_first_is_answered_for_guests_alone() {
        let browsers = browsers(&["https://app.example.com"], "");
        let answer = preflight(&browsers, Method::OPTIONS, "https://app.example.com", true).unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.headers()[ACCESS_CONTROL_MAX_AGE], ASKED_FOR);
        for sent in ["Authorization", "Idempotency-Key", "Last-Event-ID"] {
            assert!(answer.headers()[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap().contains(sent), "{sent}");
        }
        assert!(preflight(&browsers, Method::OPTIONS, "https://evil.example", true).is_none());
        assert!(preflight(&browsers, Method::OPTIONS, "https://app.example.com", false).is_none());
        assert!(preflight(&browsers, Method::PUT, "https://app.example.com", true).is_none());
    }

    #[test]
    fn without_origins_there_are_no_guests_and_tls_is_asked_for_where_it_is_spoken() {
        let closed = browsers(&[], "https://api.example.com/teamai/");
        let headers = told(&closed, Some("https://api.example.com"), "/tasks");
        assert_eq!(headers.len(), 1, "{headers:?}");
        assert_eq!(headers[STRICT_TRANSPORT_SECURITY], "max-age=31536000");
        assert!(preflight(&closed, Method::OPTIONS, "https://api.example.com", true).is_none());
        for public_url in ["http://localhost:8000", ""] {
            assert!(told(&browsers(&[], public_url), None, "/tasks").is_empty(), "{public_url}");
        }
    }
}
