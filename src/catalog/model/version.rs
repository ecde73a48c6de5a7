//! Versions of recipes: semantic versioning with two or three numbers.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::catalog::read::{Kind, Read, Reader, Tree};

/// A version as it was written, and what it means. `1.0` and `1.0.0` are equal.
#[derive(Debug, Clone)]
pub struct Version {
    written: String,
    meaning: semver::Version,
}

const REMEDY: &str = "is not a version: write two or three numbers and, if it is a pre-release, its name, such as 1.0, \
                      1.2.0 or 1.1.0-beta";

impl Version {
    /// # Errors
    /// Says how a version is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` {REMEDY}");
        let (numbers, rest) = text.split_at(text.find('-').unwrap_or(text.len()));
        let third = if numbers.matches('.').count() == 1 { ".0" } else { "" };
        let meaning = semver::Version::parse(&format!("{numbers}{third}{rest}")).map_err(|_| refuse())?;
        if text.len() > 64 || !meaning.build.is_empty() {
            return Err(refuse());
        }
        Ok(Self { written: text.to_owned(), meaning })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    #[must_use]
    pub fn is_prerelease(&self) -> bool {
        !self.meaning.pre.is_empty()
    }

    /// A text whose byte order is the order of versions: numbers padded, and a
    /// release (`~`) after its pre-releases (`-`).
    #[must_use]
    pub fn sort_key(&self) -> String {
        use std::fmt::Write;
        let v = &self.meaning;
        let mut key = format!("{:020}.{:020}.{:020}", v.major, v.minor, v.patch);
        if v.pre.is_empty() {
            key.push('~');
            return key;
        }
        key.push('-');
        for identifier in v.pre.split('.') {
            // The space ends an identifier below every character it may hold, and
            // numbers come before words.
            let written = if identifier.bytes().all(|b| b.is_ascii_digit()) {
                write!(key, "0{identifier:0>64} ")
            } else {
                write!(key, "1{identifier} ")
            };
            debug_assert!(written.is_ok(), "a String takes everything");
        }
        key
    }

    /// `1.0.0` gives `1.0.1`, a pre-release `1.1.0-beta` gives `1.1.0-beta.1`, then `1.1.0-beta.2`.
    #[must_use]
    pub fn next(&self) -> Self {
        let mut meaning = self.meaning.clone();
        if meaning.pre.is_empty() {
            meaning.patch = meaning.patch.saturating_add(1);
        } else {
            let pre = self.meaning.pre.as_str();
            let raised = match pre.rsplit_once('.').map(|(head, last)| (head, last.parse::<u64>())) {
                Some((head, Ok(number))) => format!("{head}.{}", number.saturating_add(1)),
                _ => format!("{pre}.1"),
            };
            // Of the same characters as the one before, so it is always one.
            meaning.pre = semver::Prerelease::new(&raised).unwrap_or_else(|_| meaning.pre.clone());
        }
        Self { written: meaning.to_string(), meaning }
    }
}

impl Default for Version {
    /// Stands in for a version that could not be read.
    fn default() -> Self {
        Self { written: "0.0.0".to_owned(), meaning: semver::Version::new(0, 0, 0) }
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.meaning == other.meaning
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.meaning.cmp(&other.meaning)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.written)
    }
}

impl Read for Version {
    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        match &tree.kind {
            Kind::Text(raw) | Kind::Number(_, raw) => {
                Self::parse(raw).unwrap_or_else(|message| at.refuse(tree, message))
            }
            _ => at.refuse(tree, format!("{} {REMEDY}", tree.describe())),
        }
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Version {
    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A semantic version of two or three numbers: 1.0, 1.2.0, 1.1.0-beta",
            "type": ["string", "number"],
            "maxLength": 64,
            "pattern": r"^(0|[1-9]\d*)(\.(0|[1-9]\d*)){1,2}(-[0-9A-Za-z.-]+)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn two_numbers_are_three() {
        assert_eq!(version("1.0"), version("1.0.0"));
        assert_eq!(version("1.0-rc.1"), version("1.0.0-rc.1"));
        assert_eq!(version("1.10").as_str(), "1.10");
        for bad in ["1", "1.0.0.0", "v1.0", "1.0.0+build", "01.0.0", "1.0.0-", "", "latest"] {
            assert!(Version::parse(bad).unwrap_err().contains("1.2.0"), "{bad}");
        }
    }

    #[test]
    fn the_next_version_is_later_and_as_stable() {
        for (from, to) in
            [("1.0.0", "1.0.1"), ("1.2", "1.2.1"), ("1.1.0-beta", "1.1.0-beta.1"), ("1.0.0-rc.9", "1.0.0-rc.10")]
        {
            assert_eq!(version(from).next().as_str(), to);
            assert!(version(from).next() > version(from));
        }
    }

    proptest::proptest! {
        #[test]
        fn sort_keys_order_as_versions_do(
            a in "[0-9]{1,2}\\.(0|[1-9][0-9]?)\\.[0-9](-([a-b][a-c-]?|[1-9][0-9]?)(\\.([a-b]|[1-9]))?)?",
            b in "[0-9]{1,2}\\.(0|[1-9][0-9]?)\\.[0-9](-([a-b][a-c-]?|[1-9][0-9]?)(\\.([a-b]|[1-9]))?)?",
        ) {
            if let (Ok(a), Ok(b)) = (Version::parse(&a), Version::parse(&b)) {
                proptest::prop_assert_eq!(a.cmp(&b), a.sort_key().cmp(&b.sort_key()));
            }
        }
    }
}
