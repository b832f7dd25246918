//! The SASL part of the negotiation (RFC 6120 §6): choosing, the exchange, the one
//! permitted retry. What is inside the messages is `stanchion_sasl`'s.

use std::fmt;

use stanchion_sasl::binding::Binding;
use stanchion_sasl::binding::BindingRefused;
use stanchion_sasl::policy::{ChannelSecurity, OfferStrength};
use stanchion_sasl::scram::keys::ScramKeys;
use stanchion_sasl::{
    AuthError, Authenticated, Authenticator, Channel, ClientAuth, Nonce, Offer, Retry,
    SaslCondition,
};
use stanchion_stanza::payload::sasl::{Abort, Auth, Challenge, Failure, Response, Success};
use stanchion_stanza::{Element, Payload, Text, stream::StreamFeatures};

use super::established::LoginReport;
use super::output::{Derivation, Derived, Output, Report};
use super::{Negotiation, Stage, State, Step, payload, unexpected};
use crate::error::ConnectError;
use crate::phase::Phase;

/// From this many rounds of PBKDF2 on, the driver is asked to compute elsewhere: about
/// 5 ms on a PC, 50 ms and more on a small device.
const LONG: u32 = 10_000;

/// An exchange under way.
pub(super) struct Exchange {
    auth: Box<dyn Authenticator>,
    rest: Suspended,
}

/// An exchange without its mechanism, which is out for a computation.
#[derive(Debug)]
pub(super) struct Suspended {
    channel: Channel,
    mechanisms: Vec<Text>,
    bindings: Option<Vec<Text>>,
    strength: OfferStrength,
    exchanges: u8,
    round_trips: u32,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("mechanism", &self.auth.mechanism())
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}

/// A verified login.
#[derive(Debug)]
pub(super) struct LoggedIn {
    pub(super) report: LoginReport,
    pub(super) keys: Option<ScramKeys>,
    pub(super) security: ChannelSecurity,
}

impl Negotiation {
    /// Begins the login that the features offer.
    pub(super) fn login(&mut self, channel: Channel, features: StreamFeatures) -> Step {
        self.phase = Phase::Authentication;
        self.exchange(
            Suspended {
                channel,
                mechanisms: features.mechanisms,
                bindings: features.channel_bindings,
                strength: OfferStrength::default(),
                exchanges: 0,
                round_trips: 0,
            },
            None,
        )
    }

    fn exchange(&mut self, mut rest: Suspended, refused: Option<BindingRefused>) -> Step {
        let offer = Offer {
            mechanisms: rest.mechanisms.iter().map(Text::as_str).collect(),
            bindings: rest
                .bindings
                .as_ref()
                .map(|b| b.iter().map(Text::as_str).collect()),
            ..Offer::default()
        };
        let (first, second) = self.setup.entropy.split_at(24);
        let half = if refused.is_none() { first } else { second };
        let mut entropy = [0; 24];
        entropy.copy_from_slice(half);
        let nonce = Nonce::from_entropy(entropy);
        let (channel, credentials) = (&rest.channel, &self.setup.credentials);
        let policy = &self.setup.sasl;
        let selected = match refused {
            None => ClientAuth::select(&offer, channel, credentials, policy, nonce),
            Some(refused) => ClientAuth::select_without_binding(
                &offer,
                channel,
                credentials,
                policy,
                nonce,
                refused,
            ),
        };
        let mut auth =
            selected.map_err(|e| ConnectError::NoMechanism(e, rest.mechanisms.clone()))?;
        let selection = auth.selection();
        if let Some(hash) = selection.mechanism.scram_hash()
            && let Some(keys) = self.setup.keys.iter().find(|k| k.hash() == hash)
        {
            auth.use_keys(keys.clone());
        }
        rest.strength = selection.offered;
        rest.exchanges += 1;
        rest.round_trips += 1;
        self.report(Report::Mechanism {
            name: auth.mechanism(),
            binding: selection.binding,
        });
        let initial = auth.initial_response().map_err(ConnectError::Login)?;
        let element = Auth {
            mechanism: Text::from_static(auth.mechanism()),
            initial,
        };
        self.send(element.to_element());
        let auth = Box::new(auth);
        Ok(State::Login(Box::new(Exchange { auth, rest })))
    }

