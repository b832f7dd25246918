//! The server's side of SCRAM as a plain state machine (RFC 5802 §5).
//!
//! Owns the order of the server's steps and every check on what a client sends.
//! It asks for the account's keys between two steps, so that no store is known
//! here; who may act as whom is [`crate::server`]'s.
//!
//! ```text
//! ClientFirst --client_first--> Keys --challenge--> ClientFinal --client_final--> Done
//!    any error: Failed, for good
//! ```

use thiserror::Error;

use crate::binding::BindingType;
use crate::mechanism::ScramHash;
use crate::nonce::Nonce;
use crate::scram::keys::{StoredKeys, same_secret, xor};
use crate::scram::message::{
    ClientFinal, ClientFirst, Gs2Flag, MessageError, server_final, server_first,
};

/// Why a server refuses a SCRAM client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScramServerError {
    /// A message breaks RFC 5802.
    #[error("the client broke the mechanism's syntax")]
    Malformed(#[from] MessageError),
    /// The nonce is not the one that was sent (§5.1).
    #[error("the client's nonce is not the one that was sent")]
    NonceMismatch,
    /// The `c=` is not what was said first (§6).
    #[error("the GS2 header changed between the client's messages")]
    HeaderChanged,
    /// Both ends see another TLS connection.
    #[error("channel binding does not match")]
    ChannelBindingMismatch,
    /// A binding type that is not there, or a flag that does not go with the mechanism.
    #[error("channel binding of this type is not supported")]
    ChannelBindingUnsupported,
    /// The flag was `y`, and `-PLUS` had been offered: the offer was stripped on the way.
    #[error("server does support channel binding")]
    ChannelBindingStripped,
    /// The proof is wrong, or there is no such user.
    #[error("the proof is wrong")]
    WrongProof,
    /// Out of order; the caller's fault.
    #[error("the exchange is over, or has not come so far")]
    Misuse,
}

/// What a SCRAM server needs to begin.
#[derive(Debug, Clone)]
pub struct ScramServerParameters {
    /// The hash of the mechanism.
    pub hash: ScramHash,
    /// Whether the mechanism is the `-PLUS` one: then the client must bind.
    pub plus: bool,
    /// Whether any `-PLUS` mechanism was offered: then the flag `y` is refused.
    pub plus_offered: bool,
    /// This side's part of the nonce, fresh for each exchange.
    pub nonce: Nonce,
    /// The attribute `h` to send (XEP-0474), if any.
    pub offer_hash: Option<String>,
}

/// A client that proved itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScramAccepted {
    /// The user name, as sent (after unescaping, before SASLprep).
    pub username: String,
    /// The identity that it wants to act as, if it named one.
    pub authzid: Option<String>,
    /// The type that the login is bound with.
    pub binding: Option<BindingType>,
    /// The server-final-message, for the client to check.
    pub server_final: Vec<u8>,
}

/// The server's side of one SCRAM exchange.
#[derive(Debug)]
pub struct ScramServer {
    parameters: ScramServerParameters,
    state: State,
}

#[derive(Debug)]
struct Begun {
    username: String,
    authzid: Option<String>,
    gs2_header: String,
    binding: Option<BindingType>,
    bare: String,
    client_nonce: String,
}

#[derive(Debug)]
enum State {
    ClientFirst,
    Keys(Begun),
    ClientFinal {
        begun: Begun,
        nonce: String,
        server_first: String,
        keys: StoredKeys,
    },
    Over,
}

impl ScramServer {
    /// Begins; sends nothing.
    #[must_use]
    pub fn new(parameters: ScramServerParameters) -> Self {
        Self {
            parameters,
            state: State::ClientFirst,
        }
    }

