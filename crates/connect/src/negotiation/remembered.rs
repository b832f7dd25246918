//! What logins at a server teach: the strongest offer ever seen, what it offered last,
//! and the token for the next login. Plain data with a text form; where it is kept is the
//! caller's affair, and what is done with it that of `login`.

use std::fmt::{self, Write as _};

use secrecy::{ExposeSecret, SecretString};
use stanchion_sasl::Offer;
use stanchion_sasl::policy::{OfferStrength, SaslProfile};
use stanchion_stanza::payload::fast;
use stanchion_stanza::{Text, ns, stream::StreamFeatures};
use thiserror::Error;
use zeroize::Zeroizing;

/// Names of one kind that are remembered. A server that lists more is not remembered, so
/// that nothing is sent ahead to it.
const MAX_NAMES: usize = 32;

/// The longest name that is remembered, in bytes.
const MAX_NAME: usize = 64;

/// The longest token that is kept, in bytes, and so for its date.
const MAX_TOKEN: usize = 1024;

/// Logins in a row that may fail over something sent ahead; then nothing is sent ahead.
const MAX_AHEAD_FAILED: u8 = 2;

/// What logins at one server have taught. It saves round trips, and it notices when a
/// server offers less than before. A first login does without ([`Default`]).
///
/// Keep one for each account and kind of transport: give it to the next login in
/// [`Setup::memory`](super::Setup::memory), and replace it by
/// [`Established::memory`](super::Established::memory). **It holds a token that is as good
/// as the password.**
///
/// ```
/// use stanchion_connect::negotiation::ServerMemory;
/// let memory = ServerMemory::decode("stanchion-server 1\nstrongest SCRAM-SHA-256 -\n")?;
/// assert_eq!(memory.strongest, "SCRAM-SHA-256 -".parse()?);
/// assert_eq!(ServerMemory::decode(&memory.encode())?.strongest, memory.strongest);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ServerMemory {
    /// The strongest mechanism and the strongest binding ever offered inside TLS, each for
    /// itself. A weaker offer is refused. To accept it, forget this.
    pub strongest: OfferStrength,
    /// Whether a login was ever protected by TLS: then one in the clear is refused, even
    /// where plaintext is allowed.
    pub tls: bool,
    /// Whether STARTTLS was offered in the clear, at the last login over it.
    pub starttls: bool,
    /// What was offered for the last login.
    pub offer: Option<LoginOffer>,
    /// Whether stream management was offered after the last login.
    pub stream_management: bool,
    /// The largest stanza in bytes that the server takes (XEP-0478), as it said last.
    pub max_bytes: Option<u64>,
    /// Logins in a row that failed while the server owed an answer to something sent
    /// ahead. At 2, nothing is sent ahead any more.
    pub ahead_failed: u8,
    /// The token for the next login (XEP-0484).
    pub token: Option<Token>,
}

impl ServerMemory {
    /// Whether anything may be sent before the server's features are read.
    #[must_use]
    pub const fn may_send_ahead(&self) -> bool {
        self.ahead_failed < MAX_AHEAD_FAILED
    }

    /// A login failed over something sent ahead: the next one goes step by step, and
    /// learns anew what the server offers. What was offered at most stays.
    pub fn distrust(&mut self) {
        self.offer = None;
        self.starttls = false;
        self.stream_management = false;
        self.ahead_failed = self.ahead_failed.saturating_add(1).min(MAX_AHEAD_FAILED);
    }

    /// Whether [`ServerMemory::distrust`] would change the next login.
    #[must_use]
    pub const fn is_relied_on(&self) -> bool {
        self.may_send_ahead() && (self.offer.is_some() || self.starttls)
    }

    /// Takes what a login taught in the place of what was known. Another login may have
    /// begun or ended meanwhile: what only grows does not go back for it.
    pub(crate) fn renew(&mut self, learnt: Self) {
        let known = std::mem::replace(self, learnt);
        self.strongest = self.strongest.or_stronger(known.strongest);
        self.tls |= known.tls;
        if let (Some(token), Some(known)) = (&mut self.token, known.token)
            && token.secret.expose_secret() == known.secret.expose_secret()
        {
            token.count = token.count.max(known.count);
        }
    }

