//! What follows the login on the stream: resuming (XEP-0198 §5), binding (RFC 6120 §7),
//! enabling stream management (XEP-0198 §3), and what is learnt from it all. What SASL2
//! does on the way is in `sasl2`; counting stanzas is a floor above.

use stanchion_sasl::policy::ChannelSecurity;
use stanchion_stanza::payload::bind::Bind;
use stanchion_stanza::payload::sm;
use stanchion_stanza::stanza::{DefinedCondition, IqKind, StanzaError};
use stanchion_stanza::{
    Element, FullJid, Iq, Payload, Stanza, Text, payload::PayloadError, stream::StreamFeatures,
};

use super::Negotiation;
use super::established::{
    Established, LoginReport, ResumeFailure, ResumeToken, Resumption, SmSession,
};
use super::fault::{ahead_refused, payload, unexpected};
use super::output::{Output, Report};
use super::passing::{After, Asked, Binding, Enabling, LoggedIn, Session};
use super::remembered::{LoginOffer, ServerMemory};
use super::setup::Resume;
use super::state::{State, Step};
use crate::error::ConnectError;
use crate::misbehaviour::Misbehaviour;
use crate::phase::Phase;

/// Nothing else asks anything yet, so any id will do.
const BIND_ID: &str = "bind";

impl Negotiation {
    /// Behind the stream header after a login: what the server is known to answer.
    pub(super) fn after_login(&mut self) -> After {
        let memory = &self.setup.memory;
        let known = memory.may_send_ahead() && memory.offer.is_some();
        let managed = memory.stream_management;
        let after = match &self.setup.resume {
            _ if !known => After::Nothing,
            Resume::Try(token) if managed => {
                let resume = sm::Resume {
                    previd: token.id.clone(),
                    h: token.h,
                };
                self.send(resume.to_element());
                After::Resume
            }
            // Whether it can be resumed must be known before anything is bound.
            Resume::Try(_) => After::Nothing,
            // RFC 6120 §7.3.1: no server may leave the binding out.
            Resume::No | Resume::Lost => After::Bind(self.ask_for_resource(managed)),
        };
        if !matches!(after, After::Nothing) {
            self.sent_ahead();
        }
        after
    }

    pub(super) fn begin_session(&mut self, mut session: Session, after: After) -> Step {
        let asked = match after {
            After::Nothing | After::Resume => None,
            After::Bind(asked) => Some(asked),
        };
        match std::mem::take(&mut self.setup.resume) {
            Resume::No => {}
            Resume::Lost => self.resume_failed(&mut session, None, ResumeFailure::StreamClosed),
            Resume::Try(token) => {
                if matches!(after, After::Resume) {
                    self.phase = Phase::Resumption;
                    return Ok(State::Resuming(Box::new(session), token));
                }
                if session.features.stream_management {
                    self.phase = Phase::Resumption;
                    let resume = sm::Resume {
                        previd: token.id.clone(),
                        h: token.h,
                    };
                    self.send(resume.to_element());
                    return Ok(State::Resuming(Box::new(session), token));
                }
                self.resume_failed(&mut session, None, ResumeFailure::NotOffered);
            }
        }
        self.bind(session, asked)
    }

    pub(super) fn resume_failed(
        &mut self,
        session: &mut Session,
        h: Option<u32>,
        reason: ResumeFailure,
    ) {
        session.resumption = Resumption::Failed { h, reason };
        self.report(Report::Resumption(session.resumption));
    }

    pub(super) fn resume_answer(
        &mut self,
        mut session: Box<Session>,
        token: ResumeToken,
        e: &Element,
    ) -> Step {
        const SECTION: &str = "XEP-0198 §5";
        if sm::Resumed::matches(e) {
            let sm::Resumed(answer) = sm::Resumed::from_element(e).map_err(payload(SECTION))?;
            if answer.previd != token.id {
                return Err(Misbehaviour::AnotherSession.into());
            }
            return Ok(self.resumed(*session, token, answer.h));
        }
        if sm::Failed::matches(e) {
            // A count that cannot be read is no count.
            let failed = sm::Failed::from_element(e).unwrap_or(sm::Failed {
                h: None,
                condition: None,
            });
            self.resume_failed(
                &mut session,
                failed.h,
                ResumeFailure::Refused(failed.condition),
            );
            self.owed = false;
            return self.bind(*session, None);
        }
        let (awaited, section) = State::Resuming(session, token).awaits();
        Err(unexpected(e, awaited, section))
    }

