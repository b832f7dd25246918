//! Elements and stream tags to bytes. Values are valid by construction (see `xml`);
//! what is left to check is the receiver's limits.

use super::error::EncodeError;
use super::limits::Limits;
use super::scope::Scope;
use crate::ns;
use crate::stream::StreamHeader;
use crate::xml::{Attribute, Element, NodeView, View};

/// An attribute: namespace, name, value.
pub(crate) type Parts<'a> = (&'a str, &'a str, &'a str);

/// Writes top-level elements as they stand inside a stream, or anywhere else that
/// binds what its [`Scope`] says.
#[derive(Debug, Clone)]
pub struct Encoder {
    scope: Scope,
    limits: Limits,
}

impl Encoder {
    /// An encoder for elements inside `scope`. `limits` are the receiver's, as far as
    /// known (XEP-0478); the defaults are our own decoder's.
    #[must_use]
    pub const fn new(scope: Scope, limits: Limits) -> Self {
        Self { scope, limits }
    }

    /// Replaces the limits, as when a server announces its own.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Encodes from now on inside that scope.
    pub fn set_scope(&mut self, scope: Scope) {
        self.scope = scope;
    }

    /// Appends the XML declaration and a stream's opening tag (RFC 6120 §4.2), and
    /// encodes from now on inside it.
    pub fn open(&mut self, header: &StreamHeader, out: &mut Vec<u8>) {
        let content = header.content_namespace();
        out.extend_from_slice(b"<?xml version='1.0'?><stream:stream xmlns='");
        escape_attribute(content, out);
        out.extend_from_slice(b"' xmlns:stream='");
        out.extend_from_slice(ns::STREAM.as_bytes());
        out.push(b'\'');
        for attribute in header.to_attributes() {
            let Attribute { ns, name, value } = &attribute;
            write_attribute(ns.as_str(), name.as_str(), value, 0, out);
        }
        out.push(b'>');
        self.scope = Scope::around(header.content().clone());
    }

    /// Appends a stream's closing tag.
    pub fn close(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"</stream:stream>");
    }

    /// Appends one element.
    ///
    /// # Errors
    /// [`EncodeError`] if the limits would refuse it; `out` is then as before.
    pub fn element(&self, element: &Element, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.write(out, |writer, around| writer.element(element.view(), around))
    }

    /// Appends an element of the client namespace, of its parts.
    pub(crate) fn parts(
        &self,
        name: &str,
        attributes: &[Option<Parts<'_>>],
        children: &[Element],
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.write(out, |writer, around| {
            let attributes = || attributes.iter().flatten().copied();
            let nodes = children.iter().map(|p| NodeView::Element(p.view()));
            writer.parts(ns::CLIENT, name, attributes, nodes, around)
        })
    }

    fn write(
        &self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Writer<'_>, Around<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let before = out.len();
        let mut writer = Writer {
            scope: &self.scope,
            limits: &self.limits,
            before,
            out,
        };
        let around = Around {
            default: self.scope.default_ns(),
            depth: 0,
            bindings: self.scope.len(),
        };
        let written = write(&mut writer, around).and_then(|()| writer.check_size());
        if written.is_err() {
            out.truncate(before);
        }
        written
    }

    /// One element as bytes of its own.
    ///
    /// # Errors
    /// As [`Encoder::element`].
    pub fn to_bytes(&self, element: &Element) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::with_capacity(256);
        self.element(element, &mut out)?;
        Ok(out)
    }
}

/// What holds around an element.
#[derive(Clone, Copy)]
struct Around<'a> {
    /// The default namespace in force.
    default: &'a str,
    /// Open elements.
    depth: usize,
    /// Prefixes in scope, counted as the decoder counts them.
    bindings: usize,
}

