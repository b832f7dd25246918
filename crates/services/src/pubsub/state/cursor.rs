//! What of a node has taken effect: rows that are read and changed in the transaction of
//! the effect itself. A row for each stream, and one for the items of foreign publishers.

use stanchion_stanza::Element;
use stanchion_stanza::xml::Node;

use super::ranges::Ranges;

/// Holes that the items of one stream may leave, because they were not committed while
/// later ones were.
pub(crate) const HOLES: usize = 1024;

/// Gaps that are remembered, in case what was missing comes late.
const GAPS: usize = 64;

/// Items of foreign publishers that are remembered.
pub(crate) const FOREIGN: usize = 256;

/// How far a stream is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StreamCursor {
    /// What took effect, and the gaps that were told.
    pub(crate) done: Ranges,
    /// The gaps among them.
    pub(crate) gaps: Ranges,
    /// When it last changed, in Unix seconds: the oldest goes if there are too many.
    pub(crate) touched: i64,
}

impl StreamCursor {
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(value).ok()?.split(';');
        let mut next = || parts.next();
        Some(Self {
            done: Ranges::parse(next()?)?,
            gaps: Ranges::parse(next()?)?,
            touched: next()?.parse().ok()?,
        })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let (done, gaps) = (self.done.to_text(), self.gaps.to_text());
        format!("{done};{gaps};{}", self.touched).into_bytes()
    }

    /// An item took effect. False if there are too many holes.
    pub(crate) fn item(&mut self, number: u64) -> bool {
        self.done.insert(number, number);
        self.gaps.remove(number);
        self.done.len() <= HOLES
    }

    /// A gap was told.
    pub(crate) fn gap(&mut self, first: u64, last: u64) -> bool {
        self.done.insert(first, last);
        self.gaps.insert(first, last);
        self.gaps.keep_last(GAPS);
        self.done.len() <= HOLES
    }
}

/// An item of a foreign publisher: its id, and what it holds. Both as digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Print {
    pub(crate) id: u128,
    pub(crate) payload: u128,
}

impl Print {
    pub(crate) fn of(id: &str, payload: Option<&Element>) -> Self {
        let mut content = Vec::new();
        if let Some(payload) = payload {
            canonical(payload, &mut content);
        }
        Self {
            id: digest(id.as_bytes()),
            payload: digest(&content),
        }
    }
}

fn digest(bytes: &[u8]) -> u128 {
    use sha2::Digest as _;
    let mut short = [0; 16];
    short.copy_from_slice(&sha2::Sha256::digest(bytes)[..16]);
    u128::from_be_bytes(short)
}

