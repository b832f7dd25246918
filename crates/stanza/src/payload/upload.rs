//! HTTP file upload (XEP-0363): where a file may be put, and where it is then to be had.
//! The transfer itself is none of XMPP's business.

use super::forms::{Field, Form, FormType};
use super::{Payload, PayloadError, parsed, required};
use crate::ns;
use crate::xml::{Element, Text};

/// What is to be put somewhere (§5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The file's name.
    pub filename: Text,
    /// Its size in bytes, exactly: another one is refused when it is put (§7).
    pub size: u64,
    /// Its media type; if it is named, the file must be put as that.
    pub content_type: Option<Text>,
}

impl Payload for Request {
    const NAME: &'static str = "request";
    const NS: &'static str = ns::UPLOAD;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            filename: required(element, Self::NAME, "filename")?,
            size: parsed(element, Self::NAME, "size")?.ok_or(PayloadError::MissingAttribute {
                element: Self::NAME,
                attribute: "size",
            })?,
            content_type: element.attr_text("content-type"),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr("filename", self.filename.clone())
            .with_attr("size", self.size)
            .with_attr_opt("content-type", self.content_type.clone())
    }
}

/// A header that is to go with the file. There are three names and no other (§5).
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// Which.
    pub name: HeaderName,
    /// Its value, without line breaks: these are taken out when it is read (§11).
    pub value: Text,
}

impl std::fmt::Debug for Header {
    /// The value may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Header")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

super::parts::names! {
    /// The headers that a service may ask for (§5).
    HeaderName {
        /// Whom the server of the file knows.
        Authorization = "Authorization",
        /// The same.
        Cookie = "Cookie",
        /// For how long the file is wanted.
        Expires = "Expires",
    }
}

impl HeaderName {
    /// The name, however it is spelled: HTTP makes no difference (RFC 9110 §5.1).
    fn read(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|n| n.as_str().eq_ignore_ascii_case(name.trim()))
    }
}

/// Where the file goes, and where it is then (§5). Headers of other names are left out
/// when it is read, as they must be (§11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The URL for the HTTP PUT, as it stood.
    pub put: Text,
    /// Headers to go with it.
    pub headers: Vec<Header>,
    /// The URL where anybody who knows it can get the file.
    pub get: Text,
}

/// What of a header cannot stand in HTTP, and must not reach it (§11): controls.
fn one_line(value: &str) -> Text {
    Text::checked(value.chars().filter(|c| !c.is_control()).collect())
}

impl Payload for Slot {
    const NAME: &'static str = "slot";
    const NS: &'static str = ns::UPLOAD;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let child = |child| {
            element
                .child(child, ns::UPLOAD)
                .ok_or(PayloadError::MissingChild {
                    element: Self::NAME,
                    child,
                })
        };
        let put = child("put")?;
        let headers = put.children().filter(|c| c.is("header", ns::UPLOAD));
        let headers = headers.filter_map(|header| {
            let name = HeaderName::read(header.attr("name")?)?;
            let value = one_line(&header.text());
            Some(Header { name, value })
        });
        Ok(Self {
            headers: headers.collect(),
            put: required(put, "put", "url")?,
            get: required(child("get")?, "get", "url")?,
        })
    }

    fn to_element(&self) -> Element {
        let header = |header: &Header| {
            Element::new("header", ns::UPLOAD)
                .with_attr("name", header.name)
                .with_text(header.value.clone())
        };
        let at = |name, url: &Text| Element::new(name, ns::UPLOAD).with_attr("url", url.clone());
        Element::new(Self::NAME, Self::NS)
            .with_child(at("put", &self.put).with_children(self.headers.iter().map(header)))
            .with_child(at("get", &self.get))
    }
}

/// Beside a stanza error: the file is too large (§6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTooLarge {
    /// The most bytes that a file may have, if the service says.
    pub max_bytes: Option<u64>,
}

impl Payload for FileTooLarge {
    const NAME: &'static str = "file-too-large";
    const NS: &'static str = ns::UPLOAD;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let most = element.child("max-file-size", ns::UPLOAD);
        let most = most.map(|most| {
            most.text()
                .trim()
                .parse()
                .map_err(|_| PayloadError::Invalid {
                    element: Self::NAME,
                    what: "max-file-size",
                })
        });
        Ok(Self {
            max_bytes: most.transpose()?,
        })
    }

    fn to_element(&self) -> Element {
        let most = self
            .max_bytes
            .map(|most| Element::new("max-file-size", ns::UPLOAD).with_text(Text::from(most)));
        Element::new(Self::NAME, Self::NS).with_children(most)
    }
}

/// Beside a stanza error: later, perhaps (§6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// When, as it stood (XEP-0082).
    pub stamp: Text,
}

impl Payload for Retry {
    const NAME: &'static str = "retry";
    const NS: &'static str = ns::UPLOAD;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            stamp: required(element, Self::NAME, "stamp")?,
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS).with_attr("stamp", self.stamp.clone())
    }
}

/// The most bytes that a file may have, as the service's discovery information says in a
/// form (§4); `None` if it says nothing that can be read.
#[must_use]
pub fn max_file_size(extensions: &[Element]) -> Option<u64> {
    let forms = extensions.iter().filter(|e| Form::matches(e));
    let mut forms = forms.filter_map(|form| Form::from_element(form).ok());
    let about_this = forms.find(|form| form.form_type() == Some(ns::UPLOAD))?;
    about_this.value("max-file-size")?.trim().parse().ok()
}

/// That form, for a service (§4).
#[must_use]
pub fn limit_form(max_bytes: u64) -> Form {
    let kind = Text::from_static(ns::UPLOAD);
    Form::of(FormType::Result, kind).with(Field::new(
        Text::from_static("max-file-size"),
        Text::from(max_bytes),
    ))
}
