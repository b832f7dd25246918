//! The client's side of every mechanism, as the framework wants it.
//!
//! Owns the session and the way of parameters in and keys out. What is said is
//! in [`crate::scram::client`] and [`crate::plain`].

use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::config::SASLConfig;
use rsasl::mechanism::{Authentication, EmptyProvider, MechanismData};
use rsasl::mechname::Mechname;
use rsasl::prelude::{MessageSent, SASLClient, Session, SessionError, State};
use rsasl::property::Property;
use rsasl::validate::NoValidation;
use std::io::Write;
use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

use super::{Carried, carried, registry};
use crate::binding::{Binding, ChannelBindings};
use crate::credentials::Credentials;
use crate::error::AuthError;
use crate::nonce::Nonce;
use crate::plain;
use crate::policy::{ScramLimits, Selection};
use crate::prepare::check_verbatim;
use crate::scram::client::{
    ClientBinding, ExpectedOffer, Progress, ScramClient, ScramClientParameters,
};
use crate::scram::keys::ScramKeys;

/// What a session is started with.
pub(crate) struct ClientSetup {
    pub(crate) selection: Selection,
    pub(crate) credentials: Credentials,
    pub(crate) bindings: ChannelBindings,
    pub(crate) limits: ScramLimits,
    pub(crate) nonce: Nonce,
    pub(crate) keys: Option<ScramKeys>,
    pub(crate) offer: Option<ExpectedOffer>,
}

/// What came of a step.
pub(crate) struct Outcome {
    pub(crate) message: Vec<u8>,
    pub(crate) finished: bool,
}

/// A running session of the framework, and what it shares with its callback.
pub(crate) struct ClientSession {
    session: Session<NoValidation, ChannelBindings>,
    shared: Arc<Shared>,
    finished: bool,
}

struct Shared {
    setup: ClientSetup,
    derived: OnceLock<ScramKeys>,
    /// The offer, if it became known only after the first message.
    offer: OnceLock<ExpectedOffer>,
}

impl ClientSession {
    pub(crate) fn start(setup: ClientSetup) -> Result<Self, AuthError> {
        let name = setup.selection.mechanism.as_str();
        let bindings = setup.bindings.clone();
        let shared = Arc::new(Shared {
            setup,
            derived: OnceLock::new(),
            offer: OnceLock::new(),
        });
        let config = SASLConfig::builder()
            .with_registry(registry())
            .with_callback(Callback(Arc::clone(&shared)))
            .map_err(|_| AuthError::Framework)?;
        let name = Mechname::parse(name.as_bytes()).map_err(|_| AuthError::Framework)?;
        let session = SASLClient::with_cb(config, bindings)
            .start_suggested_iter([name])
            .map_err(|_| AuthError::Framework)?;
        Ok(Self {
            session,
            shared,
            finished: false,
        })
    }

    pub(crate) fn step(&mut self, input: Option<&[u8]>) -> Result<Outcome, AuthError> {
        // The framework leaves a step after the last one undefined.
        if self.finished {
            return Err(AuthError::Misuse);
        }
        let mut message = Vec::new();
        let state = self
            .session
            .step(input, &mut message)
            .map_err(|e| carried(e).unwrap_or(AuthError::Framework))?;
        self.finished = state.is_finished();
        Ok(Outcome {
            message,
            finished: self.finished,
        })
    }

    /// For [`Authenticator::expect_offer`](crate::Authenticator::expect_offer): once.
    pub(crate) fn expect_offer(&self, offer: Option<ExpectedOffer>) {
        if let Some(offer) = offer {
            let _ = self.shared.offer.set(offer);
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(crate) fn given_keys(&self) -> Option<&ScramKeys> {
        self.shared.setup.keys.as_ref()
    }

    pub(crate) fn derived_keys(&self) -> Option<ScramKeys> {
        self.shared.derived.get().cloned()
    }
}

/// Asks for the parameters of the session.
struct Setup;
impl Property<'_> for Setup {
    type Value = ClientSetup;
}

/// Asks for the offer that became known late, if there is one.
struct LateOffer;
impl Property<'_> for LateOffer {
    type Value = Option<ExpectedOffer>;
}

/// Hands out the keys of a finished SCRAM exchange.
struct Derived;
impl Property<'_> for Derived {
    type Value = ScramKeys;
}

struct Callback(Arc<Shared>);

impl SessionCallback for Callback {
    fn callback(
        &self,
        _session: &SessionData,
        _context: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        if let Some(keys) = request.get_action::<Derived>() {
            let _ = self.0.derived.set(keys.clone());
        }
        request.satisfy::<Setup>(&self.0.setup)?;
        request.satisfy::<LateOffer>(&self.0.offer.get().cloned())?;
        Ok(())
    }
}

