//! The client's side of SCRAM as a plain state machine (RFC 5802 §5).
//!
//! Owns the order of the client's steps and every check on what a server sends.
//! Which flag and binding to use is decided in [`crate::policy`]; transport and
//! base64 around the messages are the caller's.
//!
//! ```text
//! Initial --first--> ServerFirst --next--> ServerFinal --next--> Done
//!    any error: Failed, for good
//! ```

use secrecy::{ExposeSecret, SecretString};
use std::fmt;

use crate::binding::BindingType;
use crate::error::AuthError;
use crate::mechanism::ScramHash;
use crate::nonce::Nonce;
use crate::policy::ScramLimits;
use crate::prepare::{check_verbatim, prepare};
use crate::scram::keys::{Bytes, ScramKeys, same_secret, xor};
use crate::scram::message::{
    Gs2Flag, ServerFinal, ServerFirst, client_final_without_proof, client_first_bare, gs2_header,
    with_proof,
};

/// What the client tells about channel binding (RFC 5802 §6).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientBinding {
    /// `n`: does not bind.
    NotSupported,
    /// `y`: could bind, and thinks that the server cannot.
    ServerLacks,
    /// `p=`: bound, for the `-PLUS` mechanisms.
    Bound {
        /// The type, named in the header.
        binding: BindingType,
        /// The value from the TLS connection.
        value: Vec<u8>,
    },
}

// The value may be as secret as the connection: only the header shows.
impl fmt::Debug for ClientBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientBinding({})", self.flag())
    }
}

impl ClientBinding {
    fn flag(&self) -> Gs2Flag<'static> {
        match self {
            Self::NotSupported => Gs2Flag::NotSupported,
            Self::ServerLacks => Gs2Flag::ServerLacks,
            Self::Bound { binding, .. } => Gs2Flag::Used(binding.as_str()),
        }
    }
}

/// The hash over the offer as this client received it (XEP-0474).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedOffer {
    /// From [`offer_hash`](crate::scram::downgrade::offer_hash).
    pub hash: String,
    /// Whether a server that sends no hash is refused.
    pub required: bool,
}

/// What a SCRAM client needs to begin.
#[derive(Debug, Clone)]
pub struct ScramClientParameters {
    /// The hash of the mechanism.
    pub hash: ScramHash,
    /// User name, before SASLprep.
    pub username: String,
    /// Password, before SASLprep.
    pub password: SecretString,
    /// Identity to act as, sent as it is.
    pub authzid: Option<String>,
    /// Flag and binding value.
    pub binding: ClientBinding,
    /// This side's nonce, fresh for each exchange.
    pub nonce: Nonce,
    /// Bounds on the server's demands.
    pub limits: ScramLimits,
    /// Keys from an earlier login: save PBKDF2 if they fit.
    pub keys: Option<ScramKeys>,
    /// The offer to check, if the server vouches for it; `None`: no check.
    pub offer: Option<ExpectedOffer>,
}

/// What came of a message from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Send this and go on.
    Send(Vec<u8>),
    /// The server has proved itself. Nothing to send.
    Finished,
}

/// The client's side of one SCRAM exchange.
pub struct ScramClient {
    parameters: ScramClientParameters,
    username: String,
    gs2_header: String,
    state: State,
}

impl fmt::Debug for ScramClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramClient")
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}

enum State {
    Initial,
    ServerFirst { bare: String },
    ServerFinal { keys: ScramKeys, signature: Bytes },
    Done { keys: ScramKeys },
    Failed,
}

impl ScramClient {
    /// Prepares the credentials; sends nothing.
    ///
    /// # Errors
    ///
    /// [`AuthError::Credentials`] if SASLprep refuses the user name, or the
    /// authorization identity is empty or too long. The password is prepared when
    /// it is needed.
    pub fn new(parameters: ScramClientParameters) -> Result<Self, AuthError> {
        let username = prepare(&parameters.username)?.to_string();
        if let Some(authzid) = &parameters.authzid {
            check_verbatim(authzid)?;
        }
        let gs2_header = gs2_header(parameters.binding.flag(), parameters.authzid.as_deref());
        Ok(Self {
            parameters,
            username,
            gs2_header,
            state: State::Initial,
        })
    }

    /// The client-first-message.
    ///
    /// # Errors
    ///
    /// [`AuthError::Misuse`] if called twice.
    pub fn first(&mut self) -> Result<Vec<u8>, AuthError> {
        let State::Initial = self.state else {
            self.state = State::Failed;
            return Err(AuthError::Misuse);
        };
        let bare = client_first_bare(&self.username, self.parameters.nonce.as_str());
        let message = format!("{}{bare}", self.gs2_header).into_bytes();
        self.state = State::ServerFirst { bare };
        Ok(message)
    }

    /// Replaces the offer to check, if that became known only after the first message.
    /// After the server's first one it has no effect.
    pub fn expect_offer(&mut self, offer: ExpectedOffer) {
        self.parameters.offer = Some(offer);
    }

