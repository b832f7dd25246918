//! What follows the login: resuming (XEP-0198 §5), binding (RFC 6120 §7), enabling
//! stream management (XEP-0198 §3). Counting stanzas is a floor above.

use stanchion_stanza::payload::bind::Bind;
use stanchion_stanza::payload::sm;
use stanchion_stanza::stanza::{DefinedCondition, IqKind, StanzaError};
use stanchion_stanza::{
    Element, FullJid, Iq, Payload, Stanza, Text, payload::PayloadError, stream::StreamFeatures,
};

use super::established::{Established, ResumeFailure, ResumeToken, Resumption, SmSession};
use super::login::LoggedIn;
use super::output::{Output, Report};
use super::setup::Resume;
use super::{Negotiation, State, Step, payload, unexpected};
use crate::error::ConnectError;
use crate::misbehaviour::Misbehaviour;
use crate::phase::Phase;

/// Most stanzas that are kept between binding and `<enabled/>`. A server that hands a
/// replaced session's messages over may send some there; more is a fault.
pub const MAX_EARLY: usize = 1024;

/// Nothing else asks anything yet, so any id will do.
const BIND_ID: &str = "bind";

/// Logged in, and what the server offers from here on.
#[derive(Debug)]
pub(super) struct Session {
    logged_in: LoggedIn,
    features: StreamFeatures,
    resumption: Resumption,
    early: Vec<Element>,
}

/// Waiting for an address.
#[derive(Debug)]
pub(super) struct Binding {
    session: Session,
    /// A resource was wished for, so there is one more try without.
    wished: bool,
}

/// Waiting for stream management.
#[derive(Debug)]
pub(super) struct Enabling {
    session: Session,
    jid: FullJid,
}

impl Negotiation {
    pub(super) fn begin_session(&mut self, logged_in: LoggedIn, features: StreamFeatures) -> Step {
        let mut session = Session {
            logged_in,
            features,
            resumption: Resumption::NotTried,
            early: Vec::new(),
        };
        match std::mem::take(&mut self.setup.resume) {
            Resume::No => self.bind(session),
            Resume::Lost => {
                self.resume_failed(&mut session, None, ResumeFailure::StreamClosed);
                self.bind(session)
            }
            Resume::Try(_) if !session.features.stream_management => {
                self.resume_failed(&mut session, None, ResumeFailure::NotOffered);
                self.bind(session)
            }
            Resume::Try(token) => {
                self.phase = Phase::Resumption;
                let resume = sm::Resume {
                    previd: token.id.clone(),
                    h: token.h,
                };
                self.send(resume.to_element());
                Ok(State::Resuming(Box::new(session), token))
            }
        }
    }

    fn resume_failed(&mut self, session: &mut Session, h: Option<u32>, reason: ResumeFailure) {
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
            session.resumption = Resumption::Resumed { h: answer.h };
            self.report(Report::Resumption(session.resumption));
            let sm_session = SmSession {
                id: Some(token.id),
                resumable: true,
                max_seconds: token.max_seconds,
                location: token.location,
            };
            return Ok(self.done(*session, token.jid, Some(sm_session)));
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
            return self.bind(*session);
        }
        let (awaited, section) = State::Resuming(session, token).awaits();
        Err(unexpected(e, awaited, section))
    }

    fn bind(&mut self, session: Session) -> Step {
        if !session.features.bind {
            return Err(Misbehaviour::NoBinding.into());
        }
        self.phase = Phase::Binding;
        let wish = self.setup.resource.take();
        let wished = wish.is_some();
        let request = Iq::set(None, Text::from_static(BIND_ID), &Bind::Request(wish));
        self.send(request.to_element());
        Ok(State::Binding(Box::new(Binding { session, wished })))
    }

    pub(super) fn bind_answer(&mut self, mut binding: Box<Binding>, e: Element) -> Step {
        if !Stanza::is_stanza(&e) {
            let (awaited, section) = State::Binding(binding).awaits();
            return Err(unexpected(&e, awaited, section));
        }
        let is_answer = e.name() == "iq"
            && e.attr("id") == Some(BIND_ID)
            && matches!(e.attr("type"), Some("result" | "error"));
        if !is_answer {
            // A replaced session's messages may come before the answer.
            keep(&mut binding.session.early, e)?;
            return Ok(State::Binding(binding));
        }
        match Iq::from_element(e).map_err(Misbehaviour::Answer)?.kind {
            IqKind::Result(Some(answer)) if Bind::matches(&answer) => {
                match Bind::from_element(&answer).map_err(payload("RFC 6120 §7.6.1"))? {
                    Bind::Bound(jid) => Ok(self.bound(binding.session, jid)),
                    Bind::Request(_) => Err(no_jid()),
                }
            }
            IqKind::Error(error, _) if binding.wished && is_about_the_wish(&error) => {
                self.report(Report::ResourceRefused(error));
                // The wish was taken by the first try.
                self.bind(binding.session)
            }
            IqKind::Error(error, _) => Err(ConnectError::BindRefused(error)),
            _ => Err(no_jid()),
        }
    }

    fn bound(&mut self, session: Session, jid: FullJid) -> State {
        self.report(Report::Bound(jid.clone()));
        if !self.setup.stream_management || !session.features.stream_management {
            return self.done(session, jid, None);
        }
        self.phase = Phase::StreamManagement;
        let enable = sm::Enable {
            resume: true,
            max: None,
        };
        self.send(enable.to_element());
        State::Enabling(Box::new(Enabling { session, jid }))
    }

    pub(super) fn enable_answer(&mut self, mut enabling: Box<Enabling>, e: Element) -> Step {
        const SECTION: &str = "XEP-0198 §3";
        if sm::Enabled::matches(&e) {
            let enabled = sm::Enabled::from_element(&e).map_err(payload(SECTION))?;
            let sm_session = SmSession {
                resumable: enabled.resume && enabled.id.is_some(),
                id: enabled.id,
                max_seconds: enabled.max,
                location: enabled.location,
            };
            return Ok(self.done(enabling.session, enabling.jid, Some(sm_session)));
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
        keep(&mut enabling.session.early, e)?;
        Ok(State::Enabling(enabling))
    }

    fn done(
        &mut self,
        session: Session,
        jid: FullJid,
        stream_management: Option<SmSession>,
    ) -> State {
        let LoggedIn {
            report,
            keys,
            security,
        } = session.logged_in;
        let established = Established {
            jid,
            features: session.features,
            stream_management,
            resumption: session.resumption,
            login: report,
            security,
            round_trips: self.round_trips,
            early: session.early,
            keys,
        };
        self.outputs.push_back(Output::Done(Box::new(established)));
        State::Over
    }
}

fn keep(early: &mut Vec<Element>, e: Element) -> Result<(), ConnectError> {
    if early.len() >= MAX_EARLY {
        return Err(Misbehaviour::Flood(MAX_EARLY).into());
    }
    early.push(e);
    Ok(())
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
