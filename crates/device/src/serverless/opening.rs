//! A stream between neighbours, from its first byte until stanzas may flow: both roles
//! (XEP-0174 §6, RFC 6120 §4, §5). Who is let in was decided in `trust`; deadlines are the
//! caller's.

use std::sync::Arc;

use stanchion_stanza::payload::disco::DiscoInfo;
use stanchion_stanza::payload::starttls::{Failure, Proceed, StartTls};
use stanchion_stanza::stream::{
    Requirement, StreamCondition, StreamError, StreamFeatures, StreamHeader,
};
use stanchion_stanza::{BareJid, Element, Jid, Limits, Payload as _, StreamEvent, Text};
use stanchion_transport::tls::Identity;
use stanchion_transport::{
    BoxTransport, StreamFault, TlsAcceptor, TlsConnector, TlsPolicy, XmppStream,
};

use super::error::ContactError;
use super::trust::{No, Way};

/// Bytes of what comes before a stream is open: RFC 6120 §13.12 wants that much.
const BEFORE: usize = 10_000;
/// What TLS is told to look for: nobody here has a domain, and the pin is what counts.
const DOMAIN: &str = "local";

/// What we are, to all of them.
#[derive(Debug, Clone)]
pub(super) struct We {
    pub(super) name: BareJid,
    pub(super) identity: Identity,
    pub(super) stanza_bytes: usize,
    /// What we can do, for the features.
    pub(super) info: Arc<DiscoInfo>,
}

/// An open stream.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) stream: XmppStream,
    /// Who is there; of a plain stream, who says so.
    pub(super) name: Option<BareJid>,
    pub(super) way: Way,
    /// What the other side can do, if it said so.
    pub(super) info: Option<DiscoInfo>,
}

/// Why somebody is not let in.
#[derive(Debug)]
pub(super) enum Closed {
    /// It is not to be spoken to.
    Untrusted { from: Option<BareJid>, why: No },
    /// It cannot, or broke the rules.
    Broken { from: Option<BareJid>, what: String },
}

impl We {
    fn header(&self, to: Option<Jid>) -> StreamHeader {
        let mut header = StreamHeader::initial(self.name.clone().into());
        header.from = Some(self.name.clone().into());
        header.to = to;
        header
    }

    fn limits(&self) -> Limits {
        Limits::default().with_stanza_bytes(self.stanza_bytes)
    }
}

fn before() -> Limits {
    Limits::default().with_stanza_bytes(BEFORE)
}

// ---- whoever comes ------------------------------------------------------------------

/// Opens a stream that a neighbour began; `decide` says how to speak with whoever it is.
pub(super) async fn accept(
    pipe: BoxTransport,
    we: &We,
    decide: impl Fn(Option<&BareJid>, bool) -> Result<Way, No>,
) -> Result<Opened, Closed> {
    let mut stream = XmppStream::new(pipe, before());
    let header = match header(&mut stream).await {
        Ok(header) => header,
        Err(what) => return Err(Closed::Broken { from: None, what }),
    };
    let from = header.from.as_ref().map(Jid::to_bare);
    let modern = header.is_xmpp_1();
    let mut answer = we.header(header.from.clone());
    answer.id = stream_id();
    if !modern {
        answer.version = None;
    }
    stream.open(&answer);
    let broken = |what: String| {
        let from = from.clone();
        Closed::Broken { from, what }
    };
    match decide(from.as_ref(), modern) {
        Err(why) => {
            let error = StreamError::new(StreamCondition::NotAuthorized);
            say_why(stream, error, &why.to_string()).await;
            Err(Closed::Untrusted { from, why })
        }
        Ok(Way::Plain) => {
            if modern {
                let offered = stream.send(&StreamFeatures::default().to_element());
                offered.map_err(|e| broken(e.to_string()))?;
            }
            stream.flush().await.map_err(|e| broken(words(&e)))?;
            stream.set_limits(we.limits());
            Ok(Opened {
                stream,
                name: from,
                way: Way::Plain,
                info: None,
            })
        }
        Ok(way @ Way::Pinned(pin)) => {
            let acceptor = TlsAcceptor::pinned_client(we.identity.clone(), pin);
            let acceptor = acceptor.map_err(|e| broken(e.to_string()))?;
            let pipe = agree(stream).await.map_err(broken)?;
            let pipe = acceptor.upgrade(pipe).await;
            let pipe = pipe.map_err(|error| broken(words(&error)))?;
            let mut stream = XmppStream::new(pipe, before());
            let again = self::header(&mut stream).await.map_err(broken)?;
            let mut answer = we.header(again.from.clone());
            answer.id = stream_id();
            stream.open(&answer);
            // Who shows that certificate goes by that name, and by no other.
            if again.from.as_ref().map(Jid::to_bare) != from {
                let error = StreamError::new(StreamCondition::InvalidFrom);
                say_why(stream, error, "that is another name than before TLS").await;
                return Err(broken("it changed its name under TLS".to_owned()));
            }
            let features = StreamFeatures {
                other: vec![we.info.to_element()],
                ..StreamFeatures::default()
            };
            let offered = stream.send(&features.to_element());
            offered.map_err(|e| broken(e.to_string()))?;
            stream.flush().await.map_err(|e| broken(words(&e)))?;
            stream.set_limits(we.limits());
            Ok(Opened {
                stream,
                name: from,
                way,
                info: None,
            })
        }
    }
}

