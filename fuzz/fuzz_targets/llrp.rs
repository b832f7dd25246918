//! Whatever an RFID reader sends: it is refused, or what was read, written and read again
//! is the same, in whatever portions it comes.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unused_imports, reason = "the adapter uses more of it")]
#[path = "../../crates/device/src/adapters/llrp/codec/mod.rs"]
mod codec;
#[path = "../../crates/device/src/adapters/llrp/laws.rs"]
mod laws;

fuzz_target!(|input: &[u8]| laws::read_write_read(input));
