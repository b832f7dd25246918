//! The XML that XMPP allows (RFC 6120 §11): names, text, elements. Values of these
//! types are valid by construction, so the encoder cannot produce what the decoder
//! would reject. No parsing here: see `codec`.

mod element;
mod name;
mod text;
mod tree;

pub use element::{Attribute, Element, Node};
pub(crate) use element::{NodeView, View};
pub use name::NameError;
pub(crate) use name::{Name, Ns, is_ncname_bytes};
pub use text::{InvalidChar, Text};
pub(crate) use text::{first_invalid, is_xml_char};
pub(crate) use tree::{Draft, NsId, Record, Span, Tree};
