//! A scope of an API key, documented with all its values.

use std::borrow::Cow;

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;

use crate::auth::Scope;

/// `tasks:read`, and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScopeName(pub Scope);

const NAME: &str = "Scope";

impl Type for ScopeName {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        NAME.into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(NAME.to_owned())
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(NAME.to_owned(), |_| MetaSchema {
            description: Some("What an API key may be used for."),
            enum_items: Scope::ALL.iter().map(|scope| scope.as_str().into()).collect(),
            ..MetaSchema::new("string")
        });
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for ScopeName {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let value = value.unwrap_or_default();
        let Some(text) = value.as_str() else { return Err(ParseError::expected_type(value)) };
        text.parse().map(Self).map_err(ParseError::custom)
    }
}

impl ToJSON for ScopeName {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.as_str().into())
    }
}
