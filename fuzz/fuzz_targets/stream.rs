//! A streamed answer, in whatever pieces: it ends in the same way as in one.
//! The first byte picks the protocol, the next two where it is cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use teamai::providers::fuzz;

fuzz_target!(|data: &[u8]| {
    let Some((&[protocol, high, low], body)) = data.split_first_chunk::<3>() else { return };
    let at = usize::from(u16::from_be_bytes([high, low])) % (body.len() + 1);
    let whole = fuzz::stream(protocol, [body]);
    assert_eq!(whole, fuzz::stream(protocol, [&body[..at], &body[at..]]));
    assert_eq!(whole, fuzz::stream(protocol, body.chunks(1)));
});
