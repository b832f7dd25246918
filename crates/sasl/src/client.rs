//! The client's side of one authentication: from an offer to a proof, or to the
//! knowledge of what to do next.
//!
//! Owns the seam [`Authenticator`] and its main implementation [`ClientAuth`].
//! The choice is made in [`crate::policy`], the messages by the mechanisms; XML,
//! base64 and sockets are the caller's.

use secrecy::ExposeSecret;

use crate::binding::{Binding, BindingRefused, RefusalEvidence};
use crate::condition::SaslCondition;
use crate::credentials::Credentials;
use crate::error::AuthError;
use crate::framework::client::{ClientSession, ClientSetup, Outcome};
use crate::nonce::Nonce;
use crate::policy::{
    Channel, ChannelBindingPolicy, ChannelSecurity, Offer, Policy, SelectError, Selection,
};
use crate::prepare::{check_verbatim, prepare};
use crate::scram::ServerError;
use crate::scram::client::{ExpectedOffer, iterations};
use crate::scram::downgrade::offer_hash;
use crate::scram::keys::ScramKeys;

/// The client's side of one exchange, whatever the mechanism.
///
/// Calls come in this order: [`initial_response`](Self::initial_response) once,
/// [`challenge`](Self::challenge) as often as the server asks, then
/// [`success`](Self::success) or [`failure`](Self::failure) once. All data is raw:
/// base64, `=` for the empty message and XML belong to the layer above.
pub trait Authenticator: Send {
    /// The mechanism's name, for the `mechanism` attribute.
    fn mechanism(&self) -> &'static str;

    /// What goes with the mechanism's name; `Some` of nothing is an empty
    /// message (`=` on the wire), `None` is no message.
    ///
    /// # Errors
    ///
    /// [`AuthError`] if the credentials cannot be used, or on a second call.
    fn initial_response(&mut self) -> Result<Option<Vec<u8>>, AuthError>;

    /// Replaces the offer that a server has to vouch for (XEP-0474), and that decides
    /// nothing else any more: for an exchange begun before the features were read. To be
    /// called before the first [`challenge`](Self::challenge); later it does nothing.
    /// Mechanisms that check no offer ignore it.
    fn expect_offer(&mut self, _offer: &Offer<'_>) {}

    /// How many iterations of PBKDF2 [`challenge`](Self::challenge) will run for
    /// this data; 0 if none. From about 10 000 on, an asynchronous caller should
    /// move that call to a thread for blocking work.
    fn iterations(&self, _challenge: &[u8]) -> u32 {
        0
    }

    /// Answers a challenge. Blocks for the time that [`iterations`](Self::iterations) foretells.
    ///
    /// # Errors
    ///
    /// [`AuthError`]: send `<abort/>`; the exchange is over.
    fn challenge(&mut self, data: &[u8]) -> Result<Vec<u8>, AuthError>;

    /// Checks the server's success. **Only an `Ok` of this method is a login**:
    /// a server that reports success without having proved itself is refused.
    ///
    /// # Errors
    ///
    /// [`AuthError`]: close the stream at once.
    fn success(&mut self, additional_data: Option<&[u8]>) -> Result<Authenticated, AuthError>;

    /// Tells what to do after the server's `<failure/>`.
    fn failure(&mut self, condition: SaslCondition, text: Option<&str>) -> Retry;
}

/// A login that both sides have agreed on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Authenticated {
    /// The mechanism's name.
    pub mechanism: &'static str,
    /// What became of channel binding; [`Binding::RefusedByServer`] should be reported.
    pub binding: Binding,
    /// Whether the server proved that it knows the account (SCRAM, tokens).
    /// Otherwise only its certificate speaks for it.
    pub server_proved: bool,
    /// Keys to keep and give back to [`ClientAuth::use_keys`] at the next login.
    pub keys: Option<ScramKeys>,
}

/// What to do after the server refused.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Retry {
    /// The same try will fail again: ask the user, or another kind of credentials.
    GiveUp,
    /// The server cannot tell now: the same try later may succeed.
    Later,
    /// The server failed over channel binding: try once more on this or a new
    /// stream, with [`ClientAuth::select_without_binding`].
    WithoutBinding(BindingRefused),
}

