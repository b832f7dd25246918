//! What SASL2 carries besides the exchange (XEP-0388 §2.3, §2.6.1): a resource by Bind 2
//! (XEP-0386), stream management enabled or resumed (XEP-0198 §9), a token for the next
//! login (XEP-0484). The exchange itself is in `login`; what is left to do on the stream
//! afterwards is in `session`.

use stanchion_sasl::policy::{ChannelBindingPolicy, ChannelSecurity};
use stanchion_sasl::{Channel, ChannelBindings, Credentials, token};
use stanchion_stanza::payload::{bind2, fast, sasl2, sm};
use stanchion_stanza::{Element, Payload, Stanza, Text, ns, stream::StreamFeatures};

use super::Negotiation;
use super::established::ResumeFailure;
use super::fault::{payload, unexpected};
use super::output::{FeatureStage, Report};
use super::passing::{After, Authenticated, Bound, Inline, LoggedIn, Session};
use super::remembered::{LoginOffer, Token};
use super::setup::Resume;
use super::state::{State, Step};
use crate::error::ConnectError;
use crate::misbehaviour::Misbehaviour;
use crate::phase::Phase;

impl Negotiation {
    /// Decides what goes along.
    pub(super) fn inline(&self, channel: &Channel, offer: &LoginOffer, with_token: bool) -> Inline {
        let to_resume = matches!(self.setup.resume, Resume::Try(_));
        let resume = to_resume && offer.resume;
        // A wish needs the older binding: Bind 2 takes none (XEP-0386 §3.2). So does a
        // session that is to be resumed first, on the stream.
        let bind = offer.bind2 && self.setup.resource.is_none() && (resume || !to_resume);
        Inline {
            resume,
            bind,
            enable: bind && offer.bind2_enable && self.setup.stream_management,
            with_token,
            token: self
                .wants_tokens(channel)
                .then(|| self.token_mechanism(channel, offer))
                .flatten(),
        }
    }

    /// Writes `<authenticate/>`.
    pub(super) fn authenticate(
        &self,
        mechanism: Text,
        initial: Option<Vec<u8>>,
        inline: &Inline,
    ) -> Element {
        let mut authenticate = sasl2::Authenticate::new(mechanism);
        authenticate.initial = initial;
        authenticate.user_agent = self.setup.agent.clone();
        let along = &mut authenticate.inline;
        if let (true, Resume::Try(token)) = (inline.resume, &self.setup.resume) {
            let resume = sm::Resume {
                previd: token.id.clone(),
                h: token.h,
            };
            along.push(resume.to_element());
        }
        if inline.bind {
            let enable = sm::Enable {
                resume: true,
                max: None,
            };
            let request = bind2::Request {
                tag: self.setup.agent.as_ref().and_then(|a| a.software.clone()),
                inline: inline
                    .enable
                    .then(|| enable.to_element())
                    .into_iter()
                    .collect(),
            };
            along.push(request.to_element());
        }
        match (inline.with_token, inline.token) {
            (true, _) => {
                let count = self.setup.memory.token.as_ref().map(|t| t.count);
                let used = fast::Fast {
                    count: count.filter(|c| *c > 0),
                    invalidate: false,
                };
                along.push(used.to_element());
            }
            (false, Some(mechanism)) => {
                let mechanism = Text::from_static(mechanism);
                along.push(fast::RequestToken { mechanism }.to_element());
            }
            (false, None) => {}
        }
        authenticate.to_element()
    }

    /// Whether a token may stand for these credentials on this connection: only where
    /// the server is verified (XEP-0484 §6), and only for who acts as oneself.
    pub(super) fn wants_tokens(&self, channel: &Channel) -> bool {
        let verified = matches!(
            channel.security,
            ChannelSecurity::Tls {
                server_verified: true,
                ..
            }
        );
        self.setup.fast && verified && self.agent_id().is_some() && self.user().is_some()
    }

