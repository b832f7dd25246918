//! The login itself (RFC 6120 §6, XEP-0388 §2): choosing, the exchange, and what follows
//! a refusal. What is inside the messages is `stanchion_sasl`'s; what goes along inline
//! and what comes after a success of SASL2 is in `sasl2`.

use stanchion_sasl::binding::{Binding, BindingRefused};
use stanchion_sasl::policy::{OfferStrength, Selection};
use stanchion_sasl::token::TokenAuth;
use stanchion_sasl::{
    AuthError, Authenticated, Authenticator, Channel, ClientAuth, Nonce, Retry, SaslCondition,
    SelectError,
};
use stanchion_stanza::payload::{sasl, sasl2};
use stanchion_stanza::{Element, Payload, Text, stream::StreamFeatures};

use super::Negotiation;
use super::established::LoginReport;
use super::exchange::{Exchange, Footing, Means, Suspended};
use super::fault::{ahead_refused, payload, unexpected};
use super::output::{Derivation, Derived, Output, Report};
use super::passing::{LoggedIn, is_protected};
use super::remembered::LoginOffer;
use super::state::{Stage, State, Step};
use crate::error::{ConnectError, ShortCut};
use crate::phase::Phase;

/// From this many rounds of PBKDF2 on, the driver is asked to compute elsewhere: about
/// 5 ms on a PC, 50 ms and more on a small device.
const LONG: u32 = 10_000;

/// Exchanges with a nonce on one stream: one begun ahead in vain, one that the server
/// refuses over channel binding, and one without.
const MAX_NONCES: usize = 3;

/// Bytes of a nonce.
const NONCE: usize = 24;

/// What the server says, of either profile.
enum Said {
    Challenge(Vec<u8>),
    Success(sasl::Success),
    Success2(Box<sasl2::Success>),
    Failure(Refusal),
    Continue(sasl2::Continue),
}

struct Refusal {
    condition: SaslCondition,
    text: Option<Text>,
}

impl Negotiation {
    /// Begins the login that the features offer.
    pub(super) fn login(&mut self, channel: Channel, features: &StreamFeatures) -> Step {
        self.phase = Phase::Authentication;
        let offer = LoginOffer::of(features, is_protected(&channel));
        let rest = Suspended::new(channel, offer.clone(), offer);
        self.exchange(rest, None)
    }

    /// Begins it anew: what was begun ahead was another one.
    fn login_anew(&mut self, mistaken: Suspended, features: &StreamFeatures) -> Step {
        let offer = LoginOffer::of(features, is_protected(&mistaken.channel));
        let rest = Suspended {
            exchanges: mistaken.exchanges,
            round_trips: mistaken.round_trips,
            ..Suspended::new(mistaken.channel, offer.clone(), offer)
        };
        self.exchange(rest, None)
    }

    fn exchange(&mut self, rest: Suspended, refused: Option<BindingRefused>) -> Step {
        let mut exchange = self.choose(rest, refused)?;
        self.start(&mut exchange).map_err(ConnectError::Login)?;
        Ok(State::Login(Box::new(exchange)))
    }

    /// Begins the login that was offered last time, if that gives nothing away.
    pub(super) fn login_ahead(&mut self, channel: Channel) -> Stage {
        let memory = &self.setup.memory;
        let offer = match &memory.offer {
            Some(offer) if memory.may_send_ahead() && is_protected(&channel) => offer.clone(),
            _ => return Stage::Protected(Box::new(channel)),
        };
        let rest = Suspended::new(channel.clone(), offer.clone(), offer);
        // What cannot be chosen now is judged when the features are there.
        let nonces = self.nonces;
        let Ok(mut exchange) = self.choose(rest, None) else {
            self.nonces = nonces;
            return Stage::Protected(Box::new(channel));
        };
        let secret = match exchange.rest.means {
            Means::Token(_) => false,
            // The first message of SCRAM holds the user name and a nonce, no more.
            Means::Credentials(_) => !exchange.auth.mechanism().starts_with("SCRAM-"),
        };
        if secret || self.start(&mut exchange).is_err() {
            self.nonces = nonces;
            return Stage::Protected(Box::new(channel));
        }
        exchange.rest.footing = Footing::Ahead;
        self.sent_ahead();
        Stage::Begun(Box::new(exchange))
    }

