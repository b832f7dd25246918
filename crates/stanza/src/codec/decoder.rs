//! The streaming decoder: bytes in, stream events out. Framing is in `framer`, the
//! rules of XML in `parse`; here is what a stream adds to both.

use bytes::BytesMut;

use super::error::{DecodeError, Rule};
use super::framer::{Framer, Kind, is_space};
use super::limits::Limits;
use super::parse::{ElementParser, parse_opening_tag};
use super::scope::Scope;
use crate::ns;
use crate::stream::StreamHeader;
use crate::xml::Element;

/// What a peer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// It opened its stream.
    Open(StreamHeader),
    /// A stanza or another top-level element.
    Element(Element),
    /// It closed its stream; nothing follows (RFC 6120 §4.4).
    Close,
}

/// A resumable decoder of one direction of a stream. Bytes may come in any portions,
/// so that a reader may be cancelled at any await without losing any.
///
/// ```
/// use stanchion_stanza::{Decoder, Limits, StreamEvent};
/// let mut decoder = Decoder::new(Limits::default());
/// decoder.push(b"<stream:stream xmlns='jabber:client' \
///     xmlns:stream='http://etherx.jabber.org/streams' version='1.0'><presence fr");
/// assert!(matches!(decoder.next_event()?, Some(StreamEvent::Open(_))));
/// assert_eq!(decoder.next_event()?, None); // the rest has not come yet
/// decoder.push(b"om='a@b'/>");
/// let Some(StreamEvent::Element(presence)) = decoder.next_event()? else { panic!() };
/// assert_eq!(presence.attr("from"), Some("a@b"));
/// # Ok::<(), stanchion_stanza::codec::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    framer: Framer,
    parser: ElementParser,
    limits: Limits,
    scope: Scope,
    /// The root's name as written; none before the opening tag, or without a root.
    root: Option<Box<str>>,
    /// What ended the stream.
    ended: Option<DecodeError>,
}

