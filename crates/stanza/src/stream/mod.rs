//! Streams (RFC 6120 §4): header, features, errors. Stanzas are in `stanza`, the
//! negotiation that uses the features is not in this crate.

mod error;
mod features;
mod header;

pub(crate) use error::conditions;
pub use error::{StreamCondition, StreamError};
pub use features::{Requirement, StreamFeatures};
pub use header::StreamHeader;