    /// The features to a login that was begun ahead. The rules against a downgrade hold
    /// as if they had come first.
    pub(super) fn login_begun(&mut self, mut exchange: Exchange, features: StreamFeatures) -> Step {
        self.phase = Phase::Authentication;
        let rest = &mut exchange.rest;
        let protected = is_protected(&rest.channel);
        let offer = LoginOffer::of(&features, protected && rest.offer.is_sasl2());
        rest.learnt = LoginOffer::of(&features, protected);
        let choice = Selection::choose(
            &offer.as_offer(),
            &rest.channel,
            &self.setup.credentials,
            &self.setup.sasl,
            None,
        );
        let choice = choice.map_err(|e| not_chosen(e, &offer))?;
        if offer.profile != rest.offer.profile {
            return Err(ahead_refused(None));
        }
        let name = exchange.auth.mechanism();
        let is_offered = match rest.means {
            Means::Token(_) => offer.fast.iter().any(|m| *m == name),
            Means::Credentials(binding) => {
                offer.mechanisms.iter().any(|m| *m == name)
                    && choice.binding == binding
                    && !choice.offer_hash_required
            }
        };
        rest.strength = choice.offered;
        rest.footing = if is_offered {
            exchange.auth.expect_offer(&offer.as_offer());
            rest.offer = offer;
            Footing::Offered
        } else {
            Footing::Mistaken(Box::new(features))
        };
        Ok(State::Login(Box::new(exchange)))
    }

    /// Takes the token, or chooses a mechanism. Sends nothing.
    fn choose(
        &mut self,
        mut rest: Suspended,
        refused: Option<BindingRefused>,
    ) -> Result<Exchange, ConnectError> {
        if refused.is_none()
            && !rest.token_refused
            && let Some(token) = self.token(&rest.channel, &rest.offer)
        {
            rest.strength = OfferStrength::of(&rest.offer.as_offer());
            if let Some(pinned) = self.setup.sasl.pinned {
                let weaker = pinned.refuse_weaker(rest.strength);
                weaker.map_err(|e| not_chosen(e.into(), &rest.offer))?;
            }
            rest.means = Means::Token(token.binding());
            let auth = Box::new(token);
            return Ok(Exchange { auth, rest });
        }
        let nonce = self.nonce();
        let offer = rest.offer.as_offer();
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
        let mut auth = selected.map_err(|e| not_chosen(e, &rest.offer))?;
        let selection = auth.selection();
        if let Some(hash) = selection.mechanism.scram_hash()
            && let Some(keys) = self.setup.keys.iter().find(|k| k.hash() == hash)
        {
            auth.use_keys(keys.clone());
        }
        rest.means = Means::Credentials(selection.binding);
        rest.strength = selection.offered;
        let auth = Box::new(auth);
        Ok(Exchange { auth, rest })
    }

    /// The token of an earlier login, where it can be used (XEP-0484 §3.4).
    fn token(&self, channel: &Channel, offer: &LoginOffer) -> Option<TokenAuth> {
        let token = self.setup.memory.token.as_ref()?;
        let ours = self.wants_tokens(channel) && self.agent_id() == Some(&token.agent);
        // A stronger binding than when it was given: better a new token.
        if !ours || self.token_mechanism(channel, offer) != Some(&token.mechanism) {
            return None;
        }
        let user = self.user()?;
        // What cannot be used is the same as none.
        TokenAuth::new(&token.mechanism, user, &token.secret, &channel.bindings)
            .ok()
            .flatten()
    }

    fn nonce(&mut self) -> Nonce {
        let at = self.nonces.min(MAX_NONCES - 1) * NONCE;
        self.nonces += 1;
        let mut entropy = [0; NONCE];
        entropy.copy_from_slice(&self.setup.entropy[at..at + NONCE]);
        Nonce::from_entropy(entropy)
    }

