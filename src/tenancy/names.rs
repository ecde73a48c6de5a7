//! Names and e-mail addresses, parsed at the edge.

/// Why a text is not a name, an address or a configuration; says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl From<Invalid> for String {
    fn from(invalid: Invalid) -> Self {
        invalid.0
    }
}

/// A name that people gave something: trimmed, 1 to 200 characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// # Errors
    /// Empty, too long, or with control characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let name = text.trim();
        match name.chars().count() {
            0 => Err(Invalid("must not be empty".into())),
            201.. => Err(Invalid("must have at most 200 characters".into())),
            _ if name.chars().any(char::is_control) => Err(Invalid("must not contain control characters".into())),
            _ => Ok(Self(name.to_owned())),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An e-mail address in lower case. Whether it exists, only a message to it can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// # Errors
    /// Not of the form `name@host.tld`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let email = text.trim().to_lowercase();
        let (local, host) = email
            .rsplit_once('@')
            .ok_or_else(|| Invalid("must be an e-mail address, such as ana@example.com".into()))?;
        let host_fits = host.contains('.') && host.split('.').all(is_host_label);
        let local_fits = (1..=64).contains(&local.len())
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && local.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c));
        if !local_fits || !host_fits || email.len() > 254 {
            return Err(Invalid("must be an e-mail address, such as ana@example.com".into()));
        }
        Ok(Self(email))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_host_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(Name::parse("  Acme \n").unwrap().as_str(), "Acme");
        assert!(Name::parse(" \t ").is_err());
        assert!(Name::parse(&"ä".repeat(200)).is_ok());
        assert!(Name::parse(&"ä".repeat(201)).is_err());
        assert!(Name::parse("a\u{0}b").is_err());
    }

    #[test]
    fn addresses_are_lower_case() {
        assert_eq!(Email::parse(" Ana.B+x@Example.COM ").unwrap().as_str(), "ana.b+x@example.com");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "ana",
            "@example.com",
            "ana@",
            "ana@example",
            "a b@example.com",
            "ana@-x.com",
            "ana@x..com",
            ".a@x.com",
            "a..b@x.com",
            "a@b@x.com,c@d.e",
            "ana@exa mple.com",
            "a\u{0}@x.com",
        ] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
        assert!(Email::parse(&format!("{}@x.com", "a".repeat(65))).is_err());
    }
}