/// Offers TLS, and nothing besides, until it is wanted.
async fn agree(mut stream: XmppStream) -> Result<BoxTransport, String> {
    let features = StreamFeatures {
        starttls: Some(Requirement::Required),
        ..StreamFeatures::default()
    };
    stream
        .send(&features.to_element())
        .map_err(|e| e.to_string())?;
    match element(&mut stream).await? {
        wanted if StartTls::matches(&wanted) => {}
        other => {
            let error = StreamError::new(StreamCondition::PolicyViolation);
            say_why(stream, error, "TLS comes first").await;
            return Err(format!("<{}/> before TLS", other.name()));
        }
    }
    stream
        .send(&Proceed.to_element())
        .map_err(|e| e.to_string())?;
    stream.flush().await.map_err(|e| words(&e))?;
    // Refused if more came: it may have been put there by somebody else.
    stream.into_transport().map_err(|e| e.to_string())
}

// ---- whom we go to ------------------------------------------------------------------

/// Opens a stream to a neighbour.
pub(super) async fn open(
    pipe: BoxTransport,
    we: &We,
    to: &BareJid,
    way: Way,
) -> Result<Opened, ContactError> {
    let misbehaves = |what: String| ContactError::Misbehaves {
        who: to.clone(),
        what,
    };
    let mut stream = XmppStream::new(pipe, before());
    let modern = greet(&mut stream, we, to).await?;
    let mut info = None;
    if modern {
        let features = features(&mut stream, to).await?;
        match way {
            Way::Plain if features.starttls == Some(Requirement::Required) => {
                return Err(ContactError::Untrusted {
                    who: to.clone(),
                    why: No::NotPinned,
                });
            }
            Way::Plain => info = info_of(&features),
            Way::Pinned(_) if features.starttls.is_none() => {
                return Err(ContactError::Untrusted {
                    who: to.clone(),
                    why: No::WithoutTls,
                });
            }
            Way::Pinned(_) => {}
        }
    }
    if let Way::Pinned(pin) = way {
        if !modern {
            return Err(ContactError::Untrusted {
                who: to.clone(),
                why: No::WithoutTls,
            });
        }
        let insecure = |why: String| ContactError::Insecure {
            who: to.clone(),
            why,
        };
        let policy = TlsPolicy {
            client_certificate: Some(we.identity.clone()),
            ..TlsPolicy::pinned(pin)
        };
        let connector = TlsConnector::new(&policy).map_err(|e| insecure(words(&e)))?;
        let sent = stream.send(&StartTls.to_element());
        sent.map_err(|e| misbehaves(e.to_string()))?;
        match said(&mut stream, to).await? {
            e if Proceed::matches(&e) => {}
            e if Failure::matches(&e) => return Err(insecure("it cannot do TLS now".to_owned())),
            e => {
                return Err(misbehaves(format!(
                    "<{}/> in place of <proceed/>",
                    e.name()
                )));
            }
        }
        let pipe = stream
            .into_transport()
            .map_err(|e| misbehaves(e.to_string()))?;
        let pipe = connector.upgrade(pipe, DOMAIN).await;
        let pipe = pipe.map_err(|error| insecure(words(&error)))?;
        stream = XmppStream::new(pipe, before());
        // Whether it takes our certificate shows only now (RFC 8446 §4.4.2.4).
        let greeted = async {
            greet(&mut stream, we, to).await?;
            features(&mut stream, to).await
        };
        let features = greeted.await.map_err(|error| match error {
            ContactError::Lost { .. } => insecure(
                "it closed the stream after the handshake; does it have our certificate pinned \
                 under our name?"
                    .to_owned(),
            ),
            error => error,
        })?;
        info = info_of(&features);
    }
    stream.set_limits(we.limits());
    Ok(Opened {
        stream,
        name: Some(to.clone()),
        way,
        info,
    })
}

