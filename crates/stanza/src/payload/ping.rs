//! XMPP ping (XEP-0199): a `get` whose result is empty.

use super::starttls::empty_payload;
use super::{Payload, PayloadError};
use crate::ns;
use crate::xml::Element;

empty_payload! {
    /// The request. A server answers it for a bare JID itself, even for an account
    /// that does not exist: ping the full JID to learn of a client.
    Ping, "ping", ns::PING
}
