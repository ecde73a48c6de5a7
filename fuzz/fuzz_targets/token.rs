//! Bearer tokens: whatever is sent, only what we signed is believed.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use teamai::auth::fuzz::Door;

static DOOR: LazyLock<Door> = LazyLock::new(|| Door::new().expect("a key can be made"));

fuzz_target!(|token: &str| {
    assert!(!DOOR.opens(token), "{token}");
    // A header of the fuzzer's own before a payload and a signature of ours.
    assert!(!DOOR.opens_with_header(token), "{token}");
});
