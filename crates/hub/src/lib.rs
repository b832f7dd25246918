//! A small XMPP server.
mod limits;
pub mod router;
mod stamp;
