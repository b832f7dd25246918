//! The server's side of every mechanism, as the framework wants it.
//!
//! Owns the session, and the callback that looks accounts up and decides who may
//! log in. What is said is in [`crate::scram::server`] and [`crate::plain`].

use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::config::SASLConfig;
use rsasl::mechanism::{
    Authentication, Demand, DemandReply, EmptyProvider, MechanismData, Provider, ThisProvider,
};
use rsasl::mechname::Mechname;
use rsasl::prelude::{MessageSent, SASLServer, Session, SessionError, State, Validation};
use rsasl::property::{AuthId, AuthzId, Password, Property};
use rsasl::validate::{Validate, ValidationError};
use std::io::Write;
use std::sync::Arc;

use super::{Carried, carried, registry};
use crate::accounts::{AccountStore, Lookup, StoreUnavailable, prepared_name};
use crate::binding::{BindingType, ChannelBindings};
use crate::condition::SaslCondition;
use crate::mechanism::Mechanism;
use crate::nonce::Nonce;
use crate::plain::{BadPlainMessage, PlainMessage};
use crate::scram::keys::StoredKeys;
use crate::scram::server::{ScramServer, ScramServerError, ScramServerParameters};
use crate::server::policy::ServerPolicy;
use crate::server::verdict::{Accepted, Identity, Refusal};

/// What a session is started with.
pub(crate) struct ServerSetup {
    pub(crate) mechanism: Mechanism,
    pub(crate) policy: Arc<ServerPolicy>,
    pub(crate) accounts: Arc<dyn AccountStore>,
    pub(crate) certificate_identities: Vec<String>,
    pub(crate) plus_offered: bool,
    pub(crate) nonce: Nonce,
    pub(crate) offer_hash: Option<String>,
}

/// What came of a step.
pub(crate) enum Outcome {
    Challenge(Vec<u8>),
    Accepted(Accepted),
}

/// A running session of the framework.
pub(crate) struct ServerSession {
    session: Session<Verdict, ChannelBindings>,
}

/// What the callback decides about an identity that has been proved or shown.
struct Verdict;
impl Validation for Verdict {
    type Value = Result<Accepted, Refusal>;
}

impl ServerSession {
    pub(crate) fn start(setup: ServerSetup, bindings: ChannelBindings) -> Result<Self, Refusal> {
        let name = setup.mechanism.as_str();
        let config = SASLConfig::builder()
            .with_registry(registry())
            .with_callback(Callback(setup))
            .map_err(|_| framework_failed())?;
        let name = Mechname::parse(name.as_bytes()).map_err(|_| framework_failed())?;
        let session = SASLServer::<Verdict, _>::with_cb(config, bindings)
            .start_suggested(name)
            .map_err(|_| framework_failed())?;
        Ok(Self { session })
    }

    /// To be called again only after a challenge.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<Outcome, Refusal> {
        let mut message = Vec::new();
        let state = self
            .session
            .step(Some(input), &mut message)
            .map_err(|e| carried(e).unwrap_or_else(framework_failed))?;
        match state {
            State::Running => Ok(Outcome::Challenge(message)),
            State::Finished(sent) => {
                let mut accepted = self.session.validation().ok_or_else(framework_failed)??;
                accepted.additional_data = (sent == MessageSent::Yes).then_some(message);
                Ok(Outcome::Accepted(accepted))
            }
        }
    }
}

fn framework_failed() -> Refusal {
    SaslCondition::TemporaryAuthFailure.into()
}

impl From<StoreUnavailable> for Refusal {
    fn from(_: StoreUnavailable) -> Self {
        SaslCondition::TemporaryAuthFailure.into()
    }
}

impl From<BadPlainMessage> for Refusal {
    fn from(_: BadPlainMessage) -> Self {
        SaslCondition::MalformedRequest.into()
    }
}

impl From<ScramServerError> for Refusal {
    fn from(error: ScramServerError) -> Self {
        use ScramServerError as E;
        let (condition, text) = match error {
            E::Malformed(_) => (SaslCondition::MalformedRequest, None),
            // One answer for a wrong proof and an unknown user.
            E::WrongProof | E::NonceMismatch | E::HeaderChanged => {
                (SaslCondition::NotAuthorized, None)
            }
            E::ChannelBindingMismatch => (
                SaslCondition::NotAuthorized,
                Some("channel binding does not match"),
            ),
            E::ChannelBindingUnsupported => (
                SaslCondition::NotAuthorized,
                Some("unsupported channel binding type"),
            ),
            // Worded so that no client takes it for leave to go without binding.
            E::ChannelBindingStripped => (
                SaslCondition::NotAuthorized,
                Some("the offer of mechanisms was changed on the way"),
            ),
            E::Misuse => (SaslCondition::TemporaryAuthFailure, None),
        };
        Self { condition, text }
    }
}

