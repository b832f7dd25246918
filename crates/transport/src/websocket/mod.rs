//! WebSockets for XMPP (RFC 7395), at the client: how one is named, and how a connected
//! pipe becomes one. The protocol itself (RFC 6455) is `tungstenite`'s; TLS is `tls`'s,
//! below; the framing of streams is in `stream`, above.

mod socket;
mod upgrade;
mod uri;

pub(crate) use socket::Socket;
pub use upgrade::UpgradeError;
pub(crate) use upgrade::{limit, upgrade};
pub use uri::{UriError, WebSocketUri};

/// The subprotocol that both ends have to name (RFC 7395 §3.1).
pub const SUBPROTOCOL: &str = "xmpp";
