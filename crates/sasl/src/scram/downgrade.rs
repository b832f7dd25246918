//! The hash over the offer, by which both ends see whether somebody shortened
//! it on the way (XEP-0474 §4).
//!
//! Owns the computation. The client compares it in [`super::client`], the server
//! sends it in [`super::server`]; both are covered by the signatures of SCRAM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::mechanism::ScramHash;

/// Between two names (XEP-0474 §4.1); not allowed in XML, so in no name.
const BETWEEN: u8 = 0x1E;
/// Between mechanisms and binding types.
const THEN: u8 = 0x1F;

/// The attribute `h`: base64 of the hash over the sorted mechanisms and, if there
/// is a list of them, the sorted binding types (XEP-0440).
///
/// Take all names as they stood in the features, also unknown ones, of the SASL
/// profile that is used (RFC 6120 or XEP-0388).
#[must_use]
pub fn offer_hash<M: AsRef<str>, B: AsRef<str>>(
    hash: ScramHash,
    mechanisms: &[M],
    bindings: Option<&[B]>,
) -> String {
    let mut text = joined(mechanisms);
    if let Some(bindings) = bindings {
        text.push(THEN);
        text.extend(joined(bindings));
    }
    STANDARD.encode(hash.digest(&text).as_slice())
}

fn joined<S: AsRef<str>>(names: &[S]) -> Vec<u8> {
    // Collation i;octet (RFC 4790 §9.3) is the order of the bytes.
    let mut names: Vec<&[u8]> = names.iter().map(|n| n.as_ref().as_bytes()).collect();
    names.sort_unstable();
    names.join(&BETWEEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_xep_0474_hashes_as_printed() {
        let hash = offer_hash(
            ScramHash::Sha1,
            &["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"],
            Some(&["tls-server-end-point", "tls-exporter"]),
        );
        assert_eq!(hash, "G6k/rBLDqgOhRRaCuuatSDFkJ08=");
    }

    #[test]
    fn no_list_and_an_empty_list_are_two_things() {
        let none = offer_hash::<_, &str>(ScramHash::Sha256, &["PLAIN"], None);
        let empty = offer_hash::<_, &str>(ScramHash::Sha256, &["PLAIN"], Some(&[]));
        assert_ne!(none, empty);
    }
}
