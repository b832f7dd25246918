//! What somebody on the local network says of itself: the TXT record (XEP-0174 §3.1). None
//! of it is believed: it is for people, and to save a question.

use std::fmt;
use std::str::FromStr;

use stanchion_stanza::Text;
use stanchion_transport::security::Fingerprint;

/// Bytes of one entry, key included (RFC 6763 §6.1).
const MOST_BYTES: usize = 255;

/// Whether somebody is to be disturbed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Availability {
    /// It is there.
    #[default]
    Available,
    /// It is there, and nobody looks.
    Away,
    /// It is not to be disturbed.
    DoNotDisturb,
}

impl Availability {
    const fn word(self) -> &'static str {
        match self {
            Self::Available => "avail",
            Self::Away => "away",
            Self::DoNotDisturb => "dnd",
        }
    }
}

impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Availability {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        let all = [Self::Available, Self::Away, Self::DoNotDisturb];
        all.into_iter().find(|a| a.word() == word).ok_or(())
    }
}

/// What somebody can do, as a hash (XEP-0174 §10, XEP-0115 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Which software, as a URI.
    pub node: Text,
    /// The hash function.
    pub hash: Text,
    /// The hash.
    pub ver: Text,
}

/// What somebody says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Whether it is to be disturbed.
    pub status: Availability,
    /// More on that, for people.
    pub message: Option<Text>,
    /// What it can do.
    pub capabilities: Option<Capabilities>,
    /// SHA-256 of its certificate. **A hint only:** anybody can write anything here. It
    /// helps to compare it with what is read off the device.
    pub fingerprint: Option<Fingerprint>,
}

impl Record {
    /// The entries, in the order of XEP-0174: `txtvers` first. What is longer than an entry
    /// may be is left out.
    #[must_use]
    pub fn entries(&self, port: u16) -> Vec<(String, String)> {
        let fingerprint = self.fingerprint.map(|fp| fp.to_string().replace(':', ""));
        let caps = self.capabilities.as_ref();
        let text = |text: &Text| text.to_string();
        let all = [
            ("txtvers", Some("1".to_owned())),
            ("port.p2pj", Some(port.to_string())),
            ("status", Some(self.status.to_string())),
            ("msg", self.message.as_ref().map(text)),
            ("node", caps.map(|c| text(&c.node))),
            ("hash", caps.map(|c| text(&c.hash))),
            ("ver", caps.map(|c| text(&c.ver))),
            ("fp", fingerprint),
        ];
        let some = all
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        some.filter(|(key, value)| key.len() + 1 + value.len() <= MOST_BYTES)
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    /// Reads entries. Of several with one key the first counts (RFC 6763 §6.4); what cannot
    /// be read is as if it were not there, for no entry is needed (XEP-0174 §3.1).
    #[must_use]
    pub fn read<'a>(entries: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>) -> Self {
        let mut first: [(&str, Option<&str>); 6] =
            ["status", "msg", "node", "hash", "ver", "fp"].map(|key| (key, None));
        for (key, value) in entries {
            let place = first.iter_mut().find(|(k, _)| key.eq_ignore_ascii_case(k));
            let value = value.filter(|v| v.len() <= MOST_BYTES);
            let value = value.and_then(|v| std::str::from_utf8(v).ok());
            if let (Some((_, place @ None)), Some(value)) = (place, value) {
                *place = Some(value);
            }
        }
        let [status, msg, node, hash, ver, fp] = first.map(|(_, value)| value);
        let text = |value: Option<&str>| value.and_then(|v| Text::new(v).ok());
        let capabilities = match (text(node), text(hash), text(ver)) {
            (Some(node), Some(hash), Some(ver)) => Some(Capabilities { node, hash, ver }),
            _ => None,
        };
        Self {
            status: status.and_then(|s| s.parse().ok()).unwrap_or_default(),
            message: text(msg),
            capabilities,
            fingerprint: fp.and_then(|fp| fp.parse().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn back(entries: &[(String, String)]) -> Record {
        Record::read(
            entries
                .iter()
                .map(|(k, v)| (k.as_str(), Some(v.as_bytes()))),
        )
    }

    fn full() -> Record {
        let text = Text::from_static;
        Record {
            status: Availability::DoNotDisturb,
            message: Some(text("in a meeting")),
            capabilities: Some(Capabilities {
                node: text("https://lamp.example"),
                hash: text("sha-1"),
                ver: text("QgayPKawpkPSDYmwT/WM94uAlu0="),
            }),
            fingerprint: Some(Fingerprint::of(b"certificate")),
        }
    }

    #[test]
    fn a_record_begins_with_its_version_and_comes_back_as_it_went() {
        let entries = full().entries(5562);
        assert_eq!(entries[0], ("txtvers".to_owned(), "1".to_owned()));
        assert_eq!(entries[1], ("port.p2pj".to_owned(), "5562".to_owned()));
        assert_eq!(back(&entries), full());
        let mut mixed = entries;
        mixed.reverse();
        assert_eq!(back(&mixed), full(), "the order means nothing");
    }

    #[test]
    fn nothing_is_needed() {
        assert_eq!(Record::read([]), Record::default());
        assert_eq!(Record::read([("status", None)]), Record::default());
        let keys: Vec<String> = Record::default()
            .entries(1)
            .into_iter()
            .map(|e| e.0)
            .collect();
        assert_eq!(keys, ["txtvers", "port.p2pj", "status"]);
    }

    #[test]
    fn of_two_entries_the_first_counts_and_case_does_not() {
        let read = Record::read([
            ("Status", Some(&b"away"[..])),
            ("status", Some(&b"dnd"[..])),
        ]);
        assert_eq!(read.status, Availability::Away);
    }

    #[test]
    fn what_is_too_long_for_an_entry_is_left_out() {
        let mut record = full();
        record.message = Text::new("m".repeat(300)).ok();
        assert!(record.entries(1).iter().all(|(key, _)| key != "msg"));
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_record_is_read(
            entries in proptest::collection::vec(
                ("(status|msg|node|hash|ver|fp|x)", proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300))),
                0..12,
            )
        ) {
            let entries = entries.iter().map(|(k, v)| (k.as_str(), v.as_deref()));
            let record = Record::read(entries);
            // And what was read can be written and read again.
            let again = back(&record.entries(1));
            prop_assert_eq!(again.fingerprint, record.fingerprint);
            prop_assert_eq!(again.status, record.status);
        }
    }
}
