//! A small XMPP server.
mod accounts;
mod limits;
pub mod router;
mod stamp;
pub mod stream;
pub use accounts::{Accounts, AccountsError};
