//! An account made in band (XEP-0077 §3.1, §8): before there is a login, over a connection
//! that is protected as a login's would be. What is asked for and filled in is the caller's
//! affair; all that follows a login is `stanchion_services::registration`'s.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use stanchion_stanza::payload::register::{FieldName, Query, Registration};
use stanchion_stanza::stanza::{DefinedCondition, IqKind, StanzaError};
use stanchion_stanza::stream::{StreamError, StreamFeatures, StreamHeader};
use stanchion_stanza::{Element, Iq, Jid, Payload as _, Stanza, StreamEvent, Text};
use stanchion_transport::{Endpoint, StreamFault, XmppStream};
use thiserror::Error;
use tokio::time::{Instant, timeout};

use crate::connector::Connector;
use crate::driver::{Attempting, Clock};
use crate::error::{Attempt, ConnectError, Misuse};
use crate::misbehaviour::Misbehaviour;
use crate::negotiation::Resume;
use crate::phase::Phase;

/// Elements that may come in place of an answer.
const PASSED_OVER: usize = 8;
/// Where the protocol is written down.
const SECTION: &str = "XEP-0077 §3.1";

/// Why there is no account.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// There was no protected connection, or it ended.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Somebody has that name.
    #[error("the name is taken; choose another")]
    Taken(StanzaError),
    /// The server makes no accounts in band, or not for us.
    #[error("the server makes no account ({0}); ask its operator")]
    Refused(StanzaError),
    /// It does not accept what was given: a password that is too weak, say.
    #[error("the server does not accept what was given ({0}); correct it")]
    NotAcceptable(StanzaError),
    /// Too many accounts, or too many in a short time.
    #[error("the server makes no account now ({0}); try later")]
    Later(StanzaError),
    /// It asks for more than a name and a password: fill it in, and
    /// [submit](Registering::submit) it.
    #[error("the server asks for more than a name and a password")]
    MoreAsked(Box<Registration>),
    /// The account's address has no name, or it or the password cannot be sent.
    #[error("the account's name or password cannot be sent")]
    Unfit,
}

impl RegisterError {
    fn refused(error: StanzaError) -> Self {
        use DefinedCondition as C;
        match error.condition {
            C::Conflict => Self::Taken(error),
            C::NotAcceptable | C::BadRequest | C::JidMalformed => Self::NotAcceptable(error),
            C::ResourceConstraint | C::PolicyViolation => Self::Later(error),
            _ => Self::Refused(error),
        }
    }
}

/// A connection to a server that was asked what it wants to know. Nobody is logged in on
/// it; when it is dropped, nothing has happened.
#[derive(Debug)]
pub struct Registering {
    stream: XmppStream,
    domain: Jid,
    asked: Registration,
    limit: Duration,
    count: u32,
}

impl Registering {
    /// What the server wants to know: a form comes before fields (§4).
    #[must_use]
    pub const fn asked(&self) -> &Registration {
        &self.asked
    }

    /// Submits what was filled in. After [`RegisterError::Taken`] or
    /// [`RegisterError::NotAcceptable`] another try may follow, if the server has not
    /// closed the stream.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn submit(&mut self, filled: Registration) -> Result<(), RegisterError> {
        let query = Query::Registration(filled);
        self.ask(IqKind::Set(query.to_element())).await?;
        Ok(())
    }

    /// Ends the stream.
    pub async fn close(mut self) {
        // It has served; how it ends says nothing.
        let _ = timeout(self.limit, self.stream.close()).await;
    }

    async fn ask(&mut self, kind: IqKind) -> Result<Option<Element>, RegisterError> {
        self.count += 1;
        let id = Text::from(self.count);
        let mut iq = Iq::get(Some(self.domain.clone()), id.clone(), &Query::get());
        iq.kind = kind;
        let sent = self.stream.send(&iq.to_element());
        sent.map_err(|e| ConnectError::from(Misuse::Encode(e)))?;
        for _ in 0..PASSED_OVER {
            let element = self.next().await?;
            let Ok(Stanza::Iq(answer)) = Stanza::from_element(element) else {
                continue;
            };
            if answer.header.id.as_ref() != Some(&id) {
                continue;
            }
            return match answer.kind {
                IqKind::Result(result) => Ok(result),
                IqKind::Error(error, _) => Err(RegisterError::refused(error)),
                IqKind::Get(_) | IqKind::Set(_) => continue,
            };
        }
        Err(ConnectError::from(Misbehaviour::Flood(PASSED_OVER)).into())
    }

    /// The next element.
    async fn next(&mut self) -> Result<Element, ConnectError> {
        match next(&mut self.stream, self.limit).await? {
            StreamEvent::Element(element) => Ok(element),
            _ => Err(lost(None)),
        }
    }
}

fn lost(source: Option<StreamFault>) -> ConnectError {
    ConnectError::Lost {
        endpoint: None,
        phase: Phase::Stream,
        source,
    }
}

async fn next(stream: &mut XmppStream, limit: Duration) -> Result<StreamEvent, ConnectError> {
    let phase = Phase::Stream;
    let event = timeout(limit, stream.next()).await;
    let event = event.map_err(|_| ConnectError::Deadline {
        endpoint: None,
        phase,
        limit,
    })?;
    match event {
        Ok(StreamEvent::Element(element)) if StreamError::matches(&element) => {
            let error = StreamError::from_element(&element);
            let error = error.map_err(|source| Misbehaviour::Payload {
                section: "RFC 6120 §4.9",
                source,
            })?;
            Err(ConnectError::Stream {
                endpoint: None,
                phase,
                error,
            })
        }
        Ok(event) => Ok(event),
        Err(StreamFault::Decode(error)) => Err(Misbehaviour::Decode(error).into()),
        Err(fault) => Err(lost(Some(fault))),
    }
}

