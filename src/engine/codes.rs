//! Error codes that come back from the database. Codes are `'static` in the program,
//! which wrote them once; each is kept once, and there are not many.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// More distinct codes than this program can have written.
const MOST: usize = 1_000;

/// The code as the program knows it.
#[must_use]
pub fn known(code: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.get(code) {
        return found;
    }
    if known.len() >= MOST {
        return "node_failed";
    }
    let kept: &'static str = Box::leak(code.to_owned().into_boxed_str());
    known.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_code_comes_back_as_it_was_written() {
        let written = format!("http_{}", "status");
        let first = super::known(&written);
        assert_eq!(first, "http_status");
        assert!(std::ptr::eq(first, super::known(&written)), "kept once");
    }
}
