//! Elements as rows: how services keep what they were told.

use stanchion_stanza::codec::parse_element;
use stanchion_stanza::{Element, Encoder, Limits, Scope};

/// The bytes of a row; none for what no stream could carry either.
pub(crate) fn write(element: &Element) -> Option<Vec<u8>> {
    let encoder = Encoder::new(Scope::client(), Limits::default());
    encoder.to_bytes(element).ok()
}

/// What a row holds; none if it cannot be read.
pub(crate) fn read(row: &[u8]) -> Option<Element> {
    parse_element(row, &Scope::client(), &Limits::default()).ok()
}
