//! The server's side of authentication: what is offered, and one exchange after
//! another until one succeeds.
//!
//! Owns the order of steps on a connection and the answers; what may be offered is
//! `policy`'s, and how a login ends `verdict`'s. Accounts are behind [`AccountStore`];
//! XML, base64 and sockets are the caller's.

pub(crate) mod policy;
pub(crate) mod verdict;

use std::fmt;
use std::sync::Arc;

use crate::accounts::AccountStore;
use crate::binding::{BindingType, ChannelBindings};
use crate::condition::SaslCondition;
use crate::framework::server::{Outcome, ServerSession, ServerSetup};
use crate::mechanism::{Mechanism, ScramHash};
use crate::nonce::Nonce;
use crate::scram::downgrade::offer_hash;

pub use policy::ServerPolicy;
pub use verdict::{Accepted, Identity, Refusal};

/// One client's connection, as the server sees it.
#[derive(Debug, Clone, Default)]
pub struct ServerChannel {
    /// Whether it runs inside TLS.
    pub encrypted: bool,
    /// The binding values; without any, no `-PLUS` is offered. XEP-0440 §3 asks
    /// for `tls-server-end-point` to be among them.
    pub bindings: ChannelBindings,
    /// The identities in the client's verified certificate (XEP-0178 §2); EXTERNAL
    /// is offered if there is one. Bare JIDs, as they are to be compared.
    pub certificate_identities: Vec<String>,
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Step {
    /// Send this as `<challenge/>`; may be empty.
    Challenge(Vec<u8>),
    /// Send `<success/>`.
    Success(Accepted),
    /// Send `<failure/>`; the client may start again, until
    /// [`ServerAuth::exhausted`].
    Failure(Refusal),
}

/// The server's side of authentication on one connection.
///
/// See the [crate's front page](crate) for an example.
pub struct ServerAuth {
    policy: Arc<ServerPolicy>,
    channel: ServerChannel,
    accounts: Arc<dyn AccountStore>,
    advertised: Vec<Mechanism>,
    failures: u32,
    stage: Stage,
}

enum Stage {
    /// No exchange runs.
    Idle,
    /// The client chose, and has sent nothing yet.
    AwaitFirst { mechanism: Mechanism, nonce: Nonce },
    /// An exchange runs.
    Running {
        mechanism: Mechanism,
        session: Box<ServerSession>,
    },
    /// Logged in.
    Done,
}

impl fmt::Debug for ServerAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerAuth")
            .field("advertised", &self.advertised)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}

impl ServerAuth {
    /// Prepares to authenticate the client of one connection.
    #[must_use]
    pub fn new(
        policy: Arc<ServerPolicy>,
        channel: ServerChannel,
        accounts: Arc<dyn AccountStore>,
    ) -> Self {
        let can_bind = channel.encrypted && !channel.bindings.is_empty();
        let mut advertised = Vec::with_capacity(policy.mechanisms.len());
        for mechanism in &policy.mechanisms {
            let possible = match mechanism {
                Mechanism::ScramPlus(_) => can_bind,
                Mechanism::Plain => channel.encrypted || policy.allow_plain_without_tls,
                Mechanism::External => !channel.certificate_identities.is_empty(),
                Mechanism::Scram(_) | Mechanism::Anonymous => true,
            };
            if possible && !advertised.contains(mechanism) {
                advertised.push(*mechanism);
            }
        }
        Self {
            policy,
            channel,
            accounts,
            advertised,
            failures: 0,
            stage: Stage::Idle,
        }
    }

