//! What a store keeps: its identity, outbound and inbound records, and their
//! states. Plain data; what the states mean to the protocol is the engine's.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

use super::error::StoreError;

/// Wall-clock time: milliseconds since the Unix epoch, negative before it.
///
/// The store reads no clock; the caller gives every time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(i64);

impl WallTime {
    /// The latest time that can be kept.
    pub const MAX: Self = Self(i64::MAX);

    /// From milliseconds since the Unix epoch.
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_unix_ms(self) -> i64 {
        self.0
    }

    /// This time less `age`, held at the earliest time that can be kept.
    pub fn before(self, age: std::time::Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

/// Bytes the store keeps without looking into them: an encoded stanza, or a
/// value of the engine. `Debug` shows the length only, as they may be private.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Opaque(Bytes);

impl Opaque {
    /// The bytes, without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl From<Bytes> for Opaque {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Opaque {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&'static str> for Opaque {
    fn from(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

impl Deref for Opaque {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Sixteen random bytes made with a store and never changed: two stores of one
/// device are told apart by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who a store is, as of this opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Made with the store.
    pub store_id: StoreId,
    /// The device's name, given when the store was made.
    pub device: String,
    /// How often this store was opened, this time included: 1 on the first.
    /// Durable before `open` returns, so no two lives of a store share it
    /// (short of a restored backup).
    pub boot_count: u64,
    /// Random for each opening; never that of the opening before.
    pub boot_token: u32,
    /// When the store was made, by the caller's clock.
    pub created_at: WallTime,
}

/// The entropy an opening needs.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    /// Used only when the store is made.
    pub store_id: StoreId,
    /// Proposed boot token; raised by one if the opening before had the same.
    pub boot_token: u32,
}

impl Seed {
    /// From the operating system.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the system has no entropy source.
    pub fn from_os() -> Result<Self, StoreError> {
        let mut store_id = [0; 16];
        let mut token = [0; 4];
        getrandom::fill(&mut store_id)
            .and_then(|()| getrandom::fill(&mut token))
            .map_err(|error| StoreError::io(std::io::Error::other(error)))?;
        Ok(Self {
            store_id: StoreId(store_id),
            boot_token: u32::from_le_bytes(token),
        })
    }
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The device's name. On making: `None` takes `d` and the first eight hex
    /// digits of the store id. Later: `None` accepts what is stored, and a
    /// name must equal it.
    pub device: Option<String>,
    /// Entropy for this opening.
    pub seed: Seed,
    /// The caller's wall clock.
    pub at: WallTime,
    /// How much of an existing file is verified first.
    pub check: Check,
}

impl Opening {
    /// An opening that accepts the stored device name and verifies files by
    /// the default rule of [`Check`].
    pub fn new(seed: Seed, at: WallTime) -> Self {
        Self {
            device: None,
            seed,
            at,
            check: Check::default(),
        }
    }

    /// Names the device.
    pub fn device(mut self, name: impl Into<String>) -> Self {
        self.device = Some(name.into());
        self
    }

    /// The identity a store has after this opening.
    pub(super) fn identity(&self, stored: Option<Identity>) -> Result<Identity, StoreError> {
        let Some(mut identity) = stored else {
            let store_id = self.seed.store_id;
            let device = match &self.device {
                Some(name) => name.clone(),
                None => format!("d{}", &store_id.to_string()[..8]),
            };
            return Ok(Identity {
                store_id,
                device,
                boot_count: 1,
                boot_token: self.seed.boot_token,
                created_at: self.at,
            });
        };
        if let Some(asked) = &self.device
            && *asked != identity.device
        {
            return Err(StoreError::OtherDevice {
                stored: identity.device,
                asked: asked.clone(),
            });
        }
        identity.boot_count = identity.boot_count.saturating_add(1);
        identity.boot_token = if identity.boot_token == self.seed.boot_token {
            self.seed.boot_token.wrapping_add(1)
        } else {
            self.seed.boot_token
        };
        Ok(identity)
    }
}

/// When `PRAGMA quick_check` reads the whole file at opening (about 1 s for a
/// few hundred MB). `reopen` always does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// Files up to [`Check::SMALL`] bytes. The default.
    #[default]
    IfSmall,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Check {
    /// 64 MiB.
    pub const SMALL: u64 = 64 * 1024 * 1024;
}

/// Why an outcome is what it is: a word of the engine's vocabulary, kept as it
/// is. At most [`MAX_TEXT`](super::MAX_TEXT) bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reason(pub String);

impl From<&str> for Reason {
    fn from(word: &str) -> Self {
        Self(word.to_owned())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an outbound message stands.
///
/// ```text
/// Accepted ⇄ InFlight → ServerAccepted ─┬→ Acknowledged | Delivered
///     └────────┴──────────────┴─────────┼→ NotDelivered
///                                       └→ InDoubt { open } → any final state
/// ```
/// The store holds one law: a final state never changes. The arrows are the
/// engine's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutboundState {
    /// Kept; not on a stream.
    Accepted,
    /// Handed to a transport.
    InFlight,
    /// The server took responsibility (XEP-0198 §4).
    ServerAccepted,
    /// Transmitted, and no verdict heard by the deadline.
    InDoubt {
        /// Why.
        reason: Reason,
        /// `true` while an answer may still come; `false` makes it final.
        open: bool,
    },
    /// Final: a receipt came (XEP-0184): at least once.
    Acknowledged,
    /// Final: the receiving application committed it.
    Delivered,
    /// Final: it never took effect and never will.
    NotDelivered {
        /// Why.
        reason: Reason,
    },
}

impl OutboundState {
    /// Whether the state can never change again.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Accepted | Self::InFlight | Self::ServerAccepted => false,
            Self::InDoubt { open, .. } => !open,
            Self::Acknowledged | Self::Delivered | Self::NotDelivered { .. } => true,
        }
    }

    /// Whether no outcome was reported yet: neither final nor in doubt.
    pub fn is_undecided(&self) -> bool {
        matches!(self, Self::Accepted | Self::InFlight | Self::ServerAccepted)
    }

    /// What a person gives up without asking the recipient: in doubt for good, as an
    /// earlier process may have sent it, whatever the record says.
    pub fn cancelled() -> Self {
        Self::InDoubt {
            reason: Reason::from("cancelled"),
            open: false,
        }
    }

    /// Why, where there is a reason.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::InDoubt { reason, .. } | Self::NotDelivered { reason } => Some(reason),
            _ => None,
        }
    }
}

