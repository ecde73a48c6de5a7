//! The rules of a redirect: where it goes, and what may go with it.

use reqwest::{
    Method, StatusCode, Url,
    header::{
        AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, PROXY_AUTHORIZATION,
    },
};

use super::request::Request;

/// The address that a redirect points to; `None` if this is not a redirect that can be followed.
pub fn target(status: StatusCode, headers: &HeaderMap, base: &Url) -> Option<Url> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = headers.get(LOCATION)?;
    let location = std::str::from_utf8(location.as_bytes()).ok()?;
    let mut next = base.join(location.trim()).ok()?;
    // The fragment of the address that was asked for stays, as in browsers.
    if next.fragment().is_none() {
        next.set_fragment(base.fragment());
    }
    Some(next)
}

/// Turns the request into the one that follows the redirect.
pub fn follow(request: &mut Request, status: StatusCode, to: Url) {
    let drops_body = match status.as_u16() {
        303 => request.method != Method::HEAD,
        301 | 302 => request.method == Method::POST,
        _ => false,
    };
    if drops_body {
        if request.method != Method::HEAD {
            request.method = Method::GET;
        }
        request.body.clear();
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
            request.headers.remove(name);
        }
    }
    if request.url.origin() != to.origin() {
        drop_credentials(&mut request.headers);
    }
    request.url = to;
}

fn drop_credentials(headers: &mut HeaderMap) {
    for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
        headers.remove(name);
    }
    let secret: Vec<_> =
        headers.iter().filter(|(_, value)| value.is_sensitive()).map(|(name, _)| name.clone()).collect();
    for name in secret {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn post() -> Request {
        let mut request = Request::new(Method::POST, Url::parse("https://a.example/x").unwrap());
        request.body = "{}".into();
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer k"));
        let mut key = HeaderValue::from_static("k");
        key.set_sensitive(true);
        request.headers.insert("x-api-key", key);
        request.headers.insert(COOKIE, HeaderValue::from_static("session=k"));
        request.headers.insert(PROXY_AUTHORIZATION, HeaderValue::from_static("Basic k"));
        request.headers.insert("x-plain", HeaderValue::from_static("p"));
        request
    }

    #[test]
    fn method_and_body() {
        for (status, method, keeps) in
            [(301, "GET", false), (302, "GET", false), (303, "GET", false), (307, "POST", true), (308, "POST", true)]
        {
            let mut request = post();
            follow(&mut request, StatusCode::from_u16(status).unwrap(), Url::parse("https://a.example/y").unwrap());
            assert_eq!(request.method.as_str(), method, "{status}");
            assert_eq!(!request.body.is_empty(), keeps, "{status}");
            assert_eq!(request.headers.contains_key(CONTENT_TYPE), keeps, "{status}");
        }
        let mut head = Request::new(Method::HEAD, Url::parse("https://a.example/x").unwrap());
        follow(&mut head, StatusCode::SEE_OTHER, Url::parse("https://a.example/y").unwrap());
        assert_eq!(head.method, Method::HEAD);
        let mut put = post();
        put.method = Method::PUT;
        follow(&mut put, StatusCode::FOUND, Url::parse("https://a.example/y").unwrap());
        assert_eq!((put.method.as_str(), put.body.is_empty()), ("PUT", false));
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        for (to, keeps) in [
            ("https://a.example/y", true),
            ("https://a.example:443/y", true),
            ("https://b.example/y", false),
            ("http://a.example/y", false),
            ("https://a.example:8443/y", false),
        ] {
            let mut request = post();
            follow(&mut request, StatusCode::TEMPORARY_REDIRECT, Url::parse(to).unwrap());
            assert_eq!(request.headers.contains_key(AUTHORIZATION), keeps, "{to}");
            for name in ["x-api-key", "cookie", "proxy-authorization"] {
                assert_eq!(request.headers.contains_key(name), keeps, "{name} to {to}");
            }
            assert!(request.headers.contains_key("x-plain"), "{to}");
        }
    }

    #[test]
    fn finds_the_target() {
        let base = Url::parse("https://a.example/dir/page?q#part").unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(target(StatusCode::FOUND, &headers, &base), None);
        for (location, expected) in [
            ("/y", "https://a.example/y#part"),
            ("z", "https://a.example/dir/z#part"),
            ("//b.example/#top", "https://b.example/#top"),
            (" https://c.example/ ", "https://c.example/#part"),
        ] {
            headers.insert(LOCATION, HeaderValue::from_str(location).unwrap());
            assert_eq!(target(StatusCode::FOUND, &headers, &base).unwrap().as_str(), expected);
            assert_eq!(target(StatusCode::NOT_MODIFIED, &headers, &base), None);
        }
    }
}