    /// The session before goes on.
    pub(super) fn resumed(&mut self, mut session: Session, token: ResumeToken, h: u32) -> State {
        session.resumption = Resumption::Resumed { h };
        self.report(Report::Resumption(session.resumption));
        let managed = SmSession {
            id: Some(token.id),
            resumable: true,
            max_seconds: token.max_seconds,
            location: token.location,
        };
        self.done(session, token.jid, Some(managed))
    }

    /// Waits for an address; asks for it, unless that was done already.
    fn bind(&mut self, session: Session, asked: Option<Asked>) -> Step {
        if !session.features.bind {
            return Err(Misbehaviour::NoBinding.into());
        }
        let managed = session.features.stream_management;
        let asked = match asked {
            // A server without it may well end the stream over the word.
            Some(Asked { enable: true, .. }) if !managed => return Err(ahead_refused(None)),
            Some(asked) => asked,
            None => self.ask_for_resource(managed),
        };
        self.phase = Phase::Binding;
        Ok(State::Binding(Box::new(Binding { session, asked })))
    }

    fn ask_for_resource(&mut self, managed: bool) -> Asked {
        let wish = self.setup.resource.take();
        let wished = wish.is_some();
        let request = Iq::set(None, Text::from_static(BIND_ID), &Bind::Request(wish));
        self.send(request.to_element());
        // A refused wish would have it come too early, and it may be sent only once.
        let enable = managed && self.setup.stream_management && !wished;
        if enable {
            self.send_enable();
        }
        Asked { wished, enable }
    }

    fn send_enable(&mut self) {
        let enable = sm::Enable {
            resume: true,
            max: None,
        };
        self.send(enable.to_element());
    }

    pub(super) fn bind_answer(&mut self, mut binding: Box<Binding>, e: Element) -> Step {
        if binding.asked.enable && sm::Failed::matches(&e) {
            // It came too early for a server that binds aside: asked again when bound.
            binding.asked.enable = false;
            return Ok(State::Binding(binding));
        }
        if !Stanza::is_stanza(&e) {
            let (awaited, section) = State::Binding(binding).awaits();
            return Err(unexpected(&e, awaited, section));
        }
        let is_answer = e.name() == "iq"
            && e.attr("id") == Some(BIND_ID)
            && matches!(e.attr("type"), Some("result" | "error"));
        if !is_answer {
            // A replaced session's messages may come before the answer.
            binding.session.keep_early(e)?;
            return Ok(State::Binding(binding));
        }
        match Iq::from_element(e).map_err(Misbehaviour::Answer)?.kind {
            IqKind::Result(Some(answer)) if Bind::matches(&answer) => {
                match Bind::from_element(&answer).map_err(payload("RFC 6120 §7.6.1"))? {
                    Bind::Bound(jid) => Ok(self.bound(binding.session, jid, binding.asked)),
                    Bind::Request(_) => Err(no_jid()),
                }
            }
            IqKind::Error(error, _) if binding.asked.wished && is_about_the_wish(&error) => {
                self.report(Report::ResourceRefused(error));
                // The wish was taken by the first try.
                self.bind(binding.session, None)
            }
            IqKind::Error(error, _) => Err(ConnectError::BindRefused(error)),
            _ => Err(no_jid()),
        }
    }

    fn bound(&mut self, session: Session, jid: FullJid, asked: Asked) -> State {
        self.report(Report::Bound(jid.clone()));
        if asked.enable {
            self.phase = Phase::StreamManagement;
            return State::Enabling(Box::new(Enabling { session, jid }));
        }
        self.enable(session, jid)
    }

