//! Names of things: slugs, names usable in templates, titles, references to secrets.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    base::SecretHost,
    catalog::read::{Read, Reader, Tree, text},
};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident { max: $max:expr, pattern: $pattern:expr, valid: $valid:expr, remedy: $remedy:expr })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// # Errors
            /// Says what such a name must look like.
            pub fn parse(text: &str) -> Result<Self, String> {
                if text.chars().count() <= $max && $valid(text) { Ok(Self(text.to_owned())) } else { Err(format!("`{text}` {}", $remedy)) }
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether this only stands in for a name that could not be read.
            #[must_use]
            pub fn is_missing(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Read for $name {
            fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
                match text(tree, at, 5_000).map(Self::parse) {
                    Some(Ok(name)) => name,
                    Some(Err(message)) => at.refuse(tree, message),
                    None => Self::default(),
                }
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "minLength": 1, "maxLength": $max, "pattern": $pattern})
            }
        }
    )+};
}

names! {
    /// Names a recipe or a cookbook: `site-audit`.
    Slug {
        max: 100,
        pattern: "^[a-z0-9][a-z0-9._-]*$",
        valid: |text: &str| starts(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c)),
        remedy: "is not a valid slug: use at most 100 of a-z, 0-9, `.`, `_` and `-`, starting with a letter or digit"
    }
    /// Names a node or an input; templates can say it: `fetch_pages`.
    ItemName {
        max: 64,
        pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
        valid: |text: &str| starts(text, |c| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
        remedy: "cannot be named in a template: use at most 64 letters, digits and `_`, not starting with a digit (write `fetch_pages` for `fetch-pages`)"
    }
    /// A name for people, on one line.
    Title {
        max: 200,
        pattern: r"\S",
        valid: |text: &str| !text.trim().is_empty() && !text.chars().any(char::is_control),
        remedy: "is not a valid name: use 1 to 200 characters on one line"
    }
}

fn starts(text: &str, good: impl Fn(char) -> bool) -> bool {
    text.chars().next().is_some_and(good)
}

/// `secret:NAME` or `secret:team:NAME`: a key of the locker, never its value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretRef {
    scope: SecretScope,
    key_name: String,
}

/// Where a secret is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecretScope {
    /// The agent's team first, then the agency.
    #[default]
    TeamThenAgency,
    TeamOnly,
}

impl SecretRef {
    /// # Errors
    /// Says what a reference looks like. The text is not repeated: it may be a key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let reference = text.strip_prefix("secret:").map(|rest| match rest.strip_prefix("team:") {
            Some(name) => (SecretScope::TeamOnly, name),
            None => (SecretScope::TeamThenAgency, rest),
        });
        match reference {
            Some((scope, name)) if is_key_name(name) => Ok(Self { scope, key_name: name.to_owned() }),
            _ => Err(
                "is not a reference to a secret: write `secret:NAME` or `secret:team:NAME`, NAME being 1 to 100 of \
                      a-z, 0-9, `_`, `.` and `-`; store the value itself in the locker (PUT /secrets/NAME)"
                    .to_owned(),
            ),
        }
    }

    #[must_use]
    pub fn scope(&self) -> SecretScope {
        self.scope
    }

    #[must_use]
    pub fn key_name(&self) -> &str {
        &self.key_name
    }
}

/// Whether the locker can hold a secret of this name.
#[must_use]
pub fn is_key_name(name: &str) -> bool {
    name.len() <= 100
        && starts(name, |c| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c))
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scope = if self.scope == SecretScope::TeamOnly { "team:" } else { "" };
        write!(f, "secret:{scope}{}", self.key_name)
    }
}

impl Serialize for SecretRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Read for SecretRef {
    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        match text(tree, at, 5_000).map(Self::parse) {
            Some(Ok(reference)) => reference,
            Some(Err(message)) => at.refuse(tree, message),
            None => Self::default(),
        }
    }
}

impl Read for SecretHost {
    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        match text(tree, at, 255).map(Self::parse) {
            Some(Ok(host)) => host,
            Some(Err(message)) => at.refuse(tree, message),
            None => Self::default(),
        }
    }
}

impl JsonSchema for SecretRef {
    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^secret:(team:)?[a-z0-9][a-z0-9_.-]{0,99}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_and_names_are_told_apart() {
        assert!(Slug::parse("seo-specialist-v1").is_ok());
        for bad in ["", "-a", "A", "a b", &"a".repeat(101)] {
            assert!(Slug::parse(bad).is_err(), "{bad}");
        }
        assert!(ItemName::parse("fetch_pages2").is_ok());
        for bad in ["fetch-pages", "2x", "", "a.b"] {
            assert!(ItemName::parse(bad).is_err(), "{bad}");
        }
        assert!(Title::parse("  ").is_err());
    }

    #[test]
    fn secret_references_round_trip_and_never_echo() {
        for good in ["secret:semrush_api_key", "secret:team:x.y-z"] {
            assert_eq!(SecretRef::parse(good).unwrap().to_string(), good);
        }
        assert_eq!(SecretRef::parse("secret:team:a").unwrap().scope(), SecretScope::TeamOnly);
        for bad in ["sk-live-12345", "secret:", "secret:agency:x", "secret:UPPER", "secret:team:"] {
            let message = SecretRef::parse(bad).unwrap_err();
            assert!(!message.contains("12345") && message.contains("secret:NAME"), "{bad}");
        }
    }
}