    /// A SASL element of the server.
    pub(super) fn login_element(&mut self, exchange: Exchange, e: &Element) -> Step {
        let Exchange { mut auth, rest } = exchange;
        if Challenge::matches(e) {
            let Challenge(data) = Challenge::from_element(e)
                .map_err(|fault| self.abort(payload("RFC 6120 §6.4.3")(fault)))?;
            if auth.iterations(&data) >= LONG {
                let derivation = Derivation::new(auth, data);
                self.outputs.push_back(Output::Derive(derivation));
                return Ok(State::Deriving(Box::new(rest)));
            }
            let answer = auth.challenge(&data);
            return self.answer(auth, rest, answer);
        }
        if Success::matches(e) {
            let Success(data) = Success::from_element(e).map_err(payload("RFC 6120 §6.4.6"))?;
            // Nothing but this makes a login: the server's word is not enough.
            let done = auth.success(data.as_deref()).map_err(ConnectError::Login)?;
            return Ok(self.logged_in(done, rest));
        }
        if Failure::matches(e) {
            let failure = Failure::from_element(e).map_err(payload("RFC 6120 §6.5"))?;
            return self.refused(auth, rest, failure);
        }
        let (awaited, section) = State::Login(Box::new(Exchange { auth, rest })).awaits();
        Err(unexpected(e, awaited, section))
    }

    /// The computation is done.
    pub(super) fn derived(&mut self, rest: Suspended, derived: Derived) -> Step {
        self.answer(derived.auth, rest, derived.answer)
    }

    fn answer(
        &mut self,
        auth: Box<dyn Authenticator>,
        mut rest: Suspended,
        answer: Result<Vec<u8>, AuthError>,
    ) -> Step {
        match answer {
            Ok(data) => {
                rest.round_trips += 1;
                self.send(Response(data).to_element());
            }
            // The server says so inside the mechanism; `<failure/>` follows.
            Err(AuthError::Refused(_)) => {}
            Err(error) => return Err(self.abort(ConnectError::Login(error))),
        }
        Ok(State::Login(Box::new(Exchange { auth, rest })))
    }

    fn refused(
        &mut self,
        mut auth: Box<dyn Authenticator>,
        rest: Suspended,
        failure: Failure,
    ) -> Step {
        let condition =
            SaslCondition::parse(&failure.condition).unwrap_or(SaslCondition::NotAuthorized);
        match auth.failure(condition, failure.text.as_deref()) {
            Retry::WithoutBinding(refused) if rest.exchanges == 1 => {
                self.report(Report::BindingRefused(refused.evidence()));
                self.exchange(rest, Some(refused))
            }
            _ => Err(ConnectError::AuthRefused {
                condition,
                text: failure.text,
            }),
        }
    }

    fn logged_in(&mut self, done: Authenticated, rest: Suspended) -> State {
        let report = LoginReport {
            mechanism: done.mechanism,
            binding: done.binding,
            server_proved: done.server_proved,
            offered: rest.mechanisms,
            strength: rest.strength,
            exchanges: rest.exchanges,
            round_trips: rest.round_trips,
        };
        if report.binding == Binding::RefusedByServer {
            tracing::warn!("the server offers channel binding and refuses it");
        }
        self.report(Report::LoggedIn(report.clone()));
        self.outputs.push_back(Output::RestartStream);
        self.open(Stage::LoggedIn(Box::new(LoggedIn {
            report,
            keys: done.keys,
            security: rest.channel.security,
        })))
    }

    /// Tells the server that the exchange is over (RFC 6120 §6.4.4).
    fn abort(&mut self, error: ConnectError) -> ConnectError {
        self.send(Abort.to_element());
        error
    }
}