    /// Takes the client-first-message and tells whose keys are needed: the user
    /// name, before SASLprep.
    ///
    /// # Errors
    ///
    /// [`ScramServerError`] of the peer's; the exchange is then over.
    pub fn client_first(&mut self, message: &[u8]) -> Result<&str, ScramServerError> {
        let State::ClientFirst = std::mem::replace(&mut self.state, State::Over) else {
            return Err(ScramServerError::Misuse);
        };
        let first = ClientFirst::parse(message)?;
        let binding = match (first.flag, self.parameters.plus) {
            (Gs2Flag::Used(name), true) => {
                Some(BindingType::parse(name).ok_or(ScramServerError::ChannelBindingUnsupported)?)
            }
            (Gs2Flag::ServerLacks, false) if self.parameters.plus_offered => {
                return Err(ScramServerError::ChannelBindingStripped);
            }
            (Gs2Flag::NotSupported | Gs2Flag::ServerLacks, false) => None,
            (Gs2Flag::Used(_), false) | (_, true) => {
                return Err(ScramServerError::ChannelBindingUnsupported);
            }
        };
        let begun = Begun {
            username: first.username,
            authzid: first.authzid,
            gs2_header: first.gs2_header.to_owned(),
            binding,
            bare: first.bare.to_owned(),
            client_nonce: first.nonce.to_owned(),
        };
        self.state = State::Keys(begun);
        match &self.state {
            State::Keys(begun) => Ok(&begun.username),
            _ => Err(ScramServerError::Misuse),
        }
    }

    /// The type that the client wants to bind with, once it has said so.
    #[must_use]
    pub fn binding(&self) -> Option<BindingType> {
        match &self.state {
            State::Keys(begun) | State::ClientFinal { begun, .. } => begun.binding,
            State::ClientFirst | State::Over => None,
        }
    }

    /// Takes the keys of the account, and gives the server-first-message. For an
    /// unknown user, take keys that no password fits.
    ///
    /// # Errors
    ///
    /// [`ScramServerError::Misuse`] if not just after [`ScramServer::client_first`],
    /// or with keys for another hash.
    pub fn challenge(&mut self, keys: StoredKeys) -> Result<Vec<u8>, ScramServerError> {
        let State::Keys(begun) = std::mem::replace(&mut self.state, State::Over) else {
            return Err(ScramServerError::Misuse);
        };
        if keys.hash() != self.parameters.hash {
            return Err(ScramServerError::Misuse);
        }
        let nonce = format!("{}{}", begun.client_nonce, self.parameters.nonce.as_str());
        let server_first = server_first(
            &nonce,
            keys.salt(),
            keys.iterations(),
            self.parameters.offer_hash.as_deref(),
        );
        let message = server_first.clone().into_bytes();
        self.state = State::ClientFinal {
            begun,
            nonce,
            server_first,
            keys,
        };
        Ok(message)
    }

    /// Takes the client-final-message. `binding_value` is this side's value of
    /// [`ScramServer::binding`], if the connection has one.
    ///
    /// # Errors
    ///
    /// [`ScramServerError`] of the peer's; the exchange is over either way.
    pub fn client_final(
        &mut self,
        message: &[u8],
        binding_value: Option<&[u8]>,
    ) -> Result<ScramAccepted, ScramServerError> {
        let State::ClientFinal {
            begun,
            nonce,
            server_first,
            keys,
        } = std::mem::replace(&mut self.state, State::Over)
        else {
            return Err(ScramServerError::Misuse);
        };
        let last = ClientFinal::parse(message)?;
        let value = last
            .channel_binding
            .strip_prefix(begun.gs2_header.as_bytes())
            .ok_or(ScramServerError::HeaderChanged)?;
        let matches = match begun.binding {
            None => value.is_empty(),
            Some(_) => binding_value.is_some_and(|ours| same_secret(value, ours)),
        };
        if !matches {
            return Err(ScramServerError::ChannelBindingMismatch);
        }
        if last.nonce != nonce {
            return Err(ScramServerError::NonceMismatch);
        }
        let auth_message: [&[u8]; 5] = [
            begun.bare.as_bytes(),
            b",",
            server_first.as_bytes(),
            b",",
            last.without_proof.as_bytes(),
        ];
        let hash = self.parameters.hash;
        let client_signature = hash.hmac(keys.stored_key(), &auth_message);
        let client_key = xor(&last.proof, &client_signature).ok_or(ScramServerError::WrongProof)?;
        if !same_secret(&hash.digest(&client_key), keys.stored_key()) {
            return Err(ScramServerError::WrongProof);
        }
        let signature = hash.hmac(keys.server_key(), &auth_message);
        Ok(ScramAccepted {
            username: begun.username,
            authzid: begun.authzid,
            binding: begun.binding,
            server_final: server_final(&signature).into_bytes(),
        })
    }
}
