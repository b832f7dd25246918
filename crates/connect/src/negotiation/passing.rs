//! What one step of the login hands to the next: what goes along with it, what was verified,
//! what was asked for ahead, and the session that becomes of it. The steps themselves are in
//! `login`, `sasl2` and `session`.

use stanchion_sasl::Channel;
use stanchion_sasl::policy::ChannelSecurity;
use stanchion_sasl::scram::keys::ScramKeys;
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::{Element, Encoder, FullJid, Limits, Scope, stream::StreamFeatures};

use super::established::{LoginReport, Resumption, SmSession};
use super::remembered::LoginOffer;
use crate::error::ConnectError;
use crate::misbehaviour::Misbehaviour;

/// Most stanzas that are kept between binding and `<enabled/>`, and 4 MiB of them. A server
/// that hands a replaced session's messages over may send some there; more is a fault.
pub const MAX_EARLY: usize = 1024;

/// Most bytes of them on the wire, all together: 4 MiB. Without it, stanzas of the largest
/// size would fill the memory of a small device before there is a session.
pub(super) const MAX_EARLY_BYTES: usize = 4 * 1024 * 1024;

/// What goes along with a login.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Inline {
    /// A session to resume.
    pub(super) resume: bool,
    /// A resource, if nothing is resumed.
    pub(super) bind: bool,
    /// Stream management for the new resource.
    pub(super) enable: bool,
    /// A token is used.
    pub(super) with_token: bool,
    /// The mechanism that a token is asked for, or that the one used is for.
    pub(super) token: Option<&'static str>,
}

/// A verified login.
#[derive(Debug)]
pub(super) struct LoggedIn {
    pub(super) report: LoginReport,
    pub(super) keys: Option<ScramKeys>,
    pub(super) security: ChannelSecurity,
    pub(super) offer: LoginOffer,
}

/// Logged in, and what the server offers from here on.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) logged_in: LoggedIn,
    pub(super) features: StreamFeatures,
    pub(super) resumption: Resumption,
    pub(super) early: Vec<Element>,
    pub(super) counted: Vec<Element>,
    /// Bytes of both.
    kept: usize,
}

/// What was sent ahead of the features after the login.
#[derive(Debug, Clone, Copy)]
pub(super) enum After {
    /// Nothing: they decide.
    Nothing,
    /// `<resume/>`.
    Resume,
    /// The request for a resource.
    Bind(Asked),
}

/// How a resource was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// A resource was wished for, so there is one more try without.
    pub(super) wished: bool,
    /// `<enable/>` went out in the same write.
    pub(super) enable: bool,
}

/// Logged in by SASL2; the features come next, without a new stream.
#[derive(Debug)]
pub(super) struct Authenticated {
    pub(super) session: Session,
    pub(super) bound: Option<Bound>,
}

/// The address that came with the success.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) jid: FullJid,
    /// The answer to `<enable/>`, if there was one.
    pub(super) management: Option<Result<SmSession, Option<DefinedCondition>>>,
}

impl Authenticated {
    pub(super) fn is_managed(&self) -> bool {
        let management = self.bound.as_ref().and_then(|b| b.management.as_ref());
        matches!(management, Some(Ok(_)))
    }
}

/// Waiting for an address.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) session: Session,
    pub(super) asked: Asked,
}

/// Waiting for stream management.
#[derive(Debug)]
pub(super) struct Enabling {
    pub(super) session: Session,
    pub(super) jid: FullJid,
}

impl Session {
    pub(super) fn new(logged_in: LoggedIn) -> Self {
        Self {
            logged_in,
            features: StreamFeatures::default(),
            resumption: Resumption::NotTried,
            early: Vec::new(),
            counted: Vec::new(),
            kept: 0,
        }
    }

    /// Keeps a stanza from before stream management.
    pub(super) fn keep_early(&mut self, e: Element) -> Result<(), ConnectError> {
        self.admit(&e)?;
        self.early.push(e);
        Ok(())
    }

    /// Keeps what came under stream management.
    pub(super) fn keep_counted(&mut self, e: Element) -> Result<(), ConnectError> {
        self.admit(&e)?;
        self.counted.push(e);
        Ok(())
    }

    fn admit(&mut self, e: &Element) -> Result<(), ConnectError> {
        if self.early.len() + self.counted.len() >= MAX_EARLY {
            return Err(Misbehaviour::Flood(MAX_EARLY).into());
        }
        let left = Limits::default()
            .with_stanza_bytes(MAX_EARLY_BYTES - self.kept)
            .with_depth(Limits::MAX_DEPTH)
            .with_attributes(usize::MAX);
        let bytes = Encoder::new(Scope::client(), left)
            .to_bytes(e)
            .map_err(|_| Misbehaviour::FloodOfBytes(MAX_EARLY_BYTES))?;
        self.kept += bytes.len();
        Ok(())
    }
}

/// SASL2 comes only inside of TLS, and nothing goes ahead outside of it.
pub(super) const fn is_protected(channel: &Channel) -> bool {
    is_protected_by(channel.security)
}

pub(super) const fn is_protected_by(security: ChannelSecurity) -> bool {
    !matches!(security, ChannelSecurity::Plaintext)
}