impl Decoder {
    /// A decoder that waits for a stream's opening tag.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            framer: Framer::new(limits),
            parser: ElementParser::default(),
            limits,
            scope: Scope::empty(),
            root: None,
            ended: None,
        }
    }

    /// A decoder of elements without a root around them, as in a file or in one
    /// WebSocket message; `scope` says what is bound around each.
    #[must_use]
    pub fn without_root(scope: Scope, limits: Limits) -> Self {
        Self {
            framer: Framer::without_root(limits),
            parser: ElementParser::default(),
            limits,
            scope,
            root: None,
            ended: None,
        }
    }

    /// Appends bytes as they came. Take the events before feeding more: memory is
    /// bounded by [`Limits::stanza_bytes`] plus one portion.
    pub fn push(&mut self, bytes: &[u8]) {
        self.framer.push(bytes);
    }

    /// The input buffer, so that a socket can be read into it. Only append.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        self.framer.buffer_mut()
    }

    /// Bytes that belong to no event yet. Must be 0 when TLS takes over, or an
    /// attacker could inject commands before the handshake.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.framer.pending()
    }

    /// Waits for a new opening tag (RFC 6120 §4.3.3). Buffered bytes stay.
    pub fn reset(&mut self) {
        self.framer.reset();
        self.scope = Scope::empty();
        self.root = None;
        self.ended = None;
    }

    /// Reads what follows as [`Scope::of_component`] says, until the next opening tag.
    pub fn of_component(&mut self) {
        let scope = std::mem::replace(&mut self.scope, Scope::empty());
        self.scope = scope.of_component();
    }

    /// Replaces the limits from the next stanza on, as after authentication.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.framer.set_limits(limits);
    }

    /// The next event, or `None` until more bytes are there.
    ///
    /// # Errors
    /// [`DecodeError`], with the offset counted from the stream's beginning; send its
    /// [`DecodeError::condition`] and close. The stream cannot go on: every later call
    /// gives the same error.
    pub fn next_event(&mut self) -> Result<Option<StreamEvent>, DecodeError> {
        if let Some(fault) = &self.ended {
            return Err(fault.clone());
        }
        let event = self.read();
        self.ended = event.as_ref().err().cloned();
        event
    }

    fn read(&mut self) -> Result<Option<StreamEvent>, DecodeError> {
        // Most elements are whole when their first byte is looked at, and need no framing.
        // The others, and whatever is wrong, go the long way, which finds the fault.
        let input = self.framer.unscanned();
        if !input.is_empty()
            && let Some((element, length)) = self.parser.first(input, &self.scope, &self.limits)
        {
            self.framer.drop_front(length);
            return Ok(Some(StreamEvent::Element(element)));
        }
        let Some(kind) = self.framer.find()? else {
            return Ok(None);
        };
        let read = match kind {
            Kind::Open => self.open(),
            Kind::Element => {
                let bytes = self.framer.found();
                let element = self.parser.element(bytes, &self.scope, &self.limits);
                element.map(StreamEvent::Element)
            }
            Kind::Close => self.close(),
        };
        let base = self.framer.consumed();
        self.framer.drop_found();
        read.map(Some).map_err(|e| DecodeError {
            offset: base + e.offset,
            rule: e.rule,
        })
    }

    fn open(&mut self) -> Result<StreamEvent, DecodeError> {
        let tag = parse_opening_tag(self.framer.found(), &self.limits)?;
        let fault = |rule| DecodeError { offset: 0, rule };
        if !tag.element.is("stream", ns::STREAM) {
            return Err(fault(Rule::NotAStream));
        }
        let header =
            StreamHeader::from_opening_tag(&tag.element, tag.scope.default_ns()).map_err(fault)?;
        self.scope = tag.scope;
        self.root = Some(tag.qname);
        Ok(StreamEvent::Open(header))
    }

    fn close(&self) -> Result<StreamEvent, DecodeError> {
        let bytes = self.framer.found();
        let after_name = self
            .root
            .as_deref()
            .and_then(|root| bytes.strip_prefix(b"</")?.strip_prefix(root.as_bytes()))
            .and_then(|rest| rest.strip_suffix(b">"));
        match after_name {
            Some(space) if space.iter().all(|b| is_space(*b)) => Ok(StreamEvent::Close),
            _ => Err(DecodeError {
                offset: 0,
                rule: Rule::NotWellFormed("the closing tag is not the stream's"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_of_a_component_are_read_as_a_clients() {
        let mut decoder = Decoder::new(Limits::default());
        decoder.push(
            b"<stream:stream xmlns='jabber:component:accept' id='1' \
              xmlns:stream='http://etherx.jabber.org/streams'><handshake/>\
              <message><body>a</body></message>\
              <message xmlns='jabber:component:accept'><body>a</body></message>\
              <c:message xmlns:c='jabber:component:accept'><c:body>a</c:body></c:message>",
        );
        let header = decoder.next_event();
        let Ok(Some(StreamEvent::Open(header))) = header else {
            panic!("{header:?}")
        };
        assert_eq!(header.content_namespace(), ns::COMPONENT);
        let handshake = Element::new("handshake", ns::COMPONENT);
        assert_eq!(
            decoder.next_event(),
            Ok(Some(StreamEvent::Element(handshake)))
        );
        decoder.of_component();
        let body = Element::new("body", ns::CLIENT).with_text(crate::Text::from_static("a"));
        let message = Element::new("message", ns::CLIENT).with_child(body);
        for _ in 0..3 {
            assert_eq!(
                decoder.next_event(),
                Ok(Some(StreamEvent::Element(message.clone())))
            );
        }
    }

    #[test]
    fn what_is_held_of_a_stanza_stays_when_the_next_is_read() {
        let mut decoder = Decoder::without_root(Scope::client(), Limits::default());
        let mut read = |xml: String| {
            decoder.push(xml.as_bytes());
            match decoder.next_event() {
                Ok(Some(StreamEvent::Element(element))) => element,
                other => panic!("{other:?}"),
            }
        };
        let (mut values, mut children) = (Vec::new(), Vec::new());
        for n in 0..20 {
            // Every other is dropped at once, and what was its memory holds another next.
            let unheld = read(format!("<iq id='unheld{n}'><x xmlns='urn:odd{n}'/></iq>"));
            assert_eq!(
                unheld.children().next().map(Element::ns),
                Some(&*format!("urn:odd{n}"))
            );
            drop(unheld);
            let held = read(format!(
                "<iq id='held{n}'><y xmlns='urn:{n}'>&lt;{n}</y></iq>"
            ));
            values.extend(held.attr_text("id"));
            children.extend(held.into_children());
        }
        for n in 0..20 {
            assert_eq!(values[n], *format!("held{n}"));
            assert!(children[n].is("y", &format!("urn:{n}")));
            assert_eq!(children[n].text(), format!("<{n}"));
        }
    }
}