    /// Sends the first message, and what goes along with it.
    fn start(&mut self, exchange: &mut Exchange) -> Result<(), AuthError> {
        let Exchange { auth, rest } = exchange;
        let initial = auth.initial_response()?;
        let (Means::Credentials(binding) | Means::Token(binding)) = rest.means;
        self.report(Report::Mechanism {
            name: auth.mechanism(),
            binding,
        });
        let mechanism = Text::from_static(auth.mechanism());
        rest.exchanges += 1;
        rest.round_trips += 1;
        rest.said_all = !auth.mechanism().starts_with("SCRAM-");
        let element = if rest.offer.is_sasl2() {
            let with_token = matches!(rest.means, Means::Token(_));
            rest.inline = self.inline(&rest.channel, &rest.offer, with_token);
            self.authenticate(mechanism, initial, &rest.inline)
        } else {
            sasl::Auth { mechanism, initial }.to_element()
        };
        self.send(element);
        Ok(())
    }

    /// A SASL element of the server.
    pub(super) fn login_element(&mut self, exchange: Exchange, e: &Element) -> Step {
        let Exchange { mut auth, mut rest } = exchange;
        let said = said(rest.offer.is_sasl2(), e).map_err(|fault| {
            // A challenge that cannot be read still waits for an answer.
            if e.name() == "challenge" {
                self.abort(&rest, fault)
            } else {
                fault
            }
        })?;
        let Some(said) = said else {
            let (awaited, section) = State::Login(Box::new(Exchange { auth, rest })).awaits();
            return Err(unexpected(e, awaited, section));
        };
        if let Footing::Mistaken(features) = &mut rest.footing {
            let features = std::mem::take(features);
            // The server knows as well as we do that this is not to go on.
            return match said {
                Said::Failure(_) => {
                    self.owed = false;
                    self.login_anew(rest, &features)
                }
                _ => Err(ahead_refused(None)),
            };
        }
        self.owed = false;
        match said {
            Said::Challenge(data) => {
                if auth.iterations(&data) >= LONG {
                    let derivation = Derivation::new(auth, data);
                    self.outputs.push_back(Output::Derive(derivation));
                    return Ok(State::Deriving(Box::new(rest)));
                }
                let answer = auth.challenge(&data);
                self.answer(auth, rest, answer)
            }
            // Nothing but `success` of the mechanism makes a login: the server's word is
            // not enough.
            Said::Success(sasl::Success(data)) => {
                let done = auth.success(data.as_deref()).map_err(ConnectError::Login)?;
                let logged_in = self.logged_in(done, rest);
                self.outputs.push_back(Output::RestartStream);
                Ok(self.open_after(logged_in))
            }
            Said::Success2(success) => {
                let data = success.additional_data.as_deref();
                let done = auth.success(data).map_err(ConnectError::Login)?;
                let inline = rest.inline;
                let logged_in = self.logged_in(done, rest);
                self.sasl2_success(logged_in, inline, &success)
            }
            Said::Failure(refusal) => self.refused(auth, rest, refusal),
            Said::Continue(more) => {
                let error = ConnectError::TasksDemanded {
                    tasks: more.tasks,
                    text: more.text,
                };
                Err(self.abort(&rest, error))
            }
        }
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
                rest.said_all = true;
                self.send(if rest.offer.is_sasl2() {
                    sasl2::Response(data).to_element()
                } else {
                    sasl::Response(data).to_element()
                });
            }
            // The server says so inside the mechanism; `<failure/>` follows.
            Err(AuthError::Refused(_)) => {}
            Err(error) => return Err(self.abort(&rest, ConnectError::Login(error))),
        }
        Ok(State::Login(Box::new(Exchange { auth, rest })))
    }

    fn refused(
        &mut self,
        mut auth: Box<dyn Authenticator>,
        mut rest: Suspended,
        refusal: Refusal,
    ) -> Step {
        let condition = refusal.condition;
        let retry = auth.failure(condition, refusal.text.as_deref());
        let error = ConnectError::AuthRefused {
            condition,
            text: refusal.text,
        };
        match (rest.means, retry) {
            // The server cannot tell now: the token may be as good as ever.
            (Means::Token(_), Retry::Later) => Err(error),
            (Means::Token(_), _) => {
                self.setup.memory.token = None;
                self.report(Report::TokenRefused(condition));
                rest.token_refused = true;
                self.exchange(rest, None)
            }
            (_, Retry::WithoutBinding(refused)) if self.nonces < MAX_NONCES => {
                self.report(Report::BindingRefused(refused.evidence()));
                self.exchange(rest, Some(refused))
            }
            // One server knows no mechanism but the token's once that was tried.
            _ if rest.token_refused && condition == SaslCondition::InvalidMechanism => {
                Err(ConnectError::ShortCutRefused {
                    short_cut: ShortCut::Token,
                    source: Some(Box::new(error)),
                })
            }
            _ => Err(error),
        }
    }

    fn logged_in(&mut self, done: Authenticated, rest: Suspended) -> LoggedIn {
        let report = LoginReport {
            profile: rest.offer.profile,
            mechanism: done.mechanism,
            binding: done.binding,
            server_proved: done.server_proved,
            offered: rest.offer.mechanisms,
            strength: rest.strength,
            exchanges: rest.exchanges,
            round_trips: rest.round_trips,
        };
        if report.binding == Binding::RefusedByServer {
            tracing::warn!("the server offers channel binding and refuses it");
        }
        self.report(Report::LoggedIn(report.clone()));
        LoggedIn {
            report,
            keys: done.keys,
            security: rest.channel.security,
            offer: rest.learnt,
        }
    }

    /// Tells the server that the exchange is over (RFC 6120 §6.4.4, XEP-0388 §4.5).
    fn abort(&mut self, rest: &Suspended, error: ConnectError) -> ConnectError {
        self.send(if rest.offer.is_sasl2() {
            sasl2::Abort::default().to_element()
        } else {
            sasl::Abort.to_element()
        });
        error
    }
}

