//! Channel bindings (RFC 5056, RFC 5929, RFC 9266): the types, the values that
//! a TLS connection gives, and what became of binding in a login.
//!
//! Which binding is used is decided in [`crate::policy`]; the values come from
//! the transport; the bytes on the wire belong to [`crate::scram`].

use std::fmt;

use crate::scram::ServerError;

/// A channel binding type. Ordered by strength, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum BindingType {
    /// Hash of the server's certificate (RFC 5929 §4). Binds to the
    /// certificate, not to the connection: no help once its key is stolen.
    TlsServerEndPoint,
    /// First Finished message (RFC 5929 §3). TLS 1.2 and older only.
    TlsUnique,
    /// Exported keying material (RFC 9266). The default for TLS 1.3.
    TlsExporter,
}

impl BindingType {
    /// All types, strongest first.
    pub const STRONGEST_FIRST: [Self; 3] =
        [Self::TlsExporter, Self::TlsUnique, Self::TlsServerEndPoint];

    /// The registered unique prefix, as in XEP-0440 and after `p=` in SCRAM.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TlsExporter => "tls-exporter",
            Self::TlsUnique => "tls-unique",
            Self::TlsServerEndPoint => "tls-server-end-point",
        }
    }

    /// Reads a registered prefix; `None` for a type that this crate does not know.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::STRONGEST_FIRST
            .into_iter()
            .find(|t| t.as_str() == name)
    }
}

impl fmt::Display for BindingType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The binding values of one TLS connection. Empty without TLS.
///
/// Fill in only what the connection really has: a value that is present is
/// taken as a promise that this side can bind with it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ChannelBindings {
    /// 32 bytes of keying material under `EXPORTER-Channel-Binding` (RFC 9266 §4.2).
    pub tls_exporter: Option<[u8; 32]>,
    /// Hash of the server's certificate (RFC 5929 §4.1).
    pub tls_server_end_point: Option<Vec<u8>>,
    /// First Finished message; never on TLS 1.3 (RFC 9266 §3).
    pub tls_unique: Option<Vec<u8>>,
}

impl ChannelBindings {
    /// The value for one type, if this connection has it.
    #[must_use]
    pub fn get(&self, binding: BindingType) -> Option<&[u8]> {
        match binding {
            BindingType::TlsExporter => self.tls_exporter.as_ref().map(<[u8; 32]>::as_slice),
            BindingType::TlsUnique => self.tls_unique.as_deref(),
            BindingType::TlsServerEndPoint => self.tls_server_end_point.as_deref(),
        }
    }

    /// The types that this connection has, strongest first.
    pub fn types(&self) -> impl Iterator<Item = BindingType> + '_ {
        BindingType::STRONGEST_FIRST
            .into_iter()
            .filter(|t| self.get(*t).is_some())
    }

    /// Whether there is no value at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.types().next().is_none()
    }
}

// The exporter's output is as secret as the connection: names only.
impl fmt::Debug for ChannelBindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.types()).finish()
    }
}

/// What became of channel binding in one login. Worth showing to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Binding {
    /// The login is bound to the TLS connection by this value.
    Bound(BindingType),
    /// This side could bind, the server offers no `-PLUS`; said so with the
    /// flag `y`, so that a stripped offer is noticed (RFC 5802 §6).
    NotOffered,
    /// The connection gives this side nothing to bind with; flag `n`.
    Unavailable,
    /// [`ChannelBindingPolicy::Never`](crate::policy::ChannelBindingPolicy::Never); flag `n`.
    Disabled,
    /// The server lists binding types (XEP-0440), none of them ours; flag `n`.
    NoneInCommon,
    /// The server offered binding and then refused it; the login was repeated
    /// with the flag `n` (see [`Retry`](crate::client::Retry)). Report this.
    RefusedByServer,
    /// The mechanism knows no binding (PLAIN, EXTERNAL, ANONYMOUS).
    NotApplicable,
}

/// The evidence that a server refused channel binding. Only
/// [`ClientAuth`](crate::ClientAuth) makes one, and only where giving way is allowed; it
/// serves for one more try.
#[derive(Debug, PartialEq, Eq)]
pub struct BindingRefused {
    evidence: RefusalEvidence,
}

/// How the server said that channel binding is what it refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalEvidence {
    /// By an `e=` value inside SCRAM.
    ServerError(ServerError),
    /// By the text of the `<failure/>`.
    FailureText,
}

impl BindingRefused {
    pub(crate) const fn new(evidence: RefusalEvidence) -> Self {
        Self { evidence }
    }

    /// How the server said it.
    #[must_use]
    pub const fn evidence(&self) -> RefusalEvidence {
        self.evidence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_binding_comes_first() {
        let all = ChannelBindings {
            tls_exporter: Some([1; 32]),
            tls_server_end_point: Some(vec![2; 32]),
            tls_unique: Some(vec![3; 12]),
        };
        let order: Vec<_> = all.types().collect();
        assert_eq!(order, BindingType::STRONGEST_FIRST);
        assert!(order.windows(2).all(|w| w[0] > w[1]));
    }

    #[test]
    fn binding_values_do_not_show_in_debug_output() {
        let bindings = ChannelBindings {
            tls_exporter: Some([0xAB; 32]),
            ..ChannelBindings::default()
        };
        assert_eq!(format!("{bindings:?}"), "{TlsExporter}");
    }
}
