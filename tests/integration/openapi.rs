//! The committed specification is the one that the program serves.

use serde_json::Value;

#[test]
fn the_committed_specification_is_current() {
    let committed = include_str!("../../docs/openapi.json");
    let committed: Value = serde_json::from_str(committed).expect("docs/openapi.json is JSON");
    let served: Value = serde_json::from_str(&teamai::api::spec()).expect("the specification is JSON");
    assert!(committed == served, "docs/openapi.json is out of date: run `make openapi` and commit it");
}
