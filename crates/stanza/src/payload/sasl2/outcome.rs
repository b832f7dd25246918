//! How an exchange ends, and what may come before it is over: success, failure, abort,
//! and tasks such as a second factor (XEP-0388 §2.6).

use std::fmt;

use super::super::{Payload, PayloadError, required};
use super::{Hidden, data, data_element, foreign, text, text_element};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, Text};

/// Authenticated, as far as the server says: the mechanism must still agree with the
/// additional data (§2.6.1). Stream features follow at once, without a restart of the
/// stream.
#[derive(Clone, PartialEq, Eq)]
pub struct Success {
    /// What the mechanism has to say at last.
    pub additional_data: Option<Vec<u8>>,
    /// Who the client is now: a full JID if a resource was bound, otherwise a bare one.
    pub authorization_identifier: Jid,
    /// What became of the inline requests: [`bind2::Bound`](crate::payload::bind2::Bound),
    /// [`sm::Resumed`](crate::payload::sm::Resumed),
    /// [`fast::Token`](crate::payload::fast::Token) and others, in order.
    pub inline: Vec<Element>,
}

impl fmt::Debug for Success {
    /// The additional data is a proof.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Success")
            .field("additional_data", &Hidden(self.additional_data.as_ref()))
            .field("authorization_identifier", &self.authorization_identifier)
            .field("inline", &self.inline)
            .finish()
    }
}

const IDENTIFIER: &str = "authorization-identifier";

impl Payload for Success {
    const NAME: &'static str = "success";
    const NS: &'static str = ns::SASL2;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let identifier = element.child(IDENTIFIER, ns::SASL2);
        let identifier = identifier.ok_or(PayloadError::MissingChild {
            element: Self::NAME,
            child: IDENTIFIER,
        })?;
        let identifier =
            Jid::new(identifier.text().trim()).map_err(|source| PayloadError::Jid {
                element: IDENTIFIER,
                source,
            })?;
        Ok(Self {
            additional_data: data(element, "additional-data")?,
            authorization_identifier: identifier,
            inline: foreign(element),
        })
    }

    fn to_element(&self) -> Element {
        let identifier =
            Element::new(IDENTIFIER, ns::SASL2).with_text(&self.authorization_identifier);
        Element::new(Self::NAME, Self::NS)
            .with_children(data_element(
                "additional-data",
                self.additional_data.as_ref(),
            ))
            .with_child(identifier)
            .with_children(self.inline.iter().cloned())
    }
}

/// Not authenticated; the stream is as before, and another try may follow (§2.6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The condition's name (RFC 6120 §6.5), such as `not-authorized`, which also
    /// stands for none.
    pub condition: Text,
    /// What the server says for people.
    pub text: Option<Text>,
    /// An application's own conditions, as they stood.
    pub application: Vec<Element>,
}

impl Payload for Failure {
    const NAME: &'static str = "failure";
    const NS: &'static str = ns::SASL2;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let is_condition = |c: &Element| c.ns() == ns::SASL && c.name() != "text";
        let condition = element.children().find(|c| is_condition(c));
        let mut application = foreign(element);
        application.retain(|c| c.ns() != ns::SASL);
        Ok(Self {
            condition: Text::checked(condition.map_or("not-authorized", Element::name).to_owned()),
            text: text(element, "text"),
            application,
        })
    }

    fn to_element(&self) -> Element {
        // A name that cannot be written as a condition says no more than the default.
        let condition = Element::try_new(&self.condition, ns::SASL)
            .ok()
            .filter(|c| c.name() != "text")
            .unwrap_or_else(|| Element::new("not-authorized", ns::SASL));
        Element::new(Self::NAME, Self::NS)
            .with_child(condition)
            .with_children(self.application.iter().cloned())
            .with_children(text_element("text", self.text.as_ref()))
    }
}

/// The client gives up on this exchange (§4.5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Abort {
    /// Why, for people.
    pub text: Option<Text>,
    /// Why, for programs, as it stood.
    pub application: Vec<Element>,
}

impl Payload for Abort {
    const NAME: &'static str = "abort";
    const NS: &'static str = ns::SASL2;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            text: text(element, "text"),
            application: foreign(element),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_children(text_element("text", self.text.as_ref()))
            .with_children(self.application.iter().cloned())
    }
}

/// The mechanism succeeded, and that is not enough: one of the tasks comes next (§2.6.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Continue {
    /// What the mechanism has to say at last.
    pub additional_data: Option<Vec<u8>>,
    /// Names of tasks, one at least; the client chooses one.
    pub tasks: Vec<Text>,
    /// What the server says for people.
    pub text: Option<Text>,
}

impl fmt::Debug for Continue {
    /// The additional data is a proof.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Continue")
            .field("additional_data", &Hidden(self.additional_data.as_ref()))
            .field("tasks", &self.tasks)
            .field("text", &self.text)
            .finish()
    }
}

impl Payload for Continue {
    const NAME: &'static str = "continue";
    const NS: &'static str = ns::SASL2;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let tasks = element.child("tasks", ns::SASL2);
        let tasks = tasks.ok_or(PayloadError::MissingChild {
            element: Self::NAME,
            child: "tasks",
        })?;
        let tasks = tasks.children().filter(|t| t.is("task", ns::SASL2));
        let tasks: Vec<_> = tasks.map(Element::text_value).collect();
        if tasks.is_empty() {
            return Err(PayloadError::MissingChild {
                element: "tasks",
                child: "task",
            });
        }
        Ok(Self {
            additional_data: data(element, "additional-data")?,
            tasks,
            text: text(element, "text"),
        })
    }

    fn to_element(&self) -> Element {
        let task = |t: &Text| Element::new("task", ns::SASL2).with_text(t.clone());
        let tasks = Element::new("tasks", ns::SASL2).with_children(self.tasks.iter().map(task));
        Element::new(Self::NAME, Self::NS)
            .with_children(data_element(
                "additional-data",
                self.additional_data.as_ref(),
            ))
            .with_child(tasks)
            .with_children(text_element("text", self.text.as_ref()))
    }
}

/// The client begins a task (§2.6.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Next {
    /// One of the tasks offered.
    pub task: Text,
    /// What that task's protocol wants, as it stands.
    pub payload: Vec<Element>,
}

impl fmt::Debug for Next {
    /// The payload may be a second factor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next")
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

impl Payload for Next {
    const NAME: &'static str = "next";
    const NS: &'static str = ns::SASL2;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            task: required(element, Self::NAME, "task")?,
            payload: foreign(element),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr("task", self.task.clone())
            .with_children(self.payload.iter().cloned())
    }
}

/// What a task's protocol exchanges, either way (§2.6.3).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TaskData {
    /// As it stands.
    pub payload: Vec<Element>,
}

impl fmt::Debug for TaskData {
    /// The payload may be a second factor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskData({} elements)", self.payload.len())
    }
}

impl Payload for TaskData {
    const NAME: &'static str = "task-data";
    const NS: &'static str = ns::SASL2;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            payload: foreign(element),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS).with_children(self.payload.iter().cloned())
    }
}