struct Writer<'a> {
    scope: &'a Scope,
    limits: &'a Limits,
    /// Bytes that stood in `out` before.
    before: usize,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn check_size(&self) -> Result<(), EncodeError> {
        let bytes = self.out.len() - self.before;
        let limit = self.limits.stanza_bytes;
        if bytes > limit {
            return Err(EncodeError::TooLarge { bytes, limit });
        }
        Ok(())
    }

    /// Recursion is bounded by the depth limit.
    fn element(&mut self, element: View<'_>, around: Around<'_>) -> Result<(), EncodeError> {
        let attributes = || element.attributes().map(|a| (a.ns(), a.name(), a.value()));
        self.parts(
            element.ns(),
            element.name(),
            attributes,
            element.nodes(),
            around,
        )
    }

    /// `attributes` gives them as often as it is asked.
    fn parts<'v, A: Iterator<Item = Parts<'v>>>(
        &mut self,
        ns: &str,
        name: &str,
        attributes: impl Fn() -> A,
        nodes: impl Iterator<Item = NodeView<'v>>,
        around: Around<'_>,
    ) -> Result<(), EncodeError> {
        // At each element and not only in the end: namespaces declared again and again make
        // far more of an element than it holds.
        self.check_size()?;
        if around.depth >= self.limits.levels() {
            return Err(EncodeError::TooDeep(self.limits.levels()));
        }
        // Features and errors carry the stream's prefix by custom; some peers insist.
        let prefix: &[u8] = match ns {
            ns::XML => b"xml:",
            ns::STREAM if self.scope.binds("stream", ns::STREAM) => b"stream:",
            _ => b"",
        };
        let declares = prefix.is_empty() && ns != around.default;
        // A foreign attribute costs two: its declaration and itself.
        let (mut count, mut foreign) = (0, 0);
        for (ns, ..) in attributes() {
            count += 1;
            foreign += usize::from(!matches!(ns, "" | ns::XML));
        }
        let declared = foreign + usize::from(declares);
        let inside = Around {
            default: if prefix.is_empty() {
                ns
            } else {
                around.default
            },
            depth: around.depth + 1,
            bindings: around.bindings + declared,
        };
        if count + declared > self.limits.attributes || inside.bindings > self.limits.attributes {
            return Err(EncodeError::TooManyAttributes(self.limits.attributes));
        }

        self.out.push(b'<');
        self.out.extend_from_slice(prefix);
        self.out.extend_from_slice(name.as_bytes());
        if declares {
            self.out.extend_from_slice(b" xmlns='");
            escape_attribute(ns, self.out);
            self.out.push(b'\'');
        }
        for (index, (ns, name, value)) in attributes().enumerate() {
            write_attribute(ns, name, value, index, self.out);
        }
        let mut nodes = nodes.peekable();
        if nodes.peek().is_none() {
            self.out.extend_from_slice(b"/>");
            return Ok(());
        }
        self.out.push(b'>');
        for node in nodes {
            match node {
                NodeView::Element(child) => self.element(child, inside)?,
                NodeView::Text(text) => escape_text(text, self.out),
            }
        }
        self.out.extend_from_slice(b"</");
        self.out.extend_from_slice(prefix);
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'>');
        Ok(())
    }
}

/// `index` tells the generated prefixes of one element apart.
fn write_attribute(ns: &str, name: &str, value: &str, index: usize, out: &mut Vec<u8>) {
    out.push(b' ');
    match ns {
        "" => {}
        ns::XML => out.extend_from_slice(b"xml:"),
        foreign => {
            out.extend_from_slice(format!("xmlns:n{index}='").as_bytes());
            escape_attribute(foreign, out);
            out.extend_from_slice(format!("' n{index}:").as_bytes());
        }
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    escape_attribute(value, out);
    out.push(b'\'');
}

/// Appends `s` as character data.
pub(crate) fn escape_text(s: &str, out: &mut Vec<u8>) {
    let odd = |b: u8| (b == b'<') | (b == b'>') | (b == b'&') | (b == b'\r');
    escape(s.as_bytes(), out, odd, |b| match b {
        b'<' => b"&lt;",
        b'>' => b"&gt;",
        b'&' => b"&amp;",
        // A bare CR would be read back as LF.
        _ => b"&#xD;",
    });
}

fn escape_attribute(s: &str, out: &mut Vec<u8>) {
    // Below the blank are only tab, line feed and carriage return.
    let odd = |b: u8| (b == b'<') | (b == b'>') | (b == b'&') | (b == b'\'') | (b < b' ');
    escape(s.as_bytes(), out, odd, |b| match b {
        b'<' => b"&lt;",
        b'>' => b"&gt;",
        b'&' => b"&amp;",
        b'\'' => b"&apos;",
        // White space other than the blank would be normalised to blanks.
        b'\t' => b"&#x9;",
        b'\n' => b"&#xA;",
        _ => b"&#xD;",
    });
}

/// Copies `bytes`, with the odd ones replaced. All of them are ASCII, so UTF-8 stays whole.
fn escape(
    bytes: &[u8],
    out: &mut Vec<u8>,
    odd: impl Fn(u8) -> bool,
    reference: impl Fn(u8) -> &'static [u8],
) {
    /// Bytes looked at in one go, without a branch, so that vector instructions do it.
    const STEP: usize = 16;
    let mut copied = 0;
    let mut replace = |at: usize| {
        out.extend_from_slice(&bytes[copied..at]);
        out.extend_from_slice(reference(bytes[at]));
        copied = at + 1;
    };
    let steps = bytes.chunks_exact(STEP);
    let behind = bytes.len() - steps.remainder().len();
    for (step, chunk) in steps.enumerate() {
        if chunk.iter().fold(false, |seen, b| seen | odd(*b)) {
            let start = step * STEP;
            (start..start + STEP)
                .filter(|at| odd(bytes[*at]))
                .for_each(&mut replace);
        }
    }
    (behind..bytes.len())
        .filter(|at| odd(bytes[*at]))
        .for_each(&mut replace);
    out.extend_from_slice(&bytes[copied..]);
}
