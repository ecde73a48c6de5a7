//! The way of a task, hop by hop, as ARCHITECTURE.md follows it.

use std::collections::BTreeSet;

use crate::{
    layers::{document, rows, spelled_out},
    sources::root,
};

/// Files that a leg may have: no more can be kept in mind.
const MOST: usize = 17;

#[test]
fn each_leg_is_short_and_names_each_file_once() {
    let document = document();
    let legs = rows(&document, "### Hop by hop");
    assert_eq!(legs.len(), 6, "{legs:?}");
    let mut entered = BTreeSet::new();
    for leg in legs {
        let files: Vec<String> = leg[2].split('`').skip(1).step_by(2).flat_map(spelled_out).collect();
        assert_eq!(leg[1], files.len().to_string(), "the files of {} are counted wrongly", leg[0]);
        assert!(files.len() <= MOST, "{} has {} files", leg[0], files.len());
        for file in files {
            assert!(root().join(&file).is_file(), "{file} is named in ARCHITECTURE.md and is not there");
            assert!(entered.insert(file.clone()), "{file} stands in two places");
        }
    }
}
