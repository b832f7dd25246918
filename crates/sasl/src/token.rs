//! HT-SHA-256: login with a token that the server handed out before
//! (draft-schmaus-kitten-sasl-ht, used by FAST, XEP-0484). Client's side.
//!
//! Owns the one message and the check of the answer; the second implementation of
//! [`Authenticator`]. Asking for a token and keeping it belong to the layers above.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;

use crate::binding::{Binding, BindingType, ChannelBindings};
use crate::client::{Authenticated, Authenticator, Retry};
use crate::condition::SaslCondition;
use crate::error::AuthError;
use crate::mechanism::ScramHash;
use crate::prepare::check_verbatim;
use crate::scram::keys::{Bytes, same_secret};

/// The variants by binding, strongest first; `None` is the unbound one.
const VARIANTS: [(&str, Option<BindingType>); 4] = [
    ("HT-SHA-256-EXPR", Some(BindingType::TlsExporter)),
    ("HT-SHA-256-UNIQ", Some(BindingType::TlsUnique)),
    ("HT-SHA-256-ENDP", Some(BindingType::TlsServerEndPoint)),
    ("HT-SHA-256-NONE", None),
];

/// The strongest HT mechanism among the offered ones that this connection can
/// bind for; `None` if there is none. A token is good for one mechanism: choose
/// before asking for it (XEP-0484 §3.3).
#[must_use]
pub fn choose(offered: &[&str], bindings: &ChannelBindings) -> Option<&'static str> {
    VARIANTS
        .into_iter()
        .find(|(name, binding)| {
            offered.contains(name) && binding.is_none_or(|b| bindings.get(b).is_some())
        })
        .map(|(name, _)| name)
}

/// The client's side of one exchange with a token.
pub struct TokenAuth {
    mechanism: &'static str,
    binding: Binding,
    stage: Stage,
}

enum Stage {
    Ready { message: Vec<u8>, answer: Bytes },
    Sent { answer: Bytes },
    Over,
}

impl fmt::Debug for TokenAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAuth")
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

impl TokenAuth {
    /// Prepares a login with the mechanism that the token was given out for.
    /// `None` if that is no HT mechanism of this crate, or if this connection
    /// has not the binding value that it needs.
    ///
    /// # Errors
    ///
    /// [`AuthError::Credentials`] if the user name or the token is empty, too long
    /// or has a NUL.
    pub fn new(
        mechanism: &str,
        username: &str,
        token: &SecretString,
        bindings: &ChannelBindings,
    ) -> Result<Option<Self>, AuthError> {
        check_verbatim(username)?;
        check_verbatim(token.expose_secret())?;
        let Some((mechanism, binding)) = VARIANTS.into_iter().find(|(n, _)| *n == mechanism) else {
            return Ok(None);
        };
        let value = match binding.map(|b| bindings.get(b)) {
            None => &[][..],
            Some(Some(value)) => value,
            Some(None) => return Ok(None),
        };
        let key = token.expose_secret().as_bytes();
        let hmac = |label: &[u8]| ScramHash::Sha256.hmac(key, &[label, value]);
        let mut message = Vec::with_capacity(username.len() + 1 + 32);
        message.extend_from_slice(username.as_bytes());
        message.push(0);
        message.extend_from_slice(&hmac(b"Initiator"));
        Ok(Some(Self {
            mechanism,
            binding: binding.map_or(Binding::NotApplicable, Binding::Bound),
            stage: Stage::Ready {
                message,
                answer: hmac(b"Responder"),
            },
        }))
    }
}

impl TokenAuth {
    /// What is done about channel binding.
    #[must_use]
    pub const fn binding(&self) -> Binding {
        self.binding
    }
}