    /// The mechanism for a token, bound to the connection where both can.
    pub(super) fn token_mechanism(
        &self,
        channel: &Channel,
        offer: &LoginOffer,
    ) -> Option<&'static str> {
        let offered: Vec<&str> = offer.fast.iter().map(Text::as_str).collect();
        match self.setup.sasl.channel_binding {
            ChannelBindingPolicy::Never => token::choose(&offered, &ChannelBindings::default()),
            ChannelBindingPolicy::Require => token::choose(&offered, &channel.bindings)
                .filter(|mechanism| !mechanism.ends_with("-NONE")),
            _ => token::choose(&offered, &channel.bindings),
        }
    }

    /// The user agent's id, if it is what XEP-0388 §2.3 wants.
    pub(super) fn agent_id(&self) -> Option<&Text> {
        let id = self.setup.agent.as_ref()?.id.as_ref()?;
        is_uuid(id).then_some(id)
    }

    /// The user name, of who acts as oneself.
    pub(super) fn user(&self) -> Option<&str> {
        // The server must find the account in the stream header (XEP-0484 §4.1).
        self.setup.account.local()?;
        match &self.setup.credentials {
            Credentials::Password {
                authcid,
                authzid: None,
                ..
            } => Some(authcid),
            _ => None,
        }
    }

    /// The mechanism agrees that this is a success: what became of the rest?
    pub(super) fn sasl2_success(
        &mut self,
        logged_in: LoggedIn,
        inline: Inline,
        success: &sasl2::Success,
    ) -> Step {
        const RESUME: &str = "XEP-0198 §9.2";
        self.learn_token(&inline, success)?;
        let mut session = Session::new(logged_in);
        let resumed = sm::Resumed::find(&success.inline).map_err(payload(RESUME))?;
        let asked = if inline.resume {
            std::mem::take(&mut self.setup.resume)
        } else {
            Resume::No
        };
        match (asked, resumed) {
            (Resume::Try(token), Some(sm::Resumed(answer))) if answer.previd == token.id => {
                // Features may follow or not (XEP-0198 §9.2 against XEP-0388 §2.6.1), so
                // what the server said last time has to do.
                session.features.max_bytes = self.setup.memory.max_bytes;
                return Ok(self.resumed(session, token, answer.h));
            }
            (_, Some(_)) => return Err(Misbehaviour::AnotherSession.into()),
            (Resume::Try(_), None) => {
                // No answer is a refusal, too; a count that cannot be read is no count.
                let failed = sm::Failed::find(&success.inline).ok().flatten();
                let condition = failed.as_ref().and_then(|f| f.condition);
                let h = failed.and_then(|f| f.h);
                self.resume_failed(&mut session, h, ResumeFailure::Refused(condition));
            }
            (Resume::No | Resume::Lost, None) => {}
        }
        if matches!(self.setup.resume, Resume::Lost) {
            self.setup.resume = Resume::No;
            self.resume_failed(&mut session, None, ResumeFailure::StreamClosed);
        }
        let bound = bind2::Bound::find(&success.inline).map_err(payload("XEP-0386 §3.2"))?;
        let bound = match bound {
            Some(bound) => Some(self.bound2(success, &bound)?),
            None => None,
        };
        self.phase = Phase::Stream;
        let authenticated = Authenticated { session, bound };
        Ok(State::Authenticated(Box::new(authenticated)))
    }

    fn bound2(
        &mut self,
        success: &sasl2::Success,
        bound: &bind2::Bound,
    ) -> Result<Bound, ConnectError> {
        let Some(jid) = success.authorization_identifier.to_full() else {
            return Err(Misbehaviour::BoundToNothing.into());
        };
        self.report(Report::Bound(jid.clone()));
        let enabled = sm::Enabled::find(&bound.inline).map_err(payload("XEP-0198 §9.1"))?;
        let failed = bound.inline.iter().find(|e| sm::Failed::matches(e));
        let management = match (enabled, failed) {
            (Some(enabled), _) => Some(Ok(enabled.into())),
            (None, Some(failed)) => {
                let condition = sm::Failed::from_element(failed)
                    .ok()
                    .and_then(|f| f.condition);
                Some(Err(condition))
            }
            (None, None) => None,
        };
        Ok(Bound { jid, management })
    }

    /// A new token takes the place of the old one (XEP-0484 §3.5).
    fn learn_token(
        &mut self,
        inline: &Inline,
        success: &sasl2::Success,
    ) -> Result<(), ConnectError> {
        let given = fast::Token::find(&success.inline).map_err(payload("XEP-0484 §3.3"))?;
        let agent = self.agent_id().cloned();
        if let (Some(given), Some(mechanism), Some(agent)) = (given, inline.token, agent)
            && let Some(token) = Token::given(&given, mechanism, &agent)
        {
            self.setup.memory.token = Some(token);
        }
        Ok(())
    }

    /// Something that comes between the success and the features.
    pub(super) fn authenticated_element(
        &mut self,
        mut authenticated: Box<Authenticated>,
        e: Element,
    ) -> Step {
        if StreamFeatures::matches(&e) {
            let features = StreamFeatures::from_element(&e).map_err(payload("RFC 6120 §4.3.2"))?;
            return self.authenticated(*authenticated, features);
        }
        // From `<enabled/>` on everything counts, and requests want an answer.
        let managed = authenticated.is_managed();
        if managed && (Stanza::is_stanza(&e) || e.ns() == ns::SM) {
            authenticated.session.keep_counted(e)?;
        } else if authenticated.bound.is_some() && Stanza::is_stanza(&e) {
            authenticated.session.keep_early(e)?;
        } else {
            let (awaited, section) = State::Authenticated(authenticated).awaits();
            return Err(unexpected(&e, awaited, section));
        }
        Ok(State::Authenticated(authenticated))
    }

    fn authenticated(&mut self, authenticated: Authenticated, features: StreamFeatures) -> Step {
        let Authenticated { mut session, bound } = authenticated;
        self.report(Report::Features(FeatureStage::AfterLogin, features.clone()));
        session.features = features;
        // They may list the older binding as required, and mean those who are not bound.
        match bound {
            None => self.begin_session(session, After::Nothing),
            Some(Bound { jid, management }) => match management {
                Some(Ok(managed)) => Ok(self.done(session, jid, Some(managed))),
                Some(Err(condition)) => {
                    self.report(Report::StreamManagementRefused(condition));
                    Ok(self.done(session, jid, None))
                }
                None => Ok(self.enable(session, jid)),
            },
        }
    }
}

/// Whether it has the form of a UUID (RFC 9562 §4).
fn is_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_no_uuid_is_not_used() {
        assert!(is_uuid("d4565fa7-4d72-4749-b3d3-740edbf87770"));
        for bad in [
            "",
            "lamp",
            "d4565fa7-4d72-4749-b3d3-740edbf8777g",
            "d4565fa7_4d72_4749_b3d3_740edbf87770",
        ] {
            assert!(!is_uuid(bad), "{bad}");
        }
    }
}