fn not_chosen(error: SelectError, offer: &LoginOffer) -> ConnectError {
    ConnectError::NoMechanism(error, offer.mechanisms.clone())
}

/// Reads what the server says in a profile; `None` if it belongs to another.
fn said(is_sasl2: bool, e: &Element) -> Result<Option<Said>, ConnectError> {
    let refusal = |condition: &Text, text| {
        Said::Failure(Refusal {
            condition: SaslCondition::parse(condition).unwrap_or(SaslCondition::NotAuthorized),
            text,
        })
    };
    Ok(Some(if is_sasl2 {
        if sasl2::Challenge::matches(e) {
            let read = sasl2::Challenge::from_element(e);
            Said::Challenge(read.map_err(payload("XEP-0388 §2.5"))?.0)
        } else if sasl2::Success::matches(e) {
            let read = sasl2::Success::from_element(e);
            Said::Success2(Box::new(read.map_err(payload("XEP-0388 §2.6.1"))?))
        } else if sasl2::Failure::matches(e) {
            let read = sasl2::Failure::from_element(e);
            let failure = read.map_err(payload("XEP-0388 §2.6.2"))?;
            refusal(&failure.condition, failure.text)
        } else if sasl2::Continue::matches(e) {
            let read = sasl2::Continue::from_element(e);
            Said::Continue(read.map_err(payload("XEP-0388 §2.6.3"))?)
        } else {
            return Ok(None);
        }
    } else if sasl::Challenge::matches(e) {
        let read = sasl::Challenge::from_element(e);
        Said::Challenge(read.map_err(payload("RFC 6120 §6.4.3"))?.0)
    } else if sasl::Success::matches(e) {
        Said::Success(sasl::Success::from_element(e).map_err(payload("RFC 6120 §6.4.6"))?)
    } else if sasl::Failure::matches(e) {
        let failure = sasl::Failure::from_element(e).map_err(payload("RFC 6120 §6.5"))?;
        refusal(&failure.condition, failure.text)
    } else {
        return Ok(None);
    }))
}
