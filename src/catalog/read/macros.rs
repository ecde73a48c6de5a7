//! One definition of a mapping for its type, its reader, its defaults and its JSON Schema.

use schemars::Schema;

use super::{Reader, Tree};

/// A mapping of the format. A field is a key; `as "other"` gives the key another
/// name, and `= value` a default. Keys without a default must be given, unless
/// their type says otherwise ([`super::Read::REQUIRED`]).
///
/// Deserialisation is for what the catalogue stored itself, and forgives keys it
/// does not know, so that an older version can read what a newer one wrote.
macro_rules! section {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* $field:ident $(as $key:literal)? : $type:ty $(= $default:expr)? ),+ $(,)?
        }
    )+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(default)]
        #[schemars(deny_unknown_fields, transform = |schema: &mut schemars::Schema| {
            $crate::catalog::read::require(schema, &[$((
                section!(@key $field $($key)?),
                <$type as $crate::catalog::read::Read>::REQUIRED && section!(@default $type $(, $default)?).is_none(),
            )),+]);
        })]
        pub struct $name {
            $( $(#[$field_meta])* $(#[serde(rename = $key)])? pub $field: $type ),+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: section!(@default $type $(, $default)?).unwrap_or_default() ),+ }
            }
        }

        impl $crate::catalog::read::Read for $name {
            fn read<'t>(tree: &'t $crate::catalog::read::Tree, at: &mut $crate::catalog::read::Reader<'t>) -> Self {
                let Some(mut section) = $crate::catalog::read::Section::open(tree, at) else {
                    return Self::default();
                };
                let read = Self {
                    $( $field: section.take(section!(@key $field $($key)?), at, || section!(@default $type $(, $default)?)) ),+
                };
                section.close(at);
                read
            }
        }
    )+};
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@default $type:ty) => { None::<$type> };
    (@default $type:ty, $default:expr) => { Some::<$type>($default) };
}

/// One of a few words.
macro_rules! choice {
    ($( pub enum $name:ident { $first:ident = $first_word:literal $(, $variant:ident = $word:literal)* } )+) => {$(
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        pub enum $name {
            #[default]
            #[serde(rename = $first_word)]
            $first,
            $( #[serde(rename = $word)] $variant ),*
        }

        impl $name {
            const WORDS: &[(&str, Self)] = &[($first_word, Self::$first) $(, ($word, Self::$variant))*];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_word,
                    $( Self::$variant => $word ),*
                }
            }
        }

        impl $crate::catalog::read::Read for $name {
            fn read<'t>(tree: &'t $crate::catalog::read::Tree, at: &mut $crate::catalog::read::Reader<'t>) -> Self {
                $crate::catalog::read::word(tree, at, Self::WORDS)
            }
        }
    )+};
}

pub(in crate::catalog) use {choice, section};

/// The value of the word that stands there.
pub fn word<'t, T: Copy + Default>(tree: &'t Tree, at: &mut Reader<'t>, words: &[(&str, T)]) -> T {
    let Some(found) = super::text(tree, at, 200) else { return T::default() };
    let known = || words.iter().map(|(word, _)| *word);
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == found) {
        return *value;
    }
    let near = super::suggestion(found, known());
    at.refuse(tree, format!("`{found}` is not one of {}{near}", known().collect::<Vec<_>>().join(", ")))
}

/// Corrects what is derived: a key is required if the reader says so, and a
/// stand-in is no default.
pub fn require(schema: &mut Schema, keys: &[(&str, bool)]) {
    let required: Vec<&str> = keys.iter().filter(|(_, required)| *required).map(|(key, _)| *key).collect();
    if let Some(properties) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
        for (key, property) in properties {
            let empty = |value: &serde_json::Value| {
                value.is_null()
                    || value.as_array().is_some_and(Vec::is_empty)
                    || value.as_object().is_some_and(serde_json::Map::is_empty)
            };
            let Some(property) = property.as_object_mut() else { continue };
            if required.contains(&key.as_str()) || property.get("default").is_some_and(empty) {
                property.remove("default");
            }
        }
    }
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
}
