//! Where a sign-in may return to: this installation and the operator's list, nowhere else.

use url::{Origin, Url};

use super::OidcError;
use crate::tenancy::Invalid;

/// The cookie holds it, and cookies are small.
const MAX_CHARS: usize = 500;

#[derive(Debug)]
pub struct ReturnTo {
    own: Url,
    others: Vec<Origin>,
}

impl ReturnTo {
    pub fn new(own: &Url, others: &[Origin]) -> Self {
        Self { own: own.clone(), others: others.to_vec() }
    }

    /// A path of this installation, or an address under an origin of the list.
    pub fn parse(&self, text: &str) -> Result<Url, OidcError> {
        let refused = || {
            OidcError::ReturnTo(Invalid(format!(
                "must be a path of this installation, as in /console, or an address under an origin that the operator \
                 put into TEAMAI_AUTH__RETURN_ORIGINS; without fragment, at most {MAX_CHARS} characters"
            )))
        };
        // Browsers read some of these as something else.
        let strange = |c: char| c == '\\' || c.is_whitespace() || c.is_control();
        if text.chars().count() > MAX_CHARS || text.contains(strange) || text.starts_with("//") {
            return Err(refused());
        }
        let url = if text.starts_with('/') { self.own.join(text) } else { Url::parse(text) };
        let url = url.map_err(|_| refused())?;
        let known = url.origin() == self.own.origin() || self.others.contains(&url.origin());
        let plain = ["http", "https"].contains(&url.scheme())
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none();
        if known && plain { Ok(url) } else { Err(refused()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<String> {
        let other = Url::parse("https://app.example.com").unwrap().origin();
        let return_to = ReturnTo::new(&Url::parse("https://teamai.example.com/x/").unwrap(), &[other]);
        return_to.parse(text).ok().map(String::from)
    }

    #[test]
    fn paths_and_known_origins_are_taken() {
        for (text, url) in [
            ("/console", "https://teamai.example.com/console"),
            ("/console?tab=1", "https://teamai.example.com/console?tab=1"),
            ("/", "https://teamai.example.com/"),
            ("https://teamai.example.com/a", "https://teamai.example.com/a"),
            ("https://app.example.com", "https://app.example.com/"),
            ("/a/../b", "https://teamai.example.com/b"),
            ("/.//evil.example", "https://teamai.example.com//evil.example"),
        ] {
            assert_eq!(parse(text).as_deref(), Some(url));
        }
    }

    #[test]
    fn nothing_leads_elsewhere() {
        for text in [
            "",
            "console",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " https://teamai.example.com/",
            "https://evil.example/",
            "https:evil.example",
            "http://teamai.example.com/",
            "http://app.example.com/",
            "https://app.example.com:444/",
            "https://app.example.com.evil.example/",
            "https://teamai.example.com@evil.example/",
            "https://user@app.example.com/",
            "javascript:alert(1)",
            "data:text/html,x",
            "/console#code=mine",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("/{}", "x".repeat(500))), None);
    }
}
