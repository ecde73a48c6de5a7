//! What a provider answers: read into a completion or an error that keeps the key.
//! The first byte picks the protocol, the next two the status.

#![no_main]

use libfuzzer_sys::fuzz_target;
use teamai::providers::fuzz;

fuzz_target!(|data: &[u8]| {
    let Some((&[protocol, high, low], body)) = data.split_first_chunk::<3>() else { return };
    let status = 200 + (u16::from_be_bytes([high, low]) % 400);
    if let Some(message) = fuzz::answer(protocol, status, body) {
        assert!(!message.contains(fuzz::KEY), "{message}");
    }
});
