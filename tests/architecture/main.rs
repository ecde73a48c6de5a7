//! Holds ARCHITECTURE.md, and the house rules that a compiler cannot hold, against the sources.

#![expect(clippy::unwrap_used, reason = "a source that cannot be read fails the test")]

mod circles;
mod hops;
mod layers;
mod rules;
mod sources;

use std::fmt::Write;

use layers::{Layers, document, files_with_sql};

#[test]
fn the_sources_keep_the_rules() {
    let mut violations = String::new();
    let (document, files) = (document(), sources::all());
    let (layers, with_sql) = (Layers::read(&document), files_with_sql(&document));
    for (path, text) in &files {
        for violation in rules::check(&layers, &with_sql, path, text) {
            writeln!(violations, "  {violation}").unwrap();
        }
    }
    assert!(files.len() > 20, "only {} files were found", files.len());
    assert!(violations.is_empty(), "the architecture is broken:\n{violations}");
}
