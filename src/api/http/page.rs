//! Lists: `?limit=` and `?cursor=` in, `items` and `next_cursor` out.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use poem_openapi::{
    Object,
    param::Query,
    types::{ParseFromJSON, ToJSON, Type},
};
use serde::Serialize;
use uuid::Uuid;

use super::problem::{Problem, Result};
use crate::base::{Page, Paged};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;
/// What is wrong with a cursor.
pub const NOT_OF_THIS_LIST: &str = "must be the next_cursor of a page of this list";

/// One page of a list, newest first.
#[derive(Debug, Object, Serialize)]
pub struct Listing<T: Type + ParseFromJSON + ToJSON> {
    pub items: Vec<T>,
    /// For `?cursor=`; null at the end of the list.
    pub next_cursor: Option<String>,
}

impl<T: Type + ParseFromJSON + ToJSON> Listing<T> {
    pub fn of<U>(paged: Paged<U>) -> Self
    where
        T: From<U>,
    {
        let next_cursor = paged.next.map(|id| URL_SAFE_NO_PAD.encode(id.as_bytes()));
        Self { items: paged.items.into_iter().map(T::from).collect(), next_cursor }
    }
}

/// Parses the two query parameters that every list takes.
///
/// # Errors
/// 422 for a limit out of range or a cursor that no list gave.
#[expect(clippy::needless_pass_by_value, reason = "takes the extractors as a handler has them")]
pub fn page(limit: Query<Option<u32>>, cursor: Query<Option<String>>) -> Result<Page> {
    let limit = limit.0.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid("limit", format!("must be between 1 and {MAX_LIMIT}")));
    }
    let before = cursor.0.map(|cursor| decode(&cursor)).transpose()?;
    Ok(Page { limit, before })
}

fn decode(cursor: &str) -> Result<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok()).ok_or_else(|| Problem::invalid("cursor", NOT_OF_THIS_LIST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let id = Uuid::from_u128(7);
        let listing = Listing::<String>::of(Paged { items: vec!["a".to_owned()], next: Some(id) });
        assert_eq!(page(Query(Some(1)), Query(listing.next_cursor)).unwrap().before, Some(id));
    }

    #[test]
    fn limits_and_cursors_out_of_range_are_named() {
        for limit in [0, 201] {
            assert!(page(Query(Some(limit)), Query(None)).is_err());
        }
        assert_eq!(page(Query(None), Query(None)).unwrap().limit, 50);
        for cursor in ["", "x", "!!", "AAAA"] {
            let problem = page(Query(None), Query(Some(cursor.to_owned()))).unwrap_err();
            assert!(problem.to_string().contains("next_cursor"), "{cursor}");
        }
    }
}
