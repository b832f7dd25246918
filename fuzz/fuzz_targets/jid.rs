//! Stands in until the JID parser is there: text survives its own bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(text.as_bytes(), data);
    }
});