    /// Writes it as lines of text. **The text holds the token.**
    #[must_use]
    pub fn encode(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(format!("{HEAD}\nstrongest {}\n", self.strongest));
        let mut line = |name: &str, value: &dyn fmt::Display| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name} {value}");
        };
        for (name, flag) in [
            ("tls", self.tls),
            ("starttls", self.starttls),
            ("stream-management", self.stream_management),
        ] {
            if flag {
                line(name, &"yes");
            }
        }
        if let Some(bytes) = self.max_bytes {
            line("max-bytes", &bytes);
        }
        if self.ahead_failed > 0 {
            line("ahead-failed", &self.ahead_failed);
        }
        if let Some(offer) = &self.offer {
            line("offer", &profile_name(offer.profile));
            for mechanism in &offer.mechanisms {
                line("mechanism", mechanism);
            }
            if let Some(bindings) = &offer.bindings {
                line("bindings", &"listed");
                for binding in bindings {
                    line("binding", binding);
                }
            }
            for (name, flag) in [
                ("bind2", offer.bind2),
                ("bind2-enable", offer.bind2_enable),
                ("inline-resume", offer.resume),
            ] {
                if flag {
                    line(name, &"yes");
                }
            }
            for mechanism in &offer.fast {
                line("fast", mechanism);
            }
        }
        if let Some(token) = &self.token {
            line("token-mechanism", &token.mechanism);
            line("token-agent", &token.agent);
            line("token-expiry", &token.expiry);
            line("token-count", &token.count);
            // Last, and in one piece: a text that grows leaves a copy behind that nobody wipes.
            const NAME: &str = "token-secret ";
            let secret = token.secret.expose_secret();
            text.reserve_exact(NAME.len() + secret.len() + 1);
            text.push_str(NAME);
            text.push_str(secret);
            text.push('\n');
        }
        text
    }

    /// Reads what [`ServerMemory::encode`] wrote.
    ///
    /// # Errors
    /// [`BadMemory`] for anything else; start from the default then.
    pub fn decode(text: &str) -> Result<Self, BadMemory> {
        let mut lines = text.lines().enumerate();
        let bad = |line: usize| BadMemory { line: line + 1 };
        if lines.next().is_none_or(|(_, first)| first != HEAD) {
            return Err(bad(0));
        }
        let mut memory = Self::default();
        let mut token = TokenParts::default();
        for (at, line) in lines {
            let (name, value) = line.split_once(' ').ok_or(bad(at))?;
            let text = || Text::new(value.to_owned()).map_err(|_| bad(at));
            if name == "offer" && memory.offer.is_none() {
                let profile = profile(value).ok_or(bad(at))?;
                memory.offer = Some(LoginOffer::empty(profile));
                continue;
            }
            match (name, &mut memory.offer) {
                ("strongest", _) => memory.strongest = value.parse().map_err(|_| bad(at))?,
                ("tls", _) => memory.tls = true,
                ("starttls", _) => memory.starttls = true,
                ("stream-management", _) => memory.stream_management = true,
                ("max-bytes", _) => memory.max_bytes = Some(value.parse().map_err(|_| bad(at))?),
                ("ahead-failed", _) => {
                    let failed: u8 = value.parse().map_err(|_| bad(at))?;
                    memory.ahead_failed = failed.min(MAX_AHEAD_FAILED);
                }
                ("mechanism", Some(offer)) => offer.mechanisms.push(text()?),
                ("bindings", Some(offer)) => offer.bindings = Some(Vec::new()),
                ("binding", Some(offer)) => {
                    offer.bindings.as_mut().ok_or(bad(at))?.push(text()?);
                }
                ("bind2", Some(offer)) => offer.bind2 = true,
                ("bind2-enable", Some(offer)) => offer.bind2_enable = true,
                ("inline-resume", Some(offer)) => offer.resume = true,
                ("fast", Some(offer)) => offer.fast.push(text()?),
                ("token-mechanism", _) => token.mechanism = Some(text()?),
                ("token-agent", _) => token.agent = Some(text()?),
                ("token-expiry", _) => token.expiry = Some(text()?),
                ("token-count", _) => token.count = Some(value.parse().map_err(|_| bad(at))?),
                ("token-secret", _) => token.secret = Some(value.into()),
                _ => return Err(bad(at)),
            }
            if memory.offer.as_ref().is_some_and(|o| !o.is_memorable()) {
                return Err(bad(at));
            }
        }
        memory.token = token.whole();
        Ok(memory)
    }
}

