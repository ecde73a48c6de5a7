//! JSON that is read and written as its text, without a value between.

use std::{fmt, sync::Arc};

use serde_json::value::RawValue;
use sqlx::{
    Decode, Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef},
};

/// What `jsonb` has before its text on the wire.
const VERSION: u8 = 1;

/// A compact JSON text; cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(Arc<String>);

impl JsonText {
    /// # Errors
    /// The value has no JSON.
    pub fn of(value: &impl serde::Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Self::from)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn into_string(self) -> String {
        Arc::unwrap_or_clone(self.0)
    }
}

/// As it is, into JSON alone.
impl serde::Serialize for JsonText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        text.serialize(serializer)
    }
}

impl From<String> for JsonText {
    fn from(text: String) -> Self {
        Self(Arc::new(text))
    }
}

/// Its length alone: it may be long, and a client's.
impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonText({} bytes)", self.0.len())
    }
}

impl Type<Postgres> for JsonText {
    fn type_info() -> PgTypeInfo {
        <serde_json::Value as Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for JsonText {
    fn array_type_info() -> PgTypeInfo {
        <serde_json::Value as PgHasArrayType>::array_type_info()
    }
}

impl Encode<'_, Postgres> for JsonText {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.reserve(self.0.len() + 1);
        buffer.push(VERSION);
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn size_hint(&self) -> usize {
        self.0.len() + 1
    }
}

impl Decode<'_, Postgres> for JsonText {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let bytes = value.as_bytes()?;
        let text = std::str::from_utf8(bytes.strip_prefix(&[VERSION]).unwrap_or(bytes))?;
        Ok(Self::from(compact(text)))
    }
}

/// Without the spaces that Postgres puts after commas and colons.
fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped, mut from) = (false, false, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b' ' if !quoted => {
                out.push_str(text.get(from..at).unwrap_or_default());
                from = at + 1;
            }
            _ => {}
        }
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn spaces_within_texts_stay() {
        let text = r#"{"a b": [1, 2], "c": "x, \\\" y: \\\\", "d": [ ]}"#;
        assert_eq!(compact(text), r#"{"a b":[1,2],"c":"x, \\\" y: \\\\","d":[]}"#);
    }
}