/// The client's side of one exchange with a mechanism of this crate.
///
/// See the [crate's front page](crate) for an example.
pub struct ClientAuth {
    selection: Selection,
    username: String,
    /// A refusal over binding may be given way to.
    may_give_up_binding: bool,
    server_error: Option<ServerError>,
    stage: Stage,
}

enum Stage {
    /// Chosen; nothing sent.
    Selected(Box<ClientSetup>),
    /// The session runs, or has ended well.
    Running(Box<ClientSession>),
    /// Failed or used up.
    Over,
}

impl std::fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientAuth")
            .field("selection", &self.selection)
            .finish_non_exhaustive()
    }
}

impl ClientAuth {
    /// Chooses a mechanism and a channel binding. Sends nothing.
    ///
    /// # Errors
    ///
    /// [`SelectError`]: no login is possible, or none that the policy allows.
    pub fn select(
        offer: &Offer<'_>,
        channel: &Channel,
        credentials: &Credentials,
        policy: &Policy,
        nonce: Nonce,
    ) -> Result<Self, SelectError> {
        Self::begin(offer, channel, credentials, policy, nonce, None)
    }

    /// As [`ClientAuth::select`], after the server refused channel binding. Takes
    /// unbound SCRAM only, with the flag `n`, and will not ask for a third try.
    ///
    /// # Errors
    ///
    /// [`SelectError`]; [`SelectError::BindingRequired`] if the policy has changed.
    pub fn select_without_binding(
        offer: &Offer<'_>,
        channel: &Channel,
        credentials: &Credentials,
        policy: &Policy,
        nonce: Nonce,
        refused: BindingRefused,
    ) -> Result<Self, SelectError> {
        Self::begin(offer, channel, credentials, policy, nonce, Some(refused))
    }

    fn begin(
        offer: &Offer<'_>,
        channel: &Channel,
        credentials: &Credentials,
        policy: &Policy,
        nonce: Nonce,
        refused: Option<BindingRefused>,
    ) -> Result<Self, SelectError> {
        let selection = Selection::choose(offer, channel, credentials, policy, refused.as_ref())?;
        let username = match credentials {
            Credentials::Password { authcid, .. } => authcid.clone(),
            Credentials::Certificate { .. } | Credentials::Anonymous => String::new(),
        };
        let verified = matches!(
            channel.security,
            ChannelSecurity::Tls {
                server_verified: true,
                ..
            }
        );
        let offer = expected(selection, offer);
        Ok(Self {
            selection,
            username,
            may_give_up_binding: refused.is_none()
                && verified
                && policy.channel_binding == ChannelBindingPolicy::Prefer,
            server_error: None,
            stage: Stage::Selected(Box::new(ClientSetup {
                selection,
                credentials: credentials.clone(),
                bindings: channel.bindings.clone(),
                limits: policy.scram,
                nonce,
                keys: None,
                offer,
            })),
        })
    }

    /// Gives keys of an earlier login, to save PBKDF2 if they fit. To be called
    /// before [`initial_response`](Authenticator::initial_response); later it does nothing.
    pub fn use_keys(&mut self, keys: ScramKeys) {
        if let Stage::Selected(setup) = &mut self.stage {
            setup.keys = Some(keys);
        }
    }

    /// What was chosen, and what the server's offer was worth.
    #[must_use]
    pub fn selection(&self) -> Selection {
        self.selection
    }

    /// Runs one step; after an error there is no other.
    fn step(&mut self, input: Option<&[u8]>) -> Result<Outcome, AuthError> {
        let Stage::Running(session) = &mut self.stage else {
            return Err(AuthError::Misuse);
        };
        let outcome = session.step(input);
        if let Err(error) = &outcome {
            if let AuthError::Refused(refused) = error {
                self.server_error = Some(*refused);
            }
            self.stage = Stage::Over;
        }
        outcome
    }

    fn evidence(&self, condition: SaslCondition, text: Option<&str>) -> Option<RefusalEvidence> {
        if let Some(error) = self.server_error {
            // What SCRAM itself says is more exact than the text.
            return error
                .refuses_binding()
                .then_some(RefusalEvidence::ServerError(error));
        }
        let about_the_login = matches!(
            condition,
            SaslCondition::NotAuthorized
                | SaslCondition::MalformedRequest
                | SaslCondition::InvalidMechanism
        );
        let names_binding = text.is_some_and(|t| {
            t.to_ascii_lowercase()
                .replace('-', " ")
                .contains("channel binding")
        });
        (about_the_login && names_binding).then_some(RefusalEvidence::FailureText)
    }
}