const HEAD: &str = "stanchion-server 1";

const fn profile_name(profile: SaslProfile) -> &'static str {
    match profile {
        SaslProfile::Sasl2 => "sasl2",
        _ => "sasl",
    }
}

fn profile(name: &str) -> Option<SaslProfile> {
    [SaslProfile::Rfc6120, SaslProfile::Sasl2]
        .into_iter()
        .find(|p| profile_name(*p) == name)
}

/// The text is not what [`ServerMemory::encode`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("what is remembered of a server cannot be read, in line {line}; start without it")]
pub struct BadMemory {
    /// From 1 on.
    pub line: usize,
}

/// What a server offers for a login, of one SASL profile.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginOffer {
    /// SASL2 where it is offered, and the connection protected.
    pub profile: SaslProfile,
    /// The mechanisms of that profile, as spelled and in the order of the server.
    pub mechanisms: Vec<Text>,
    /// The channel-binding types (XEP-0440); `None` without a list.
    pub bindings: Option<Vec<Text>>,
    /// Bind 2 can be done inline (XEP-0386 §3.1).
    pub bind2: bool,
    /// Stream management can be enabled along with Bind 2 (XEP-0198 §9.1).
    pub bind2_enable: bool,
    /// A session can be resumed inline (XEP-0198 §9.2).
    pub resume: bool,
    /// Mechanisms for tokens (XEP-0484 §3.1); empty without FAST.
    pub fast: Vec<Text>,
}

impl LoginOffer {
    pub(super) const fn empty(profile: SaslProfile) -> Self {
        Self {
            profile,
            mechanisms: Vec::new(),
            bindings: None,
            bind2: false,
            bind2_enable: false,
            resume: false,
            fast: Vec::new(),
        }
    }

    /// SASL2 is for protected connections only (XEP-0388 §3).
    pub(super) fn of(features: &StreamFeatures, protected: bool) -> Self {
        match &features.sasl2 {
            Some(sasl2) if protected => {
                let inline = &sasl2.inline;
                Self {
                    profile: SaslProfile::Sasl2,
                    mechanisms: sasl2.mechanisms.clone(),
                    bindings: features.channel_bindings.clone(),
                    bind2: inline.bind2.is_some(),
                    bind2_enable: inline.bind2.as_ref().is_some_and(|b| b.has(ns::SM)),
                    resume: inline.stream_management,
                    fast: inline
                        .fast
                        .as_ref()
                        .map(|f| f.mechanisms.clone())
                        .unwrap_or_default(),
                }
            }
            _ => Self {
                mechanisms: features.mechanisms.clone(),
                bindings: features.channel_bindings.clone(),
                ..Self::empty(SaslProfile::Rfc6120)
            },
        }
    }

