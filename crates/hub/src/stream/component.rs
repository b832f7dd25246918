//! A component's handshake (XEP-0114 §3): the other kind of negotiation. Its stream is in
//! the clear, and there is nothing to choose: the header names the component's domain, the
//! answer an id, and a digest over that id proves that the component knows the secret.

use std::sync::Arc;
use std::time::Instant;

use secrecy::{ExposeSecret as _, SecretString};
use sha1::{Digest as _, Sha1};
use stanchion_stanza::payload::component::Handshake;
use stanchion_stanza::stream::{StreamCondition, StreamHeader};
use stanchion_stanza::{Element, Jid, Payload as _, Text, ns};
use subtle::ConstantTimeEq as _;

use super::{Negotiable, Negotiation, Output, State};

/// The component that may attach itself.
#[derive(Debug)]
pub struct Attachable {
    /// Its domain.
    pub domain: Jid,
    /// What it has to know.
    pub secret: SecretString,
}

impl Attachable {
    /// Whether that is the proof for a stream of that id. Takes as long for a wrong one as
    /// for the right one.
    fn is_proof(&self, id: &str, proof: &str) -> bool {
        use std::fmt::Write as _;
        let mut hash = Sha1::new();
        hash.update(id.as_bytes());
        hash.update(self.secret.expose_secret().as_bytes());
        let mut right = String::with_capacity(40);
        for byte in hash.finalize() {
            // Writing to a string cannot fail.
            let _ = write!(right, "{byte:02x}");
        }
        right.as_bytes().ct_eq(proof.as_bytes()).into()
    }

    /// The header that answers a component's.
    pub(super) fn header(&self, id: Text) -> StreamHeader {
        let mut header = StreamHeader::component(self.domain.clone());
        header.from = header.to.take();
        header.id = Some(id);
        header
    }
}

impl Negotiation {
    /// A connection that was just accepted on the port for components. `entropy` is random.
    #[must_use]
    pub fn of_component(
        shared: Negotiable,
        component: Arc<Attachable>,
        now: Instant,
        entropy: [u8; 24],
    ) -> Self {
        let mut negotiation = Self::new(shared, now, entropy);
        negotiation.component = Some(component);
        negotiation
    }

    pub(super) fn component_header(
        &mut self,
        component: &Attachable,
        header: &StreamHeader,
        entropy: &[u8; 24],
    ) {
        let id = Text::base64(entropy);
        let known = header.to.as_ref() == Some(&component.domain);
        let mut answer = component.header(id.clone());
        // We do not speak for a domain that we do not know.
        answer.from = answer.from.filter(|_| known);
        self.outputs.push_back(Output::Open(answer));
        self.opened = true;
        if header.content_namespace() != ns::COMPONENT {
            return self.fail(StreamCondition::InvalidNamespace);
        }
        if !known {
            return self.fail(StreamCondition::HostUnknown);
        }
        self.state = State::Proving { id };
    }

    /// What came where a proof is awaited.
    pub(super) fn prove(&mut self, element: &Element) {
        let (State::Proving { id }, Some(component)) = (&self.state, &self.component) else {
            return;
        };
        let proof = Handshake::matches(element).then(|| element.text_value());
        if !proof.is_some_and(|proof| component.is_proof(id, &proof)) {
            return self.fail(StreamCondition::NotAuthorized);
        }
        let domain = component.domain.clone();
        self.state = State::Open { account: None };
        self.outputs.push_back(Output::Attached { domain });
    }
}