fn refuse(error: impl Into<AuthError>) -> SessionError {
    Carried(error.into()).into()
}

/// SCRAM, all six: the parameters tell which.
#[derive(Default)]
pub(crate) struct Scram(Option<ScramClient>);

impl Scram {
    fn parameters(session: &MechanismData<'_, '_>) -> Result<ScramClientParameters, SessionError> {
        let mut parameters = session.need_with::<Setup, _, _>(&EmptyProvider, |setup| {
            let Credentials::Password {
                authcid,
                password,
                authzid,
            } = &setup.credentials
            else {
                return Err(refuse(AuthError::Framework));
            };
            let hash = setup.selection.mechanism.scram_hash();
            Ok(ScramClientParameters {
                hash: hash.ok_or_else(|| refuse(AuthError::Framework))?,
                username: authcid.clone(),
                password: password.clone(),
                authzid: authzid.clone(),
                binding: match setup.selection.binding {
                    Binding::Bound(binding) => ClientBinding::Bound {
                        binding,
                        value: Vec::new(),
                    },
                    Binding::NotOffered => ClientBinding::ServerLacks,
                    _ => ClientBinding::NotSupported,
                },
                nonce: setup.nonce.clone(),
                limits: setup.limits,
                keys: setup.keys.clone(),
                offer: setup.offer.clone(),
            })
        })?;
        if let ClientBinding::Bound { binding, value } = &mut parameters.binding {
            *value = session.need_cb_data(binding.as_str(), EmptyProvider, |v| Ok(v.to_vec()))?;
        }
        Ok(parameters)
    }
}

impl Authentication for Scram {
    fn step(
        &mut self,
        session: &mut MechanismData<'_, '_>,
        input: Option<&[u8]>,
        writer: &mut dyn Write,
    ) -> Result<State, SessionError> {
        let Some(machine) = &mut self.0 else {
            let machine = self
                .0
                .insert(ScramClient::new(Self::parameters(session)?).map_err(refuse)?);
            writer.write_all(&machine.first().map_err(refuse)?)?;
            return Ok(State::Running);
        };
        let input = input.ok_or_else(|| refuse(AuthError::ServerSignatureMissing))?;
        if let Some(offer) =
            session.need_with::<LateOffer, _, _>(&EmptyProvider, |offer| Ok(offer.clone()))?
        {
            machine.expect_offer(offer);
        }
        match machine.next(input).map_err(refuse)? {
            Progress::Send(message) => {
                writer.write_all(&message)?;
                Ok(State::Running)
            }
            Progress::Finished => {
                if let Some(keys) = machine.keys() {
                    session.action::<Derived>(&EmptyProvider, keys)?;
                }
                Ok(State::Finished(MessageSent::No))
            }
        }
    }
}

/// A mechanism in which the client says one thing, and the server yes or no.
pub(crate) struct OneMessage(pub(crate) fn(&ClientSetup) -> Result<Zeroizing<Vec<u8>>, AuthError>);

impl Authentication for OneMessage {
    fn step(
        &mut self,
        session: &mut MechanismData<'_, '_>,
        _input: Option<&[u8]>,
        writer: &mut dyn Write,
    ) -> Result<State, SessionError> {
        let message = session
            .need_with::<Setup, _, _>(&EmptyProvider, |setup| (self.0)(setup).map_err(refuse))?;
        writer.write_all(&message)?;
        Ok(State::Finished(MessageSent::Yes))
    }
}

/// PLAIN (RFC 4616).
pub(crate) fn plain(setup: &ClientSetup) -> Result<Zeroizing<Vec<u8>>, AuthError> {
    match &setup.credentials {
        Credentials::Password {
            authcid,
            password,
            authzid,
        } => Ok(plain::message(authzid.as_deref(), authcid, password)?),
        _ => Err(AuthError::Framework),
    }
}

/// EXTERNAL (RFC 4422 appendix A): the authorization identity, or nothing.
pub(crate) fn external(setup: &ClientSetup) -> Result<Zeroizing<Vec<u8>>, AuthError> {
    let authzid = match &setup.credentials {
        Credentials::Password { authzid, .. } | Credentials::Certificate { authzid } => authzid,
        Credentials::Anonymous => return Err(AuthError::Framework),
    };
    match authzid {
        None => Ok(Zeroizing::new(Vec::new())),
        Some(authzid) => {
            check_verbatim(authzid)?;
            Ok(Zeroizing::new(authzid.clone().into_bytes()))
        }
    }
}

/// ANONYMOUS (RFC 4505), without trace information.
pub(crate) fn anonymous(_setup: &ClientSetup) -> Result<Zeroizing<Vec<u8>>, AuthError> {
    Ok(Zeroizing::new(Vec::new()))
}