/// An outbound message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundRecord {
    /// Position in the outbox, 1 to 2⁶³ − 1: given by the engine, above every
    /// earlier one (see [`Recovered::next_seq`](super::Recovered::next_seq)).
    pub seq: u64,
    /// The stanza id, unique in the store.
    pub id: String,
    /// The recipient's JID.
    pub to: String,
    /// The channel (lane); empty is the default one.
    pub channel: String,
    /// The encoded stanza.
    pub stanza: Opaque,
    /// When the application gave it.
    pub accepted_at: WallTime,
    /// By when an outcome is due; `None` is never.
    pub deadline: Option<WallTime>,
    /// The protection its stream must have; a number of the engine. 0, and any that it
    /// does not know, is the strictest.
    pub protection: u8,
    /// Where it stands.
    pub state: OutboundState,
    /// How often it was transmitted. Informational: it never proves that a
    /// message was not transmitted, as a restored backup lies.
    pub attempts: u32,
    /// When state or attempts changed last.
    pub updated_at: WallTime,
    /// The boot token under which it was accepted.
    pub boot: u32,
    /// Its place in the channel, from 1; 0 for a message outside the order and
    /// deduplication of channels.
    pub place: u64,
    /// What names the message before it in the channel, in the highest 48 bits.
    pub prev: Option<u64>,
}

/// What tells an inbound message from its duplicates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboundKey {
    /// The sender's bare JID.
    pub from_bare: String,
    /// The stanza id.
    pub id: String,
}

impl InboundKey {
    /// A key from its two parts.
    pub fn new(from_bare: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            from_bare: from_bare.into(),
            id: id.into(),
        }
    }
}

/// Where an inbound message stands: `Kept → Handed → Handled`, or straight to
/// `Handled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InboundState {
    /// Durable; not yet given to the application.
    Kept,
    /// Given to the application, which may or may not have acted.
    Handed {
        /// By how many processes it was begun, 1 or more: the first counts when it is given
        /// the message, the others when they begin with it. Stays at `u32::MAX`.
        times: u32,
    },
    /// The application committed it. Final.
    Handled,
}

/// In words, for people.
impl fmt::Display for InboundState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("kept, and not handed over so far"),
            Self::Handed { times: 1 } => f.write_str("handed over, and not committed"),
            Self::Handed { times } => write!(f, "begun {times} times, and not committed"),
            Self::Handled => f.write_str("committed by the application"),
        }
    }
}

/// A message as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInbound {
    /// Its key.
    pub key: InboundKey,
    /// The sender's JID as received.
    pub from_full: String,
    /// The encoded stanza.
    pub stanza: Opaque,
    /// When it was received.
    pub received_at: WallTime,
    /// It is given to the application at once: it begins as `Handed`, once.
    pub handed: bool,
}

/// A message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundRecord {
    /// Order of arrival: given by the store, from 1, never reused.
    pub arrival: u64,
    /// Its key.
    pub key: InboundKey,
    /// The sender's JID as received.
    pub from_full: String,
    /// The encoded stanza; `None` once pruned. Never `None` before `Handled`.
    pub stanza: Option<Opaque>,
    /// When it was received.
    pub received_at: WallTime,
    /// When its state changed last; `received_at` at first.
    pub changed_at: WallTime,
    /// Where it stands.
    pub state: InboundState,
}
