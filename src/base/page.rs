//! One page of a list that goes from the newest to the oldest.

use uuid::Uuid;

/// What a caller asks of a list. Ids are UUIDv7, so that "older" is "smaller":
/// a page stays the same however many rows are added in the meantime.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Items wanted, 1 to 200.
    pub limit: u32,
    /// Only rows older than this one.
    pub before: Option<Uuid>,
}

impl Page {
    /// Rows to ask the database for: one more than wanted tells whether there are older ones.
    #[must_use]
    pub fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Cuts what was fetched to the page.
    #[must_use]
    pub fn cut<T>(&self, mut rows: Vec<T>, id: impl Fn(&T) -> Uuid) -> Paged<T> {
        let limit = self.limit as usize;
        let next = (rows.len() > limit).then(|| rows.get(limit.saturating_sub(1)).map(id)).flatten();
        rows.truncate(limit);
        Paged { items: rows, next }
    }
}

/// A page, and where the next one starts; `None` at the end of the list.
#[derive(Debug, Clone)]
pub struct Paged<T> {
    pub items: Vec<T>,
    pub next: Option<Uuid>,
}

impl<T> Paged<T> {
    pub fn map<U>(self, f: impl Fn(T) -> U) -> Paged<U> {
        Paged { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_row_shown_starts_the_next_page_and_a_full_last_page_has_none() {
        let ids: Vec<Uuid> = (0..3).map(Uuid::from_u128).collect();
        let page = Page { limit: 2, before: None };
        let cut = page.cut(ids.clone(), |id| *id);
        assert_eq!((cut.items.len(), cut.next), (2, Some(ids[1])));
        let cut = page.cut(ids[..2].to_vec(), |id| *id);
        assert_eq!((cut.items.len(), cut.next), (2, None));
    }
}
