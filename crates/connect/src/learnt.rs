//! What one account's logins go by, shared by all attempts at its servers: the account and
//! its configuration, the means to connect, and what earlier logins taught. Owns what goes
//! into a login and what is remembered of it. Which candidates there are is the
//! connector's, who of them logs in the race's affair.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use stanchion_sasl::SaslCondition;
use stanchion_sasl::scram::keys::ScramKeys;
use stanchion_stanza::payload::datetime::utc;
use stanchion_stanza::payload::sasl2::UserAgent;
use stanchion_stanza::{BareJid, Text};
use stanchion_transport::{Dial, Endpoint, TlsMode};

use crate::config::{Account, ConnectConfig};
use crate::connection::Connection;
use crate::entropy::Entropy;
use crate::error::{Attempt, ConnectError, ShortCut};
use crate::negotiation::{Resume, ResumeToken, ServerMemory, Setup, Start};
use crate::phase::Phase;
use crate::resolve::Resolve;
use crate::ways::Ways;

/// How many short cuts of the login a candidate is forgiven, each at the price of a
/// connection.
pub(crate) const MAX_FORGONE: u8 = 2;

/// What the connector and its races have in common.
pub(crate) struct Basis {
    pub(crate) account: Account,
    pub(crate) config: ConnectConfig,
    pub(crate) dial: Arc<dyn Dial>,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) entropy: Arc<dyn Entropy>,
    learnt: Mutex<Learnt>,
    ways: Mutex<Ways>,
}

/// What earlier logins taught. Held only to copy in or out.
#[derive(Debug, Default)]
pub(crate) struct Learnt {
    /// One for each hash at most.
    keys: Vec<ScramKeys>,
    /// Of the servers over TCP.
    pub(crate) memory: ServerMemory,
    /// Of the servers over WebSocket, which may offer less.
    pub(crate) over_websocket: ServerMemory,
    /// With an id before the first login.
    pub(crate) agent: UserAgent,
    /// Whose address a server gave last, if that was not the account's.
    strange: Option<BareJid>,
}

impl Basis {
    /// Nothing is learnt yet.
    pub(crate) fn new(
        account: Account,
        config: ConnectConfig,
        dial: Arc<dyn Dial>,
        resolver: Arc<dyn Resolve>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            account,
            config,
            dial,
            resolver,
            entropy,
            learnt: Mutex::new(Learnt::default()),
            ways: Mutex::new(Ways::default()),
        }
    }

    /// What is known, to be changed.
    pub(crate) fn ways(&self) -> MutexGuard<'_, Ways> {
        // Nothing can panic between lock and unlock and leave it half changed.
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was learnt, to be changed.
    pub(crate) fn learnt(&self) -> MutexGuard<'_, Learnt> {
        // Nothing can panic between lock and unlock and leave it half changed.
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a login at `endpoint` goes by.
    ///
    /// # Errors
    /// The operating system has no random bytes.
    pub(crate) fn setup(&self, endpoint: &Endpoint, resume: Resume) -> Result<Setup, ConnectError> {
        let mut entropy = [0; 72];
        self.entropy.fill(&mut entropy)?;
        let mut random = [0; 16];
        self.entropy.fill(&mut random)?;
        let mut learnt = self.learnt();
        let agent = &mut learnt.agent;
        agent.id.get_or_insert_with(|| uuid(random));
        let agent = agent.clone();
        Ok(Setup {
            account: self.account.jid.clone(),
            resource: self.account.resource.clone(),
            credentials: self.account.credentials.clone(),
            sasl: self.config.sasl.clone(),
            keys: learnt.keys.clone(),
            start: Start::Plaintext,
            resume,
            stream_management: self.config.stream_management,
            agent: Some(agent),
            fast: self.config.fast,
            memory: learnt.for_a_login(endpoint),
            entropy,
        })
    }

    /// What becomes of the session before. One that a server bound under a strange address
    /// is given up: to be told of that as of a mistake of the caller's would stop a device
    /// for good, for what its server did.
    pub(crate) fn resume(&self, token: Option<ResumeToken>) -> Resume {
        match token {
            Some(token) if self.learnt().strange == Some(token.jid.to_bare()) => Resume::Lost,
            Some(token) => Resume::Try(token),
            None => Resume::No,
        }
    }

    /// Remembers what a login taught, or forgets what a refusal puts in doubt.
    pub(crate) fn remember(&self, result: &Result<Connection, Attempt>) {
        let mut learnt = self.learnt();
        match result {
            Ok(connection) => {
                let established = &connection.established;
                let (given, account) = (established.jid.to_bare(), &self.account.jid);
                let is_strange = account.local().is_some() && given != *account;
                learnt.strange = is_strange.then(|| {
                    tracing::warn!(%given, %account, "the server gave another address");
                    given
                });
                if let Some(new) = &established.keys {
                    learnt.keys.retain(|k| k.hash() != new.hash());
                    learnt.keys.push(new.clone());
                }
                if let Some(memory) = learnt.memory_of(&connection.endpoint) {
                    memory.renew(established.memory.clone());
                }
            }
            Err(attempt) => match &attempt.error {
                // The password may have been changed.
                ConnectError::AuthRefused { condition, .. }
                    if *condition != SaslCondition::TemporaryAuthFailure =>
                {
                    learnt.keys.clear();
                    learnt.memory.token = None;
                    learnt.over_websocket.token = None;
                }
                // Maybe over what was sent ahead: the next one goes step by step.
                ConnectError::Deadline { .. } if attempt.phase >= Phase::Stream => {
                    learnt.forgo(&attempt.endpoint, ShortCut::Ahead);
                }
                _ => {}
            },
        }
    }

    /// Goes without a short cut that a server did not take.
    pub(crate) fn forgo(&self, endpoint: &Endpoint, short_cut: ShortCut) {
        self.learnt().forgo(endpoint, short_cut);
    }
}