impl Authenticator for ClientAuth {
    fn mechanism(&self) -> &'static str {
        self.selection.mechanism.as_str()
    }

    fn initial_response(&mut self) -> Result<Option<Vec<u8>>, AuthError> {
        let Stage::Selected(setup) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Err(AuthError::Misuse);
        };
        self.stage = Stage::Running(Box::new(ClientSession::start(*setup)?));
        Ok(Some(self.step(None)?.message))
    }

    fn expect_offer(&mut self, offer: &Offer<'_>) {
        let offer = expected(self.selection, offer);
        match &mut self.stage {
            Stage::Selected(setup) => setup.offer = offer,
            Stage::Running(session) => session.expect_offer(offer),
            Stage::Over => {}
        }
    }

    fn iterations(&self, challenge: &[u8]) -> u32 {
        match (&self.stage, self.selection.mechanism.scram_hash()) {
            (Stage::Running(session), Some(hash)) if !session.is_finished() => {
                iterations(hash, &self.username, session.given_keys(), challenge)
            }
            _ => 0,
        }
    }

    fn challenge(&mut self, data: &[u8]) -> Result<Vec<u8>, AuthError> {
        let Stage::Running(session) = &self.stage else {
            return Err(AuthError::Misuse);
        };
        if session.is_finished() {
            self.stage = Stage::Over;
            return Err(AuthError::UnexpectedData);
        }
        // A server may send its signature as a last challenge, to be answered
        // with an empty response (RFC 4422 §3.1).
        Ok(self.step(Some(data))?.message)
    }

    fn success(&mut self, additional_data: Option<&[u8]>) -> Result<Authenticated, AuthError> {
        let Stage::Running(session) = &self.stage else {
            return Err(AuthError::Misuse);
        };
        let finished = match (session.is_finished(), additional_data) {
            // `=` stands for nothing, and some servers always send it.
            (true, None | Some([])) => true,
            (true, Some(_)) => {
                self.stage = Stage::Over;
                return Err(AuthError::UnexpectedData);
            }
            // A step without data lets the mechanism itself refuse the success.
            (false, data) => self.step(data.filter(|d| !d.is_empty()))?.finished,
        };
        let Stage::Running(session) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Err(AuthError::Misuse);
        };
        if !finished {
            return Err(AuthError::ServerSignatureMissing);
        }
        let keys = session.derived_keys();
        Ok(Authenticated {
            mechanism: self.selection.mechanism.as_str(),
            binding: self.selection.binding,
            server_proved: keys.is_some(),
            keys,
        })
    }

    fn failure(&mut self, condition: SaslCondition, text: Option<&str>) -> Retry {
        self.stage = Stage::Over;
        let tried_binding = matches!(
            self.selection.binding,
            Binding::Bound(_) | Binding::NotOffered
        );
        if tried_binding
            && self.may_give_up_binding
            && let Some(evidence) = self.evidence(condition, text)
        {
            self.may_give_up_binding = false;
            return Retry::WithoutBinding(BindingRefused::new(evidence));
        }
        match condition {
            SaslCondition::TemporaryAuthFailure => Retry::Later,
            _ => Retry::GiveUp,
        }
    }
}

/// What a server that vouches for its offer has to say.
fn expected(selection: Selection, offer: &Offer<'_>) -> Option<ExpectedOffer> {
    let hash = selection.mechanism.scram_hash()?;
    Some(ExpectedOffer {
        hash: offer_hash(hash, &offer.mechanisms, offer.bindings.as_deref()),
        required: selection.offer_hash_required,
    })
}

/// Whether these credentials can be used at all, before any connection.
///
/// # Errors
///
/// [`PrepareError`](crate::prepare::PrepareError) names what to change. PLAIN takes
/// more passwords than SCRAM; this asks for what both take.
pub fn check_credentials(credentials: &Credentials) -> Result<(), crate::prepare::PrepareError> {
    let authzid = match credentials {
        Credentials::Password {
            authcid,
            password,
            authzid,
        } => {
            prepare(authcid)?;
            prepare(password.expose_secret())?;
            authzid
        }
        Credentials::Certificate { authzid } => authzid,
        Credentials::Anonymous => &None,
    };
    authzid.as_deref().map_or(Ok(()), check_verbatim)
}
