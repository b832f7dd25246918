//! The streaming codec: [`Framer`] cuts, [`Decoder`] reads, [`Encoder`] writes, all
//! without I/O. Elements and their rules are in `xml`, streams in `stream`.

mod decoder;
mod encoder;
mod error;
mod framer;
mod limits;
mod parse;
mod scan;
mod scope;
mod xml_declaration;

pub use decoder::{Decoder, StreamEvent};
pub use encoder::Encoder;
pub(crate) use encoder::{Parts, escape_text};
pub use error::{DecodeError, EncodeError, Rule};
pub use framer::{Frame, Framer};
pub use limits::Limits;
pub use parse::parse_element;
pub use scope::Scope;