impl Connector {
    /// Makes the account of this connector at its server, with that password, if the
    /// server asks for no more than a name and a password.
    ///
    /// # Errors
    /// [`RegisterError`]; with [`RegisterError::MoreAsked`] see
    /// [`Connector::begin_registration`].
    pub async fn register(&self, password: &SecretString) -> Result<(), RegisterError> {
        let name = self.account().jid.local().ok_or(RegisterError::Unfit)?;
        let text = |s: &str| Text::new(s).map_err(|_| RegisterError::Unfit);
        let (name, password) = (text(name)?, text(password.expose_secret())?);
        let mut registering = self.begin_registration().await?;
        let asked = registering.asked();
        let known = |name| matches!(name, FieldName::Username | FieldName::Password);
        let has = |name| asked.field(name).is_some();
        let simple = asked.form.is_none() || (has(FieldName::Username) && has(FieldName::Password));
        if !simple || asked.fields.iter().any(|field| !known(field.name)) {
            let asked = Box::new(asked.clone());
            registering.close().await;
            return Err(RegisterError::MoreAsked(asked));
        }
        let done = registering.submit(Registration::account(name, password));
        let done = done.await;
        registering.close().await;
        done
    }

    /// Connects to a server of the account's domain, one candidate after the other, and
    /// asks it what it wants to know of a new account. Never without TLS.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn begin_registration(&self) -> Result<Registering, RegisterError> {
        let give_up = Instant::now() + self.config().timeouts.total;
        let mut failed = Vec::new();
        for endpoint in self.candidates(give_up).await? {
            let began = Instant::now();
            match self.protected(endpoint.clone(), give_up).await {
                Ok(stream) => return self.asked_at(stream).await,
                Err((phase, error)) => failed.push(Attempt {
                    endpoint,
                    phase,
                    elapsed: began.elapsed(),
                    error,
                }),
            }
        }
        Err(match (failed.pop(), failed.is_empty()) {
            (Some(only), true) => only.error.only_at(only.endpoint).into(),
            (Some(last), false) => {
                failed.push(last);
                ConnectError::AllFailed(failed).into()
            }
            (None, _) => ConnectError::TlsNotOffered.into(),
        })
    }

    /// A protected connection to that place, on which nothing was said yet.
    async fn protected(
        &self,
        endpoint: Endpoint,
        give_up: Instant,
    ) -> Result<XmppStream, (Phase, ConnectError)> {
        let basis = self.basis();
        let setup = basis.setup(&endpoint, Resume::No);
        let setup = setup.map_err(|error| (Phase::Tcp, error))?;
        let mut attempting = Attempting {
            dial: &*basis.dial,
            config: &basis.config,
            domain: basis.account.jid.domain(),
            endpoint,
            observer: &|_| {},
            clock: Clock::start(basis.config.timeouts, give_up),
            opened: false,
        };
        match attempting.secure(setup, false).await {
            Ok(secured) => Some(secured.into_stream())
                .filter(|stream| stream.security().tls.is_some())
                .ok_or((Phase::Tls, ConnectError::TlsNotOffered)),
            Err(error) => Err((attempting.clock.phase(), error)),
        }
    }

    async fn asked_at(&self, mut stream: XmppStream) -> Result<Registering, RegisterError> {
        let domain = self.account().jid.domain();
        let domain = Jid::from_parts(None, domain, None).map_err(|_| RegisterError::Unfit)?;
        let limit = self.config().timeouts.stream;
        stream.open(&StreamHeader::initial(domain.clone()));
        match next(&mut stream, limit).await? {
            StreamEvent::Open(header) if header.is_xmpp_1() => {}
            StreamEvent::Open(_) => return Err(ConnectError::from(Misbehaviour::Version).into()),
            _ => return Err(lost(None).into()),
        }
        let mut registering = Registering {
            stream,
            domain,
            asked: Registration::default(),
            limit,
            count: 0,
        };
        let features = registering.next().await?;
        if !StreamFeatures::matches(&features) {
            let error = Misbehaviour::OutOfOrder {
                got: features.name().chars().take(40).collect(),
                awaited: "the stream's features",
                section: "RFC 6120 §4.3.2",
            };
            return Err(ConnectError::from(error).into());
        }
        // A server that does not announce it may do it all the same, or says why not.
        let answer = registering
            .ask(IqKind::Get(Query::get().to_element()))
            .await?;
        let asked = match answer
            .as_ref()
            .filter(|a| Query::matches(a))
            .map(Query::from_element)
        {
            Some(Ok(Query::Registration(asked))) => asked,
            Some(Err(source)) => {
                let section = SECTION;
                let error = Misbehaviour::Payload { section, source };
                return Err(ConnectError::from(error).into());
            }
            _ => {
                let error = Misbehaviour::OutOfOrder {
                    got: "another result".to_owned(),
                    awaited: "what is asked for",
                    section: SECTION,
                };
                return Err(ConnectError::from(error).into());
            }
        };
        registering.asked = asked;
        Ok(registering)
    }
}
