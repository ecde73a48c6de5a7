//! Recipes and cookbooks as anyone may POST them: a report or a plan, never a panic.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use teamai::catalog::{Plan, check, template::Escape};

fuzz_target!(|text: &str| {
    let _ = check::cookbook(text);
    if let Ok(checked) = check::recipe(text, &|_| true) {
        // What the validator lets through has a plan.
        Plan::new(Arc::clone(&checked.recipe), &|_| Escape::None).expect("a valid recipe has a plan");
        // Reading is a function of the text alone.
        let again = check::recipe(text, &|_| true).expect("valid once, valid twice");
        assert_eq!(checked.content_hash, again.content_hash);
    }
});