    /// Bound: enables stream management, where both want it.
    pub(super) fn enable(&mut self, session: Session, jid: FullJid) -> State {
        if !self.setup.stream_management || !session.features.stream_management {
            return self.done(session, jid, None);
        }
        self.phase = Phase::StreamManagement;
        self.send_enable();
        State::Enabling(Box::new(Enabling { session, jid }))
    }

    pub(super) fn enable_answer(&mut self, mut enabling: Box<Enabling>, e: Element) -> Step {
        const SECTION: &str = "XEP-0198 §3";
        if sm::Enabled::matches(&e) {
            let enabled = sm::Enabled::from_element(&e).map_err(payload(SECTION))?;
            return Ok(self.done(enabling.session, enabling.jid, Some(enabled.into())));
        }
        if sm::Failed::matches(&e) {
            let condition = sm::Failed::from_element(&e).ok().and_then(|f| f.condition);
            self.report(Report::StreamManagementRefused(condition));
            return Ok(self.done(enabling.session, enabling.jid, None));
        }
        if !Stanza::is_stanza(&e) {
            let (awaited, section) = State::Enabling(enabling).awaits();
            return Err(unexpected(&e, awaited, section));
        }
        enabling.session.keep_early(e)?;
        Ok(State::Enabling(enabling))
    }

    pub(super) fn done(
        &mut self,
        session: Session,
        jid: FullJid,
        stream_management: Option<SmSession>,
    ) -> State {
        self.owed = false;
        let LoggedIn {
            report,
            keys,
            security,
            offer,
        } = session.logged_in;
        let resumed = matches!(session.resumption, Resumption::Resumed { .. });
        // A session that was resumed inline comes without features.
        let features = (!resumed || session.features != StreamFeatures::default())
            .then_some(&session.features);
        let memory = self.learnt(&report, security, &offer, features);
        let established = Established {
            jid,
            features: session.features,
            stream_management,
            resumption: session.resumption,
            login: report,
            security,
            round_trips: self.round_trips,
            early: session.early,
            counted: session.counted,
            keys,
            memory,
        };
        self.outputs.push_back(Output::Done(Box::new(established)));
        State::Over
    }

    /// What this login has taught.
    fn learnt(
        &mut self,
        report: &LoginReport,
        security: ChannelSecurity,
        offer: &LoginOffer,
        features: Option<&StreamFeatures>,
    ) -> ServerMemory {
        let mut memory = std::mem::take(&mut self.setup.memory);
        let protected = security != ChannelSecurity::Plaintext;
        // In the clear, whoever is on the way may have added to the offer what the server
        // never had: held against it later, that would lock the account out.
        if protected {
            memory.strongest = memory.strongest.or_stronger(report.strength);
        }
        memory.tls |= protected;
        memory.starttls = protected && self.starttls.unwrap_or(memory.starttls);
        memory.offer = (protected && offer.is_memorable()).then(|| offer.detached());
        if let Some(features) = features {
            memory.stream_management = features.stream_management;
            memory.max_bytes = features.max_bytes;
        }
        if self.went_ahead {
            memory.ahead_failed = 0;
        }
        memory
    }
}

impl From<sm::Enabled> for SmSession {
    fn from(enabled: sm::Enabled) -> Self {
        Self {
            resumable: enabled.resume && enabled.id.is_some(),
            id: enabled.id,
            max_seconds: enabled.max,
            location: enabled.location,
        }
    }
}

fn no_jid() -> ConnectError {
    payload("RFC 6120 §7.6.1")(PayloadError::MissingChild {
        element: Bind::NAME,
        child: "jid",
    })
}

/// Conditions that another resource may cure (RFC 6120 §7.7.2).
const fn is_about_the_wish(error: &StanzaError) -> bool {
    matches!(
        error.condition,
        DefinedCondition::BadRequest
            | DefinedCondition::Conflict
            | DefinedCondition::NotAcceptable
            | DefinedCondition::NotAllowed
    )
}