fn refuse(refusal: impl Into<Refusal>) -> SessionError {
    Carried(refusal.into()).into()
}

/// Asks for the parameters of a SCRAM exchange.
struct Parameters;
impl Property<'_> for Parameters {
    type Value = ScramServerParameters;
}

/// Asks for the stored keys of the user in the context.
struct Keys;
impl Property<'_> for Keys {
    type Value = StoredKeys;
}

/// Tells the callback what the login is bound with.
struct BoundWith;
impl Property<'_> for BoundWith {
    type Value = Option<BindingType>;
}

struct Callback(ServerSetup);

impl Callback {
    fn lookup(&self) -> Lookup<'_> {
        Lookup {
            accounts: self.0.accounts.as_ref(),
            secret: self.0.policy.secret(),
            iterations: self.0.policy.iterations,
        }
    }

    fn verdict(&self, context: &Context<'_>) -> Result<Accepted, Refusal> {
        let authzid = context.get_ref::<AuthzId>().filter(|a| !a.is_empty());
        let identity = match self.0.mechanism {
            Mechanism::Anonymous => Identity::Anonymous,
            Mechanism::External => self.certificate_identity(authzid)?,
            Mechanism::Plain | Mechanism::Scram(_) | Mechanism::ScramPlus(_) => {
                let username = context
                    .get_ref::<AuthId>()
                    .ok_or(SaslCondition::NotAuthorized)?;
                if let Some(password) = context.get_ref::<Password>() {
                    let password =
                        std::str::from_utf8(password).map_err(|_| SaslCondition::NotAuthorized)?;
                    if !self.lookup().check_plain(username, password)? {
                        return Err(SaslCondition::NotAuthorized.into());
                    }
                }
                let username = prepared_name(username).ok_or(SaslCondition::NotAuthorized)?;
                self.0.accounts.authorize(&username, authzid)?;
                Identity::Account(username.to_string())
            }
        };
        Ok(Accepted {
            mechanism: self.0.mechanism,
            identity,
            authzid: authzid.map(str::to_owned),
            binding: context.get_ref::<BoundWith>().copied().flatten(),
            additional_data: None,
        })
    }

    /// The rules of XEP-0178 §2: an identity that is named must be in the
    /// certificate; an unnamed one must be the only one there.
    fn certificate_identity(&self, authzid: Option<&str>) -> Result<Identity, Refusal> {
        let identities = &self.0.certificate_identities;
        let identity = match (authzid, identities.as_slice()) {
            (None, [only]) => only,
            (None, _) => return Err(SaslCondition::InvalidAuthzid.into()),
            (Some(authzid), _) => identities
                .iter()
                .find(|i| i.as_str() == authzid)
                .ok_or(SaslCondition::InvalidAuthzid)?,
        };
        Ok(Identity::Certificate(identity.clone()))
    }
}

impl SessionCallback for Callback {
    fn callback(
        &self,
        _session: &SessionData,
        context: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        let Some(hash) = self.0.mechanism.scram_hash() else {
            return Ok(());
        };
        if request.is::<Keys>()
            && let Some(username) = context.get_ref::<AuthId>()
        {
            let keys = self.lookup().keys(username, hash).map_err(refuse)?;
            request.satisfy::<Keys>(&keys)?;
        }
        if request.is::<Parameters>() {
            request.satisfy::<Parameters>(&ScramServerParameters {
                hash,
                plus: matches!(self.0.mechanism, Mechanism::ScramPlus(_)),
                plus_offered: self.0.plus_offered,
                nonce: self.0.nonce.clone(),
                offer_hash: self.0.offer_hash.clone(),
            })?;
        }
        Ok(())
    }

    fn validate(
        &self,
        _session: &SessionData,
        context: &Context<'_>,
        validate: &mut Validate<'_>,
    ) -> Result<(), ValidationError> {
        validate.with::<Verdict, _>(|| Ok(self.verdict(context)))?;
        Ok(())
    }
}

/// What a mechanism found out, for the callback to judge.
struct Claim<'a> {
    authcid: &'a str,
    authzid: &'a str,
    password: Option<&'a str>,
    binding: &'a Option<BindingType>,
}

