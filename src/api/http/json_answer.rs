//! JSON answers with values that are JSON already: they are written as they are, and not made
//! into values for it, which are many times larger.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use poem::{IntoResponse, Response};
use poem_openapi::{
    ApiResponse,
    payload::{Json, Payload},
    registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry},
    types::{Any, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::problem::Problem;
use crate::db::JsonText;

/// As [`Json`], written by `Serialize`.
#[derive(Debug)]
pub struct JsonAnswer<T>(pub T);

impl<T: Type> Payload for JsonAnswer<T> {
    const CONTENT_TYPE: &'static str = Json::<T>::CONTENT_TYPE;

    fn check_content_type(content_type: &str) -> bool {
        Json::<T>::check_content_type(content_type)
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Serialize + Send> IntoResponse for JsonAnswer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(text) => Response::builder().content_type("application/json; charset=utf-8").body(text),
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

impl<T: Type> ApiResponse for JsonAnswer<T> {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "",
                status: Some(200),
                status_range: None,
                content: vec![MetaMediaType { content_type: Self::CONTENT_TYPE, schema: Self::schema_ref() }],
                headers: vec![],
            }],
        }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// Any JSON value, as a text.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct AnyJson(pub JsonText);

impl Type for AnyJson {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        Any::<Value>::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        Any::<Value>::schema_ref()
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for AnyJson {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        Ok(Self(value.unwrap_or_default().to_string().into()))
    }
}

impl ToJSON for AnyJson {
    fn to_json(&self) -> Option<Value> {
        serde_json::from_str(self.0.as_str()).ok()
    }
}

/// A time as every answer shows it.
pub fn time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, false))
}

/// The same where there may be none.
#[expect(clippy::ref_option, reason = "as serde calls it")]
pub fn time_if_any<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => time(at, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, poem_openapi::Object)]
    struct Shown {
        value: AnyJson,
        none: Option<AnyJson>,
        #[serde(serialize_with = "time")]
        at: DateTime<Utc>,
        #[serde(serialize_with = "time_if_any")]
        never: Option<DateTime<Utc>>,
    }

    #[test]
    fn an_answer_is_what_the_framework_would_write() {
        let at = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        let shown = Shown { value: AnyJson(r#"{"b":[1,"x y"]}"#.to_owned().into()), none: None, at, never: None };
        assert_eq!(Some(serde_json::to_value(&shown).unwrap()), shown.to_json());
        let text = serde_json::to_string(&shown).unwrap();
        assert!(text.contains(r#""value":{"b":[1,"x y"]}"#), "{text}");
    }
}