    /// As the choice of a mechanism wants it.
    pub(super) fn as_offer(&self) -> Offer<'_> {
        Offer {
            profile: self.profile,
            mechanisms: self.mechanisms.iter().map(Text::as_str).collect(),
            bindings: self
                .bindings
                .as_ref()
                .map(|b| b.iter().map(Text::as_str).collect()),
        }
    }

    pub(super) const fn is_sasl2(&self) -> bool {
        matches!(self.profile, SaslProfile::Sasl2)
    }

    /// Whether it is small enough to be kept.
    pub(super) fn is_memorable(&self) -> bool {
        let few = |names: &[Text]| names.len() <= MAX_NAMES && names.iter().all(|n| is_name(n));
        few(&self.mechanisms)
            && few(self.bindings.as_deref().unwrap_or_default())
            && few(&self.fast)
    }
}

impl LoginOffer {
    /// A copy that does not keep the whole of the features in memory.
    pub(super) fn detached(&self) -> Self {
        let copy = |names: &[Text]| -> Vec<Text> {
            let copies = names.iter().map(|n| Text::new(n.as_str()));
            copies.filter_map(Result::ok).collect()
        };
        Self {
            mechanisms: copy(&self.mechanisms),
            bindings: self.bindings.as_deref().map(copy),
            fast: copy(&self.fast),
            ..*self
        }
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A token in place of the password (XEP-0484). As good as a password: keep it as one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Token {
    /// What proves the account.
    pub secret: SecretString,
    /// The one mechanism that it is good for.
    pub mechanism: Text,
    /// The id of the user agent that it was given to.
    pub agent: Text,
    /// When it ends, as the server wrote it (XEP-0082).
    pub expiry: Text,
    /// How often it was tried, the next login included (XEP-0484 §3.4). **Raise and keep
    /// it before each login**: a server may take a count that it knows for a replay.
    pub count: u32,
}

impl Token {
    /// `None` if the server gave something that is not kept: too long, or with control
    /// characters.
    pub(super) fn given(
        token: &fast::Token,
        mechanism: &'static str,
        agent: &Text,
    ) -> Option<Self> {
        let fits = |text: &str| {
            (1..=MAX_TOKEN).contains(&text.len()) && !text.chars().any(char::is_control)
        };
        if !fits(&token.token) || !fits(&token.expiry) {
            return None;
        }
        Some(Self {
            secret: token.token.as_str().into(),
            mechanism: Text::from_static(mechanism),
            agent: agent.clone(),
            expiry: Text::new(token.expiry.as_str()).ok()?,
            count: 0,
        })
    }

    /// Whether it has ended by `now`, written as `CCYY-MM-DDThh:mm:ss…Z`. `false` if the
    /// server's date is written in another way: then the server will say.
    #[must_use]
    pub fn has_ended(&self, now: &str) -> bool {
        const SECONDS: usize = "CCYY-MM-DDThh:mm:ss".len();
        let plain = |date: &str| date.ends_with('Z') && date.is_ascii() && date.len() > SECONDS;
        plain(&self.expiry) && plain(now) && self.expiry[..SECONDS] <= now[..SECONDS]
    }
}

/// A token that is being read.
#[derive(Default)]
struct TokenParts {
    secret: Option<SecretString>,
    mechanism: Option<Text>,
    agent: Option<Text>,
    expiry: Option<Text>,
    count: Option<u32>,
}

impl TokenParts {
    fn whole(self) -> Option<Token> {
        Some(Token {
            secret: self.secret?,
            mechanism: self.mechanism?,
            agent: self.agent?,
            expiry: self.expiry?,
            count: self.count?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> ServerMemory {
        let names = |names: &[&'static str]| names.iter().map(|n| Text::from_static(n)).collect();
        ServerMemory {
            strongest: "SCRAM-SHA-256-PLUS tls-exporter".parse().unwrap(),
            tls: true,
            starttls: true,
            offer: Some(LoginOffer {
                mechanisms: names(&["PLAIN", "SCRAM-SHA-256-PLUS"]),
                bindings: Some(names(&["tls-exporter"])),
                bind2: true,
                bind2_enable: true,
                resume: true,
                fast: names(&["HT-SHA-256-EXPR"]),
                ..LoginOffer::empty(SaslProfile::Sasl2)
            }),
            stream_management: true,
            max_bytes: Some(262_144),
            ahead_failed: 1,
            token: Some(Token {
                secret: "a secret token".into(),
                mechanism: Text::from_static("HT-SHA-256-EXPR"),
                agent: Text::from_static("d4565fa7-4d72-4749-b3d3-740edbf87770"),
                expiry: Text::from_static("2030-03-12T14:36:15Z"),
                count: 3,
            }),
        }
    }

    #[test]
    fn a_memory_reads_back_as_it_was_written() {
        for memory in [whole(), ServerMemory::default()] {
            let text = memory.encode();
            let back = ServerMemory::decode(&text).unwrap();
            assert_eq!(back.encode(), text);
            assert_eq!(back.offer, memory.offer);
            assert_eq!(back.token.is_some(), memory.token.is_some());
        }
    }

    #[test]
    fn a_damaged_memory_is_refused_with_its_line() {
        for (text, line) in [
            ("", 1),
            ("stanchion-server 2\n", 1),
            ("stanchion-server 1\nstrongest\n", 2),
            ("stanchion-server 1\nstrongest X -\n", 2),
            ("stanchion-server 1\ntls yes\nunknown thing\n", 3),
            ("stanchion-server 1\nmechanism PLAIN\n", 2),
            ("stanchion-server 1\noffer sasl3\n", 2),
            ("stanchion-server 1\noffer sasl2\nmechanism A B\n", 3),
            ("stanchion-server 1\noffer sasl2\nbinding x\n", 3),
        ] {
            assert_eq!(
                ServerMemory::decode(text).err(),
                Some(BadMemory { line }),
                "{text}"
            );
        }
        let many = "mechanism PLAIN\n".repeat(MAX_NAMES + 1);
        assert!(ServerMemory::decode(&format!("{HEAD}\noffer sasl\n{many}")).is_err());
    }

    #[test]
    fn a_token_does_not_show_in_debug_output() {
        let shown = format!("{:?}", whole());
        assert!(shown.contains("HT-SHA-256-EXPR") && !shown.contains("a secret token"));
    }

    #[test]
    fn a_count_that_another_login_was_given_meanwhile_is_not_given_again() {
        let counted = |count| {
            let mut memory = whole();
            memory.token.as_mut().unwrap().count = count;
            memory
        };
        let mut memory = counted(5);
        memory.renew(counted(4));
        assert_eq!(memory.token.as_ref().unwrap().count, 5);
        memory.renew(ServerMemory::default());
        assert!(memory.token.is_none());
        assert!(memory.tls && memory.strongest == whole().strongest);
        // A new token counts from its own beginning.
        let mut memory = counted(5);
        let mut new = counted(0);
        new.token.as_mut().unwrap().secret = "another".into();
        memory.renew(new);
        assert_eq!(memory.token.unwrap().count, 0);
    }

    #[test]
    fn a_token_ends_at_its_date_and_a_date_that_is_not_understood_is_left_to_the_server() {
        let token = whole().token.unwrap();
        assert!(token.has_ended("2030-03-12T14:36:15.000Z"));
        assert!(token.has_ended("2031-01-01T00:00:00Z"));
        assert!(!token.has_ended("2030-03-12T14:36:14.999Z"));
        let other = Token {
            expiry: Text::from_static("2030-03-12T14:36:15+01:00"),
            ..token
        };
        assert!(!other.has_ended("2031-01-01T00:00:00Z"));
    }

    #[test]
    fn what_was_sent_ahead_in_vain_twice_is_not_sent_ahead_again() {
        let mut memory = ServerMemory {
            ahead_failed: 0,
            ..whole()
        };
        let strongest = memory.strongest;
        memory.distrust();
        assert!(memory.may_send_ahead() && !memory.is_relied_on());
        memory.distrust();
        memory.distrust();
        assert!(!memory.may_send_ahead());
        // What it is worth is not forgotten, nor is the token.
        assert_eq!(memory.strongest, strongest);
        assert!(memory.tls && memory.token.is_some());
    }
}