impl<'a> Provider<'a> for Claim<'a> {
    fn provide(&self, demand: &mut Demand<'a>) -> DemandReply<()> {
        let demand = demand
            .provide_ref::<AuthId>(self.authcid)?
            .provide_ref::<AuthzId>(self.authzid)?
            .provide_ref::<BoundWith>(self.binding)?;
        match self.password {
            Some(password) => demand.provide_ref::<Password>(password.as_bytes())?.done(),
            None => demand.done(),
        }
    }
}

/// SCRAM, all six: the parameters tell which.
#[derive(Default)]
pub(crate) struct Scram(Option<(ScramServer, Option<Vec<u8>>)>);

impl Authentication for Scram {
    fn step(
        &mut self,
        session: &mut MechanismData<'_, '_>,
        input: Option<&[u8]>,
        writer: &mut dyn Write,
    ) -> Result<State, SessionError> {
        let input = input.ok_or(SessionError::InputDataRequired)?;
        let Some((machine, binding_value)) = &mut self.0 else {
            let parameters =
                session.need_with::<Parameters, _, _>(&EmptyProvider, |p| Ok(p.clone()))?;
            let mut machine = ScramServer::new(parameters);
            let username = machine.client_first(input).map_err(refuse)?.to_owned();
            let binding_value = match machine.binding() {
                None => None,
                Some(binding) => Some(
                    session
                        .maybe_need_cb_data(binding.as_str(), EmptyProvider, |v| Ok(v.to_vec()))?
                        .ok_or_else(|| refuse(ScramServerError::ChannelBindingUnsupported))?,
                ),
            };
            let keys = session
                .need_with::<Keys, _, _>(&ThisProvider::<AuthId>::with(&username), |keys| {
                    Ok(keys.clone())
                })?;
            writer.write_all(&machine.challenge(keys).map_err(refuse)?)?;
            self.0 = Some((machine, binding_value));
            return Ok(State::Running);
        };
        let accepted = machine
            .client_final(input, binding_value.as_deref())
            .map_err(refuse)?;
        session.validate(&Claim {
            authcid: &accepted.username,
            authzid: accepted.authzid.as_deref().unwrap_or_default(),
            password: None,
            binding: &accepted.binding,
        })?;
        writer.write_all(&accepted.server_final)?;
        Ok(State::Finished(MessageSent::Yes))
    }
}

/// PLAIN (RFC 4616).
pub(crate) struct Plain;

impl Authentication for Plain {
    fn step(
        &mut self,
        session: &mut MechanismData<'_, '_>,
        input: Option<&[u8]>,
        _writer: &mut dyn Write,
    ) -> Result<State, SessionError> {
        let input = input.ok_or(SessionError::InputDataRequired)?;
        let message = PlainMessage::parse(input).map_err(refuse)?;
        session.validate(&Claim {
            authcid: message.authcid,
            authzid: message.authzid.unwrap_or_default(),
            password: Some(message.password),
            binding: &None,
        })?;
        Ok(State::Finished(MessageSent::No))
    }
}

/// EXTERNAL (RFC 4422 appendix A).
pub(crate) struct External;

impl Authentication for External {
    fn step(
        &mut self,
        session: &mut MechanismData<'_, '_>,
        input: Option<&[u8]>,
        _writer: &mut dyn Write,
    ) -> Result<State, SessionError> {
        let input = input.ok_or(SessionError::InputDataRequired)?;
        let malformed = || refuse(SaslCondition::MalformedRequest);
        if input.len() > crate::scram::MAX_MESSAGE_BYTES || input.contains(&0) {
            return Err(malformed());
        }
        let authzid = std::str::from_utf8(input).map_err(|_| malformed())?;
        session.validate(&Claim {
            authcid: "",
            authzid,
            password: None,
            binding: &None,
        })?;
        Ok(State::Finished(MessageSent::No))
    }
}

/// ANONYMOUS (RFC 4505). Trace information is read over and forgotten.
pub(crate) struct Anonymous;

impl Authentication for Anonymous {
    fn step(
        &mut self,
        session: &mut MechanismData<'_, '_>,
        input: Option<&[u8]>,
        _writer: &mut dyn Write,
    ) -> Result<State, SessionError> {
        let input = input.ok_or(SessionError::InputDataRequired)?;
        // At most 255 characters of UTF-8 (RFC 4505 §2).
        match std::str::from_utf8(input) {
            Ok(trace) if trace.chars().count() <= 255 => {}
            _ => return Err(refuse(SaslCondition::MalformedRequest)),
        }
        session.validate(&Claim {
            authcid: "",
            authzid: "",
            password: None,
            binding: &None,
        })?;
        Ok(State::Finished(MessageSent::No))
    }
}
