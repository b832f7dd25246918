//! Message archives (XEP-0313): a query, its results one message each, and its end.
//! Preferences (XEP-0441) share the namespace.

mod metadata;
mod prefs;

pub use metadata::{Mark, Metadata, Span};
pub use prefs::{DefaultPolicy, Prefs};

use super::forms::view::form_view;
use super::forms::{Form, FormType};
use super::forward::{Forwarded, forwarded};
use super::parts::{boolean, named};
use super::rsm::{Page, PageRequest};
use super::{Payload, PayloadError, required};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, Text};

form_view! {
    /// Which messages are wanted (§4.1): those that meet every condition. All of them
    /// if there is none. Ids of the archive that it does not hold are an error of the
    /// query (`item-not-found`), as are fields that the archive does not know.
    Filter, "urn:xmpp:mam:2" {
        /// To or from this address; a bare one stands for all its resources (§4.1.1).
        with: Jid = "with",
        /// Not before this time, XEP-0082 DateTime (§4.1.2).
        start: Text = "start",
        /// Not after this time, XEP-0082 DateTime (§4.1.2).
        end: Text = "end",
        /// Older than the message of this id (§4.1.3).
        before_id: Text = "before-id",
        /// Newer than the message of this id (§4.1.3).
        after_id: Text = "after-id",
        /// Of these ids (§4.1.3).
        ids: Vec<Text> = "ids",
        /// Whether messages of rooms count; only where the archive announces
        /// `urn:xmpp:mam:2#groupchat-field`, and left to it if absent (§4.1.4).
        include_groupchat: bool = "include-groupchat",
    }
}

/// The query of a set. In a get and its result, a form of the fields that the archive
/// knows (§4.1.5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// An id for the results to bear; tells the results of concurrent queries apart.
    pub queryid: Option<Text>,
    /// A node of a publish-subscribe archive (XEP-0442).
    pub node: Option<Text>,
    /// The conditions; see [`Filter::from_form`].
    pub form: Option<Form>,
    /// The page; ids are those of the archive.
    pub page: Option<PageRequest>,
    /// Whether the page is to be sent backwards, the newest message first (§4.3.4).
    pub flip_page: bool,
}

impl Query {
    /// The messages that meet `filter`, a page of them.
    #[must_use]
    pub fn of(filter: &Filter, page: PageRequest) -> Self {
        let form = (*filter != Filter::default()).then(|| filter.to_form(FormType::Submit));
        Self {
            form,
            page: Some(page),
            ..Self::default()
        }
    }
}

impl Payload for Query {
    const NAME: &'static str = "query";
    const NS: &'static str = ns::MAM;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            queryid: element.attr_value("queryid").cloned(),
            node: element.attr_value("node").cloned(),
            form: Form::find(element.children())?,
            page: PageRequest::find(element.children())?,
            flip_page: element.child("flip-page", ns::MAM).is_some(),
        })
    }

    fn to_element(&self) -> Element {
        let flip = self.flip_page.then(|| Element::new("flip-page", ns::MAM));
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt("queryid", self.queryid.clone())
            .with_attr_opt("node", self.node.clone())
            .with_children(self.form.as_ref().map(Form::to_element))
            .with_children(self.page.as_ref().map(PageRequest::to_element))
            .with_children(flip)
    }
}

/// A message of the archive, in a message of its own (§4.2).
///
/// Believe it only from the address that was asked, while that query is open, with the
/// query's id (§8.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveResult {
    /// The query's id.
    pub queryid: Option<Text>,
    /// The archive's id of the message.
    pub id: Text,
    /// The message, and when the archive received it.
    pub forwarded: Forwarded,
}

impl Payload for ArchiveResult {
    const NAME: &'static str = "result";
    const NS: &'static str = ns::MAM;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            queryid: element.attr_value("queryid").cloned(),
            id: required(element, Self::NAME, "id")?,
            forwarded: forwarded(element, Self::NAME)?,
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt("queryid", self.queryid.clone())
            .with_attr("id", self.id.clone())
            .with_child(self.forwarded.to_element())
    }
}

/// The end of a page: the result of the query's iq, after all its messages (§4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fin {
    /// Whether there is nothing beyond this page. Default false.
    pub complete: bool,
    /// Whether the page will be the same when it is asked for again. Default true; if
    /// not, do not keep it for long.
    pub stable: bool,
    /// The page.
    pub page: Page,
}

impl Default for Fin {
    fn default() -> Self {
        Self {
            complete: false,
            stable: true,
            page: Page::default(),
        }
    }
}

impl Payload for Fin {
    const NAME: &'static str = "fin";
    const NS: &'static str = ns::MAM;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let flag = |name| named(element, Self::NAME, name, boolean);
        Ok(Self {
            complete: flag("complete")?.unwrap_or(false),
            stable: flag("stable")?.unwrap_or(true),
            page: Page::find(element.children())?.unwrap_or_default(),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt("complete", self.complete.then_some(true))
            .with_attr_opt("stable", (!self.stable).then_some(false))
            .with_child(self.page.to_element())
    }
}
