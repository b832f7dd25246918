//! The features that the hub offers at each stage (RFC 6120 §4.3.2).

use stanchion_sasl::ServerAuth;
use stanchion_stanza::stream::Requirement;
use stanchion_stanza::{Element, Text, ns, stream::StreamFeatures};

/// TLS comes first, and nothing is offered without it (RFC 6120 §5.3.1).
pub(super) fn before_tls() -> StreamFeatures {
    StreamFeatures {
        starttls: Some(Requirement::Required),
        ..StreamFeatures::default()
    }
}

/// The mechanisms, what they can be bound to (XEP-0440), and whether accounts are made
/// (XEP-0077 §8).
pub(super) fn before_login(auth: &ServerAuth, registers: bool) -> StreamFeatures {
    let texts = |names: Vec<&'static str>| names.into_iter().map(Text::from_static).collect();
    StreamFeatures {
        mechanisms: texts(auth.advertised()),
        channel_bindings: auth.advertised_bindings().map(texts),
        other: registers
            .then(|| Element::new("register", ns::REGISTER_FEATURE))
            .into_iter()
            .collect(),
        ..StreamFeatures::default()
    }
}

/// Binding, stream management (XEP-0198), limits (XEP-0478), versions of the roster
/// (RFC 6121 §2.6.1), and the session request of RFC 3921, which old clients send unless
/// it is optional.
pub(super) fn after_login(max_bytes: usize) -> StreamFeatures {
    let session =
        Element::new("session", ns::SESSION).with_child(Element::new("optional", ns::SESSION));
    StreamFeatures {
        bind: true,
        stream_management: true,
        max_bytes: u64::try_from(max_bytes).ok(),
        other: vec![session, Element::new("ver", ns::ROSTER_VER)],
        ..StreamFeatures::default()
    }
}
