//! Connected pipes for XMPP: TCP, TLS with channel binding, pipes inside a process,
//! and the framed XML stream over any of them, for both ends of a connection; and for
//! the client, over a WebSocket.
//!
//! ```
//! use stanchion_stanza::{Element, Limits, StreamEvent, ns, stream::StreamHeader};
//! use stanchion_transport::{XmppStream, memory};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let (near, far) = memory::pair(4096);
//! let mut client = XmppStream::new(near, Limits::default());
//! let mut server = XmppStream::new(far, Limits::default());
//!
//! // Queued first, then written at once.
//! client.open(&StreamHeader::initial("example.org".parse()?));
//! client.send(&Element::new("presence", ns::CLIENT))?;
//! client.flush().await?;
//!
//! let StreamEvent::Open(header) = server.next().await? else { panic!() };
//! assert_eq!(header.to, Some("example.org".parse()?));
//! let StreamEvent::Element(presence) = server.next().await? else { panic!() };
//! assert!(presence.is("presence", ns::CLIENT));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # From nothing to a secure stream
//! 1. A [`TlsPolicy`] says whom to trust; one [`TlsConnector`] is made of it.
//! 2. A [`Dial`] ([`TcpDial`] on the network, [`MemoryDial`] in tests) connects to an
//!    [`Endpoint`], with TLS at once or without.
//! 3. An [`XmppStream`] frames the pipe. For STARTTLS, [`XmppStream::into_transport`]
//!    gives the pipe back, and [`Dial::upgrade`] makes a protected one of it.
//!    For a WebSocket, [`XmppStream::websocket`] asks for one over the pipe, and from
//!    there on nothing is different.
//! 4. [`Transport::security`] tells what protects the pipe, and holds the channel
//!    binding data for SASL; [`Transport::traffic`] tells what it cost.
//!
//! A server accepts a TCP connection, wraps it by [`tcp::accepted`], and upgrades it by
//! a [`TlsAcceptor`].
//!
//! # Guarantees
//! - The certificate is checked against the domain of the JID, never against the host
//!   that was dialled, and there is no way to switch the check off.
//! - Nothing that was read before a TLS handshake is believed after it.
//! - Every buffer that a peer can fill is bounded.
//! - Every future may be dropped; deadlines are the caller's.

pub mod dial;
pub mod endpoint;
pub mod memory;
pub mod pipe;
pub mod security;
pub mod stream;
pub mod tcp;
pub mod tls;
pub mod traffic;
pub mod websocket;

pub use dial::{Dial, DialError};
pub use endpoint::{Endpoint, Host, TlsMode};
pub use memory::MemoryDial;
pub use pipe::{BoxTransport, Transport};
pub use security::Security;
pub use stream::{StreamFault, XmppStream};
pub use tcp::TcpDial;
pub use tls::{TlsAcceptor, TlsConnector, TlsPolicy};
