//! quick-xml alone, over the whole stream at once: events without framing, without the
//! checks that XML asks for, without anything made of them.

use std::hint::black_box;

use quick_xml::events::Event;
use quick_xml::{NsReader, Reader};

/// Every event; gives their number.
///
/// # Panics
/// If it refuses one.
#[must_use]
pub fn events(stream: &str) -> usize {
    let mut reader = Reader::from_str(stream);
    let mut count = 0;
    loop {
        match black_box(reader.read_event().unwrap()) {
            Event::Eof => return count,
            _ => count += 1,
        }
    }
}

/// Every event, with its namespace.
///
/// # Panics
/// If it refuses one.
#[must_use]
pub fn resolved(stream: &str) -> usize {
    let mut reader = NsReader::from_str(stream);
    let mut count = 0;
    loop {
        match black_box(reader.read_resolved_event().unwrap()) {
            (_, Event::Eof) => return count,
            _ => count += 1,
        }
    }
}