    /// The mechanism names for the features, strongest first if the policy's are.
    #[must_use]
    pub fn advertised(&self) -> Vec<&'static str> {
        self.advertised.iter().map(|m| m.as_str()).collect()
    }

    /// The types for `<sasl-channel-binding/>` (XEP-0440); `None`: leave it out.
    #[must_use]
    pub fn advertised_bindings(&self) -> Option<Vec<&'static str>> {
        self.offers_plus().then(|| {
            self.channel
                .bindings
                .types()
                .map(BindingType::as_str)
                .collect()
        })
    }

    fn offers_plus(&self) -> bool {
        self.advertised
            .iter()
            .any(|m| matches!(m, Mechanism::ScramPlus(_)))
    }

    /// Begins an exchange. `initial` is the initial response: `None` if the client
    /// sent none, `Some` of nothing for `=`. `nonce` is used by SCRAM, once.
    ///
    /// PLAIN runs PBKDF2 here: move the call to a thread for blocking work.
    pub fn start(&mut self, mechanism: &str, initial: Option<&[u8]>, nonce: Nonce) -> Step {
        if matches!(self.stage, Stage::Done) {
            return Step::Failure(SaslCondition::MalformedRequest.into());
        }
        self.stage = Stage::Idle;
        if self.exhausted() {
            return self.fail(Refusal {
                condition: SaslCondition::NotAuthorized,
                text: Some("too many failed logins on this connection"),
            });
        }
        let Some(mechanism) = Mechanism::parse(mechanism) else {
            return self.fail(SaslCondition::InvalidMechanism.into());
        };
        if !self.advertised.contains(&mechanism) {
            let wants_tls = mechanism == Mechanism::Plain
                && !self.channel.encrypted
                && self.policy.mechanisms.contains(&mechanism);
            return self.fail(if wants_tls {
                SaslCondition::EncryptionRequired.into()
            } else {
                SaslCondition::InvalidMechanism.into()
            });
        }
        match initial {
            Some(initial) => self.first(mechanism, initial, nonce),
            None => {
                // All mechanisms here begin with the client (RFC 4422 §5).
                self.stage = Stage::AwaitFirst { mechanism, nonce };
                Step::Challenge(Vec::new())
            }
        }
    }

    /// Takes a response of the client. After a [`ServerAuth::start`] without
    /// initial response, PLAIN runs its PBKDF2 here.
    pub fn respond(&mut self, data: &[u8]) -> Step {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::AwaitFirst { mechanism, nonce } => self.first(mechanism, data, nonce),
            Stage::Running { mechanism, session } => self.step(mechanism, session, data),
            Stage::Idle => self.fail(SaslCondition::MalformedRequest.into()),
            Stage::Done => {
                self.stage = Stage::Done;
                Step::Failure(SaslCondition::MalformedRequest.into())
            }
        }
    }

    /// Takes `<abort/>`. Not counted as a failed login.
    pub fn abort(&mut self) -> Step {
        if !matches!(self.stage, Stage::Done) {
            self.stage = Stage::Idle;
        }
        Step::Failure(SaslCondition::Aborted.into())
    }

    /// How many exchanges failed so far.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether no more are checked: close the stream with `<policy-violation/>`
    /// (RFC 6120 §6.4.5).
    #[must_use]
    pub fn exhausted(&self) -> bool {
        self.failures >= self.policy.max_failures
    }

    fn first(&mut self, mechanism: Mechanism, data: &[u8], nonce: Nonce) -> Step {
        let setup = ServerSetup {
            mechanism,
            policy: Arc::clone(&self.policy),
            accounts: Arc::clone(&self.accounts),
            certificate_identities: self.channel.certificate_identities.clone(),
            plus_offered: self.offers_plus(),
            nonce,
            offer_hash: mechanism
                .scram_hash()
                .filter(|_| self.policy.send_offer_hash)
                .map(|hash| self.offer_hash(hash)),
        };
        match ServerSession::start(setup, self.channel.bindings.clone()) {
            Ok(session) => self.step(mechanism, Box::new(session), data),
            Err(refusal) => self.fail(refusal),
        }
    }

    fn offer_hash(&self, hash: ScramHash) -> String {
        let bindings = self.advertised_bindings();
        offer_hash(hash, &self.advertised(), bindings.as_deref())
    }

    fn step(&mut self, mechanism: Mechanism, mut session: Box<ServerSession>, data: &[u8]) -> Step {
        match session.step(data) {
            Ok(Outcome::Challenge(message)) => {
                self.stage = Stage::Running { mechanism, session };
                Step::Challenge(message)
            }
            Ok(Outcome::Accepted(accepted)) => {
                self.stage = Stage::Done;
                Step::Success(accepted)
            }
            Err(refusal) => self.fail(refusal),
        }
    }

    fn fail(&mut self, refusal: Refusal) -> Step {
        self.stage = Stage::Idle;
        self.failures = self.failures.saturating_add(1);
        Step::Failure(refusal)
    }
}