/// The same for the same content, however it was written: each text with its length, the
/// attributes in order. Elements nest no deeper than the codec's limits allow.
fn canonical(element: &Element, out: &mut Vec<u8>) {
    let mut text = |kind: u8, text: &str| {
        out.push(kind);
        out.extend_from_slice(&(text.len() as u64).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    };
    text(b'n', element.ns());
    text(b'e', element.name());
    let mut attrs: Vec<_> = element.attrs().collect();
    attrs.sort_by_key(|a| (a.ns(), a.name()));
    for attr in attrs {
        text(b's', attr.ns());
        text(b'a', attr.name());
        text(b'v', attr.value());
    }
    let mut run = String::new();
    for node in element.nodes() {
        match node {
            Node::Text(part) => run.push_str(part),
            Node::Element(child) => {
                flush(&mut run, out);
                canonical(child, out);
            }
        }
    }
    flush(&mut run, out);
    out.push(b'.');
}

/// Neighbouring texts are one.
fn flush(run: &mut String, out: &mut Vec<u8>) {
    if !run.is_empty() {
        out.push(b't');
        out.extend_from_slice(&(run.len() as u64).to_be_bytes());
        out.extend_from_slice(run.as_bytes());
        run.clear();
    }
}

/// Of each foreign item the last content that was seen, the latest at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Foreign(Vec<Print>);

impl Foreign {
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u128::from_be_bytes);
        let prints = value.chunks(32).map(|print| {
            let (id, payload) = print.split_at_checked(16)?;
            Some(Print {
                id: number(id)?,
                payload: number(payload)?,
            })
        });
        let prints: Option<Vec<_>> = prints.take(FOREIGN).collect();
        prints.map(Self)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let print = |p: &Print| [p.id.to_be_bytes(), p.payload.to_be_bytes()].concat();
        self.0.iter().flat_map(print).collect()
    }

    pub(crate) fn knows(&self, print: Print) -> bool {
        self.0.contains(&print)
    }

    pub(crate) fn remember(&mut self, print: Print) {
        self.0.retain(|other| other.id != print.id);
        if self.0.len() >= FOREIGN {
            self.0.remove(0);
        }
        self.0.push(print);
    }

    /// The id of the one that was remembered last.
    pub(crate) fn last(&self) -> Option<u128> {
        self.0.last().map(|print| print.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_kept() {
        let mut cursor = StreamCursor::default();
        assert!(cursor.item(1) && cursor.item(2) && cursor.gap(3, 9) && cursor.item(10));
        cursor.touched = 1_700_000_000;
        assert_eq!(cursor.to_bytes(), b"1-10;3-9;1700000000");
        assert_eq!(
            StreamCursor::parse(&cursor.to_bytes()),
            Some(cursor.clone())
        );
        assert!(cursor.item(5), "what was missing came late");
        assert_eq!(cursor.to_bytes(), b"1-10;3-4,6-9;1700000000");
        for broken in [&b""[..], b"1-2", b"1-2;;x", b"1;;5", b"\xff;;1"] {
            assert_eq!(StreamCursor::parse(broken), None);
        }
    }

    #[test]
    fn holes_and_gaps_have_a_bound() {
        let mut cursor = StreamCursor::default();
        let mut number = 1;
        while cursor.item(number) {
            number += 2;
        }
        assert_eq!(cursor.done.len(), HOLES + 1);
        for number in 0..1000 {
            cursor.gap(10_000 + 2 * number, 10_000 + 2 * number);
        }
        assert_eq!(cursor.gaps.len(), GAPS);
    }

    #[test]
    fn content_is_the_same_however_it_is_written() {
        let element = |xml: &str| {
            let limits = stanchion_stanza::Limits::default();
            let scope = stanchion_stanza::Scope::empty();
            stanchion_stanza::codec::parse_element(xml.as_bytes(), &scope, &limits).unwrap()
        };
        let print = |xml: &str| Print::of("a", Some(&element(xml)));
        let one = print(
            "<v xmlns='urn:x' a='1' b='2'>on<!/>"
                .replace("<!/>", "</v>")
                .as_str(),
        );
        assert_eq!(one, print("<p:v b='2' a='1' xmlns:p='urn:x'>on</p:v>"));
        for other in [
            "<v xmlns='urn:y' a='1' b='2'>on</v>",
            "<v xmlns='urn:x' a='1'>on</v>",
            "<v xmlns='urn:x' a='1' b='2'>off</v>",
            "<v xmlns='urn:x' a='1' b='2'>on<w/></v>",
        ] {
            assert_ne!(one, print(other), "{other}");
        }
        assert_ne!(
            one,
            Print::of("b", Some(&element("<v xmlns='urn:x' a='1' b='2'>on</v>")))
        );
    }

    #[test]
    fn only_the_last_content_of_a_foreign_id_is_known() {
        let mut foreign = Foreign::default();
        let print = |n: u128| Print { id: 1, payload: n };
        foreign.remember(print(1));
        foreign.remember(print(2));
        assert!(foreign.knows(print(2)) && !foreign.knows(print(1)));
        assert_eq!(Foreign::parse(&foreign.to_bytes()), Some(foreign.clone()));
        for id in 10..1000 {
            foreign.remember(Print { id, payload: 0 });
        }
        assert_eq!(foreign.0.len(), FOREIGN);
        assert_eq!(foreign.last(), Some(999));
        assert_eq!(Foreign::parse(&[1, 2, 3]), None);
    }
}