/// Says who we are, and hears whether the other side speaks XMPP 1.0.
async fn greet(stream: &mut XmppStream, we: &We, to: &BareJid) -> Result<bool, ContactError> {
    stream.open(&we.header(Some(to.clone().into())));
    match stream.next().await {
        Ok(StreamEvent::Open(header)) => match &header.from {
            Some(from) if from.to_bare() != *to => Err(ContactError::Misbehaves {
                who: to.clone(),
                what: format!("it says that it is {from}"),
            }),
            _ => Ok(header.is_xmpp_1()),
        },
        Ok(_) => Err(ContactError::Misbehaves {
            who: to.clone(),
            what: "it begins without a stream's header".to_owned(),
        }),
        Err(fault) => Err(faulty(&fault, to)),
    }
}

async fn features(stream: &mut XmppStream, to: &BareJid) -> Result<StreamFeatures, ContactError> {
    let element = said(stream, to).await?;
    let misbehaves = |what: String| ContactError::Misbehaves {
        who: to.clone(),
        what,
    };
    if !StreamFeatures::matches(&element) {
        return Err(misbehaves(format!(
            "<{}/> in place of features",
            element.name()
        )));
    }
    StreamFeatures::from_element(&element).map_err(|e| misbehaves(e.to_string()))
}

fn info_of(features: &StreamFeatures) -> Option<DiscoInfo> {
    let told = features.other.iter().find(|e| DiscoInfo::matches(e))?;
    DiscoInfo::from_element(told).ok()
}

/// The next element, if it is none by which the stream ends.
async fn said(stream: &mut XmppStream, to: &BareJid) -> Result<Element, ContactError> {
    let refused = |why: String| ContactError::Refused {
        who: to.clone(),
        why,
    };
    match stream.next().await {
        Ok(StreamEvent::Element(element)) if StreamError::matches(&element) => {
            Err(refused(match StreamError::from_element(&element) {
                Ok(error) => error.to_string(),
                Err(error) => error.to_string(),
            }))
        }
        Ok(StreamEvent::Element(element)) => Ok(element),
        Ok(StreamEvent::Close) => Err(refused("it closed the stream".to_owned())),
        Ok(_) => Err(ContactError::Misbehaves {
            who: to.clone(),
            what: "it opens the stream twice".to_owned(),
        }),
        Err(fault) => Err(faulty(&fault, to)),
    }
}

fn faulty(fault: &StreamFault, who: &BareJid) -> ContactError {
    let who = who.clone();
    match fault {
        StreamFault::Decode(_) | StreamFault::WebServer { .. } => ContactError::Misbehaves {
            who,
            what: words(fault),
        },
        _ => ContactError::Lost { who },
    }
}

// ---- both ---------------------------------------------------------------------------

async fn header(stream: &mut XmppStream) -> Result<StreamHeader, String> {
    match stream.next().await {
        Ok(StreamEvent::Open(header)) => Ok(header),
        Ok(_) => Err("it begins without a stream's header".to_owned()),
        Err(fault) => Err(words(&fault)),
    }
}

async fn element(stream: &mut XmppStream) -> Result<Element, String> {
    match stream.next().await {
        Ok(StreamEvent::Element(element)) => Ok(element),
        Ok(_) => Err("it closed the stream".to_owned()),
        Err(fault) => Err(words(&fault)),
    }
}

/// The last words to somebody who is not let in. That they arrive is not certain.
async fn say_why(mut stream: XmppStream, error: StreamError, why: &str) {
    let error = match Text::new(why) {
        Ok(why) => error.with_text(why),
        Err(_) => error,
    };
    if stream.send(&error.to_element()).is_ok() && stream.close().await.is_ok() {
        // A socket that is closed with input unread takes the last words back. The
        // caller's deadline ends this.
        while let Ok(event) = stream.next().await {
            if matches!(event, StreamEvent::Close) {
                break;
            }
        }
    }
}

/// An error, and what is behind it.
pub(super) fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Nobody goes by it; RFC 6120 §4.7.3 wants one.
fn stream_id() -> Option<Text> {
    let id = getrandom::u64().ok()?;
    Text::new(format!("{id:016x}")).ok()
}
