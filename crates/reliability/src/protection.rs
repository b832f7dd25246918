//! What a message asks of the stream that carries it, and what a stream offers. Who is
//! held back by it is decided in `engine`.

use stanchion_connect::Connection;
use stanchion_sasl::binding::Binding;
use stanchion_sasl::policy::ChannelSecurity;

/// How well a stream is protected, and how well it must be for a message. In order: each
/// level meets those before it.
///
/// It is about the stream to our own server. What the server does with the message, and
/// how it reaches the recipient, is out of sight (RFC 6120 §13.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Protection {
    /// Nothing is asked. A stream in the clear offers this.
    Any,
    /// Nobody who only listens can read it: TLS, with whomever.
    Encrypted,
    /// TLS, and the other end is the server of the account's domain. The default for
    /// messages.
    #[default]
    EncryptedAndAuthenticated,
}

impl Protection {
    /// What the stream of `connection` offers.
    ///
    /// - Over loopback, where that is known ([`Connection::local`]): the strictest. Nobody
    ///   is on the way; who may listen on this machine's ports is its owner's affair.
    /// - In the clear: [`Protection::Any`], whatever the login proved: an attacker on the
    ///   way reads and changes all that follows it.
    /// - TLS with a certificate that was verified for the domain, or pinned: the strictest,
    ///   whatever the mechanism. The certificate speaks for the server (RFC 6120 §13.7.1);
    ///   a mechanism that proves it, too, adds nothing that a message could ask for.
    /// - TLS without that, and a login in which the server proved that it knows the account
    ///   and which is bound to this very TLS session (RFC 5056): the strictest as well.
    ///   The proof alone is not enough: an attacker in the middle can pass it on.
    /// - Any other TLS: [`Protection::Encrypted`].
    #[must_use]
    pub const fn of(connection: &Connection) -> Self {
        if connection.local {
            return Self::EncryptedAndAuthenticated;
        }
        let login = &connection.established.login;
        let bound = login.server_proved && matches!(login.binding, Binding::Bound(_));
        match connection.established.security {
            ChannelSecurity::Tls {
                server_verified, ..
            } if server_verified || bound => Self::EncryptedAndAuthenticated,
            ChannelSecurity::Tls { .. } => Self::Encrypted,
            // What is unknown protects nothing.
            _ => Self::Any,
        }
    }

    /// Whether a stream of this protection may carry a message that asks for `wanted`.
    #[must_use]
    pub fn meets(self, wanted: Self) -> bool {
        self >= wanted
    }

    /// As the store keeps it. 0 is also what was written before there was a choice.
    pub(crate) const fn to_number(self) -> u8 {
        match self {
            Self::EncryptedAndAuthenticated => 0,
            Self::Encrypted => 1,
            Self::Any => 2,
        }
    }

    /// Reads what a store keeps as
    /// [`OutboundRecord::protection`](crate::store::OutboundRecord::protection). A number
    /// of a later version asks for the strictest.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Encrypted,
            2 => Self::Any,
            _ => Self::EncryptedAndAuthenticated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_connect::Endpoint;
    use stanchion_connect::negotiation::Established;
    use stanchion_stanza::Limits;
    use stanchion_transport::{TlsMode, XmppStream, memory};

    #[test]
    fn a_stream_that_stays_on_this_machine_is_protected_and_others_in_the_clear_are_not() {
        let (near, _far) = memory::pair(64);
        let stream = XmppStream::new(near, Limits::default());
        let established = Established::new("cloud.example/component".parse().unwrap());
        let place = Endpoint::at(([127, 0, 0, 1], 5347).into(), TlsMode::None);
        let mut connection = Connection::new(stream, established, place);
        assert_eq!(Protection::of(&connection), Protection::Any);
        connection.local = true;
        let strictest = Protection::EncryptedAndAuthenticated;
        assert_eq!(Protection::of(&connection), strictest);
    }

    #[test]
    fn an_unknown_number_asks_for_the_strictest() {
        for number in 3..=u8::MAX {
            assert_eq!(Protection::from_number(number), Protection::default());
        }
    }

    #[test]
    fn every_level_is_read_back_as_written() {
        use Protection::{Any, Encrypted, EncryptedAndAuthenticated};
        for level in [Any, Encrypted, EncryptedAndAuthenticated] {
            assert_eq!(Protection::from_number(level.to_number()), level);
        }
    }
}