    /// Takes the next message of the server, as received.
    ///
    /// The first one may run PBKDF2: a blocking computation, see
    /// [`ScramKeys::derive`] for the time it takes.
    ///
    /// # Errors
    ///
    /// Any [`AuthError`] of the peer's or the policy's; the exchange is then over.
    pub fn next(&mut self, message: &[u8]) -> Result<Progress, AuthError> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::ServerFirst { bare } => self.server_first(&bare, message),
            State::ServerFinal { keys, signature } => {
                match ServerFinal::parse(message)? {
                    ServerFinal::Error(error) => return Err(AuthError::Refused(error)),
                    ServerFinal::Verifier(v) if same_secret(&v, &signature) => {}
                    ServerFinal::Verifier(_) => return Err(AuthError::ServerSignatureWrong),
                }
                self.state = State::Done { keys };
                Ok(Progress::Finished)
            }
            State::Initial | State::Done { .. } | State::Failed => Err(AuthError::Misuse),
        }
    }

    /// Whether the server has proved that it knows the account.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Done { .. })
    }

    /// The keys of this login, once [`ScramClient::is_finished`].
    #[must_use]
    pub fn keys(&self) -> Option<&ScramKeys> {
        match &self.state {
            State::Done { keys } => Some(keys),
            _ => None,
        }
    }

    fn server_first(&mut self, bare: &str, message: &[u8]) -> Result<Progress, AuthError> {
        // A server may refuse at once, e.g. the binding type (RFC 5802 §6).
        if message.starts_with(b"e=")
            && let ServerFinal::Error(error) = ServerFinal::parse(message)?
        {
            return Err(AuthError::Refused(error));
        }
        let first = ServerFirst::parse(message)?;
        self.check(&first)?;
        let keys = self.keys_for(&first)?;

        let mut binding = self.gs2_header.clone().into_bytes();
        if let ClientBinding::Bound { value, .. } = &self.parameters.binding {
            binding.extend_from_slice(value);
        }
        let without_proof = client_final_without_proof(&binding, first.nonce);
        let hash = self.parameters.hash;
        // AuthMessage, with the server's message byte for byte as it came.
        let auth_message: [&[u8]; 5] = [
            bare.as_bytes(),
            b",",
            message,
            b",",
            without_proof.as_bytes(),
        ];
        let client_key = keys.client_key().expose_secret();
        let stored_key = hash.digest(client_key);
        let client_signature = hash.hmac(&stored_key, &auth_message);
        let proof = xor(client_key, &client_signature).ok_or(AuthError::Framework)?;
        let signature = hash.hmac(keys.server_key().expose_secret(), &auth_message);
        self.state = State::ServerFinal { keys, signature };
        Ok(Progress::Send(
            with_proof(without_proof, &proof).into_bytes(),
        ))
    }

    fn check(&self, first: &ServerFirst<'_>) -> Result<(), AuthError> {
        match first.nonce.strip_prefix(self.parameters.nonce.as_str()) {
            Some(added) if !added.is_empty() => {}
            _ => return Err(AuthError::NonceMismatch),
        }
        let ScramLimits {
            min_iterations,
            max_iterations,
            max_salt,
        } = self.parameters.limits;
        if first.iterations < min_iterations {
            return Err(AuthError::TooFewIterations {
                got: first.iterations,
                minimum: min_iterations,
            });
        }
        if first.iterations > max_iterations {
            return Err(AuthError::TooManyIterations {
                got: first.iterations,
                maximum: max_iterations,
            });
        }
        if !(1..=max_salt).contains(&first.salt.len()) {
            return Err(AuthError::SaltLength {
                got: first.salt.len(),
                maximum: max_salt,
            });
        }
        match (&self.parameters.offer, first.offer_hash) {
            (Some(expected), Some(got)) if expected.hash != got => Err(AuthError::OfferTampered),
            (Some(expected), None) if expected.required => Err(AuthError::OfferTampered),
            _ => Ok(()),
        }
    }

    fn keys_for(&mut self, first: &ServerFirst<'_>) -> Result<ScramKeys, AuthError> {
        let hash = self.parameters.hash;
        match self.parameters.keys.take() {
            Some(keys) if keys.fits(hash, &self.username, &first.salt, first.iterations) => {
                Ok(keys)
            }
            _ => {
                let password = prepare(self.parameters.password.expose_secret())?;
                Ok(ScramKeys::derive_prepared(
                    hash,
                    &self.username,
                    &password,
                    &first.salt,
                    first.iterations,
                ))
            }
        }
    }
}

/// How many iterations of PBKDF2 a client will run for this server-first-message:
/// 0 if it is malformed, or if the kept keys fit.
///
/// Changes nothing. Ask before [`ScramClient::next`] whether to move that call to
/// a thread for blocking work.
#[must_use]
pub fn iterations(
    hash: ScramHash,
    username: &str,
    keys: Option<&ScramKeys>,
    message: &[u8],
) -> u32 {
    let Ok(first) = ServerFirst::parse(message) else {
        return 0;
    };
    let kept = keys.is_some_and(|keys| {
        prepare(username).is_ok_and(|name| keys.fits(hash, &name, &first.salt, first.iterations))
    });
    if kept { 0 } else { first.iterations }
}
