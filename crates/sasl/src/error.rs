//! Why an exchange failed on the client's side.
//!
//! Owns [`AuthError`], sorted by blame. Choosing a mechanism has its own
//! [`SelectError`](crate::policy::SelectError); a server answers with a
//! [`SaslCondition`](crate::condition::SaslCondition) instead.

use thiserror::Error;

use crate::prepare::PrepareError;
use crate::scram::{MessageError, ServerError};

/// Why a client gave up on an exchange. Send `<abort/>` and close the stream:
/// the exchange cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The server refuses inside SCRAM (`e=`). Wait for `<failure/>` or close;
    /// [`Authenticator::failure`](crate::client::Authenticator::failure) tells what next.
    #[error("the server refused: {0}")]
    Refused(ServerError),

    /// The peer: a message breaks RFC 5802. Do not retry.
    #[error("the server broke the mechanism's syntax")]
    Malformed(#[from] MessageError),
    /// The peer: its nonce is not ours with something added (RFC 5802 §5.1). Do not retry.
    #[error("the server's nonce does not continue ours (RFC 5802 §5.1): suspect tampering")]
    NonceMismatch,
    /// The peer: `v=` is wrong: the server does not know the password and says
    /// that all is well (RFC 5802 §5). Do not retry; tell the user.
    #[error("the server could not prove that it knows the account: suspect an impostor")]
    ServerSignatureWrong,
    /// The peer: success without the proof of the server (RFC 5802 §5). Do not
    /// retry; tell the user.
    #[error("the server reported success without proving itself: suspect an impostor")]
    ServerSignatureMissing,
    /// The peer: the hash over its offer is not that of the offer received
    /// (XEP-0474 §4.2). Do not retry; tell the user.
    #[error("somebody changed the server's offer of mechanisms on the way (XEP-0474)")]
    OfferTampered,
    /// The peer: data where the mechanism has none. Do not retry.
    #[error("the server sent data that the mechanism does not know")]
    UnexpectedData,

    /// Policy: no password, user name or authorization identity fit for this
    /// mechanism. Ask the user.
    #[error("the credentials cannot be used")]
    Credentials(#[from] PrepareError),
    /// Policy: a server with so few iterations makes a recorded login cheap to
    /// guess. Lower [`ScramLimits`](crate::policy::ScramLimits) only if you must.
    #[error("the server asks for {got} iterations, fewer than the minimum of {minimum}")]
    TooFewIterations {
        /// What the server asked for.
        got: u32,
        /// The bound.
        minimum: u32,
    },
    /// Policy: so many iterations would occupy this machine for too long. Raise
    /// [`ScramLimits`](crate::policy::ScramLimits) only for a server you trust.
    #[error("the server asks for {got} iterations, more than the maximum of {maximum}")]
    TooManyIterations {
        /// What the server asked for (`u32::MAX` also for anything above).
        got: u32,
        /// The bound.
        maximum: u32,
    },
    /// Policy: the salt is empty or over the bound.
    #[error("the server's salt has {got} bytes, outside 1 to {maximum}")]
    SaltLength {
        /// Bytes in the salt.
        got: usize,
        /// The bound.
        maximum: usize,
    },

    /// The caller: a method out of its order, or after an error or the end.
    #[error("the exchange is over, or has not begun: start a new one")]
    Misuse,
    /// The framework under this crate failed in a way that it never should.
    #[error("the SASL framework failed; report this with the mechanism's name")]
    Framework,
}