impl Authenticator for TokenAuth {
    fn mechanism(&self) -> &'static str {
        self.mechanism
    }

    fn initial_response(&mut self) -> Result<Option<Vec<u8>>, AuthError> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Ready { message, answer } => {
                self.stage = Stage::Sent { answer };
                Ok(Some(message))
            }
            Stage::Sent { .. } | Stage::Over => Err(AuthError::Misuse),
        }
    }

    fn challenge(&mut self, _data: &[u8]) -> Result<Vec<u8>, AuthError> {
        self.stage = Stage::Over;
        Err(AuthError::UnexpectedData)
    }

    fn success(&mut self, additional_data: Option<&[u8]>) -> Result<Authenticated, AuthError> {
        let Stage::Sent { answer } = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Err(AuthError::Misuse);
        };
        match additional_data {
            None | Some([]) => Err(AuthError::ServerSignatureMissing),
            Some(data) if same_secret(data, &answer) => Ok(Authenticated {
                mechanism: self.mechanism,
                binding: self.binding,
                server_proved: true,
                keys: None,
            }),
            Some(_) => Err(AuthError::ServerSignatureWrong),
        }
    }

    /// A refused token is used up: [`Retry::GiveUp`] means to log in with the
    /// password and to ask for a new one.
    fn failure(&mut self, condition: SaslCondition, _text: Option<&str>) -> Retry {
        self.stage = Stage::Over;
        match condition {
            SaslCondition::TemporaryAuthFailure => Retry::Later,
            _ => Retry::GiveUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exporter() -> ChannelBindings {
        ChannelBindings {
            tls_exporter: Some([7; 32]),
            ..ChannelBindings::default()
        }
    }

    fn auth(mechanism: &str, bindings: &ChannelBindings) -> TokenAuth {
        TokenAuth::new(mechanism, "alice", &"secret-token".into(), bindings)
            .unwrap()
            .unwrap()
    }

    #[test]
    fn the_message_and_the_answer_are_those_of_an_independent_computation() {
        let mut auth = auth("HT-SHA-256-EXPR", &exporter());
        let message = auth.initial_response().unwrap().unwrap();
        assert_eq!(
            message.strip_prefix(b"alice\0").map(hex).as_deref(),
            Some(INITIATOR)
        );
        let answer: Vec<u8> = (0..32)
            .map(|i| u8::from_str_radix(&RESPONDER[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        let done = auth.success(Some(&answer)).unwrap();
        assert!(done.server_proved);
        assert_eq!(done.binding, Binding::Bound(BindingType::TlsExporter));
    }

    #[test]
    fn success_without_the_servers_answer_is_no_login() {
        for data in [None, Some(&b""[..])] {
            let mut auth = auth("HT-SHA-256-NONE", &ChannelBindings::default());
            auth.initial_response().unwrap();
            assert_eq!(
                auth.success(data).err(),
                Some(AuthError::ServerSignatureMissing)
            );
        }
        let mut auth = auth("HT-SHA-256-NONE", &ChannelBindings::default());
        auth.initial_response().unwrap();
        assert_eq!(
            auth.success(Some(&[0; 32])).err(),
            Some(AuthError::ServerSignatureWrong)
        );
        assert_eq!(auth.success(Some(&[0; 32])).err(), Some(AuthError::Misuse));
    }

    #[test]
    fn a_token_for_a_binding_that_is_not_there_is_not_used() {
        let none = ChannelBindings::default();
        let made = TokenAuth::new("HT-SHA-256-EXPR", "alice", &"t".into(), &none).unwrap();
        assert!(made.is_none());
        let made = TokenAuth::new("HT-SHA3-512-NONE", "alice", &"t".into(), &none).unwrap();
        assert!(made.is_none());
    }

    #[test]
    fn the_strongest_binding_that_both_have_is_chosen() {
        let offered = ["HT-SHA-256-NONE", "HT-SHA-256-ENDP", "HT-SHA-256-EXPR"];
        assert_eq!(choose(&offered, &exporter()), Some("HT-SHA-256-EXPR"));
        assert_eq!(
            choose(&offered, &ChannelBindings::default()),
            Some("HT-SHA-256-NONE")
        );
        assert_eq!(choose(&["PLAIN"], &exporter()), None);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    const INITIATOR: &str = "31b747cc724172f9517d0771c7ac1d93195c2bf18c2ff29684b2e7466200fe88";
    const RESPONDER: &str = "9d3a0afb07f00a5178e6d7da07ff3a08dc32dce06ecef1f71a57428559521145";
}
