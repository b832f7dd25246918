//! The laws of LLRP on the wire. The property tests and the fuzz target `llrp` look for a
//! counterexample.

use super::codec::{Cutter, Message};

/// The largest message that is tried.
const LARGEST: usize = 1 << 16;

/// Whatever bytes a reader sends: they are refused, or each message written and read again
/// is the same; and it is the same in whatever portions they come.
pub(super) fn read_write_read(input: &[u8]) {
    let whole = messages(input, input.len().max(1));
    assert_eq!(whole, messages(input, 1), "portions do not matter");
    for (id, message) in whole {
        // What was read with a vendor's text that is not UTF-8 may be longer than it was.
        let Ok(bytes) = message.encode(id) else {
            continue;
        };
        let again = messages(&bytes, bytes.len());
        if bytes.len() <= LARGEST {
            assert_eq!(again, [(id, message)]);
        }
    }
}

fn messages(input: &[u8], portion: usize) -> Vec<(u32, Message)> {
    let mut cutter = Cutter::new(LARGEST);
    let mut read = Vec::new();
    for bytes in input.chunks(portion) {
        cutter.push(bytes);
        loop {
            match cutter.next_frame() {
                Ok(Some(frame)) => {
                    if let Ok(message) = Message::decode(&frame) {
                        read.push((frame.id, message));
                    }
                }
                Ok(None) => break,
                Err(_) => return read,
            }
        }
    }
    read
}
