//! The codec beside its peers, on one mixed corpus: what each does with the same bytes in
//! the same run, so that the ratios mean something on any machine.
//!
//! - `corpus` makes the stream;
//! - `ours` and `theirs` read it to the same depth of typing, and write it;
//! - `scans` only tokenize it: the floor that no typed decoder goes below with the same
//!   tokenizer.
//!
//! Each has its own folder of laws to obey: ours refuses what XML and XMPP forbid, rxml
//! refuses nearly all of it, quick-xml little. The measuring is in `benches/codec.rs` and
//! `src/bin/allocations.rs`.
//!
//! ```
//! use stanchion_peers_bench::corpus;
//! // The same stanzas in each run.
//! assert_eq!(corpus::stanzas(10), corpus::stanzas(10));
//! ```

pub mod corpus;
pub mod ours;
pub mod scans;
pub mod theirs;

/// Bytes that a socket gives at once.
pub const PORTION: usize = 8 * 1024;

/// The beginning of every stream here.
pub const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' from='example.org' id='s1' version='1.0'>";