impl Learnt {
    /// What is remembered of the kind of transport that leads to `endpoint`: an offer over
    /// one says nothing of that over the other. `None` in the clear, where less is offered.
    fn memory_of(&mut self, endpoint: &Endpoint) -> Option<&mut ServerMemory> {
        match (endpoint.mode, endpoint.websocket()) {
            (TlsMode::None, _) => None,
            (_, Some(_)) => Some(&mut self.over_websocket),
            (_, None) => Some(&mut self.memory),
        }
    }

    /// The memory for one login; a token is counted before it is used.
    fn for_a_login(&mut self, endpoint: &Endpoint) -> ServerMemory {
        // Over which of the two the domain showed TLS makes no difference: whoever strips
        // it of one must not gain by blocking the other.
        let tls = self.memory.tls || self.over_websocket.tls;
        let Some(memory) = self.memory_of(endpoint) else {
            return ServerMemory::default();
        };
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let ms = since_1970.map_or(0, |t| i64::try_from(t.as_millis()).unwrap_or(i64::MAX));
        memory.tls |= tls;
        let token = &mut memory.token;
        token.take_if(|t| t.has_ended(&utc(ms)));
        if let Some(token) = token {
            token.count = token.count.saturating_add(1);
        }
        memory.clone()
    }

    fn forgo(&mut self, endpoint: &Endpoint, short_cut: ShortCut) {
        let Some(memory) = self.memory_of(endpoint) else {
            return;
        };
        match short_cut {
            ShortCut::Token => memory.token = None,
            // Once, however many candidates ran with it.
            ShortCut::Ahead if memory.is_relied_on() => memory.distrust(),
            ShortCut::Ahead => {}
        }
    }
}

/// A UUID of random bytes (RFC 9562 §5.4).
fn uuid(random: [u8; 16]) -> Text {
    let n = u128::from_be_bytes(random);
    let n = n & !(0xF000 << 64) & !(0xC000 << 48) | (0x4000 << 64) | (0x8000 << 48);
    let (a, b, c) = (n >> 96, n >> 80 & 0xFFFF, n >> 64 & 0xFFFF);
    let (d, e) = (n >> 48 & 0xFFFF, n & 0xFFFF_FFFF_FFFF);
    let text = format!("{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}");
    // Hexadecimal digits are fit for XML.
    Text::new(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_id_is_a_uuid_of_version_4() {
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid([0xFF; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn what_is_offered_over_a_websocket_and_over_tcp_is_remembered_apart() {
        let tcp = Endpoint::at(([192, 0, 2, 1], 5222).into(), TlsMode::StartTls);
        let web: Endpoint = "wss://example.org/xmpp".parse().unwrap();
        let clear: Endpoint = "ws://example.org/xmpp".parse().unwrap();
        let mut learnt = Learnt::default();
        let strong = "stanchion-server 1\nstrongest SCRAM-SHA-256 tls-exporter\n";
        *learnt.memory_of(&tcp).unwrap() = ServerMemory::decode(strong).unwrap();
        assert_eq!(
            learnt.for_a_login(&web).strongest,
            ServerMemory::default().strongest
        );
        let weak = "stanchion-server 1\nstrongest SCRAM-SHA-1 -\n";
        *learnt.memory_of(&web).unwrap() = ServerMemory::decode(weak).unwrap();
        let shown = |learnt: &mut Learnt, at| learnt.for_a_login(at).strongest.to_string();
        assert_eq!(shown(&mut learnt, &tcp), "SCRAM-SHA-256 tls-exporter");
        assert_eq!(shown(&mut learnt, &web), "SCRAM-SHA-1 -");
        assert!(learnt.memory_of(&clear).is_none());
    }

    #[test]
    fn tls_that_was_shown_over_a_websocket_is_missed_over_tcp_too() {
        let tcp = Endpoint::at(([192, 0, 2, 1], 5222).into(), TlsMode::StartTls);
        let mut learnt = Learnt::default();
        assert!(!learnt.for_a_login(&tcp).tls);
        let shown = "stanchion-server 1\nstrongest SCRAM-SHA-256 -\ntls yes\n";
        learnt.over_websocket = ServerMemory::decode(shown).unwrap();
        let over_tcp = learnt.for_a_login(&tcp);
        assert!(over_tcp.tls);
        // What is offered stays apart.
        assert_eq!(over_tcp.strongest, ServerMemory::default().strongest);
    }
}
