//! Choosing a mechanism and a channel binding from what a server offers.
//!
//! Owns the order of preference, the channel binding rules of RFC 5802 §6 and
//! XEP-0440 §3, and the memory against downgrades ([`OfferStrength`]). Pure: the
//! answer is a [`Selection`]; [`crate::client`] carries it out.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

use crate::binding::{Binding, BindingRefused, BindingType, ChannelBindings};
use crate::credentials::Credentials;
use crate::mechanism::{Mechanism, ScramHash};

/// Which SASL profile the offer came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SaslProfile {
    /// `<mechanisms/>` of RFC 6120 §6.
    #[default]
    Rfc6120,
    /// `<authentication/>` of XEP-0388 (SASL2).
    Sasl2,
}

/// What the server offers in its features. Names as spelled there, unknown ones too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer<'a> {
    /// The profile; SASL2 has stricter rules for channel binding (XEP-0440 §3).
    pub profile: SaslProfile,
    /// The mechanism names of this profile; their order means nothing here.
    pub mechanisms: Vec<&'a str>,
    /// The types in `<sasl-channel-binding/>` (XEP-0440); `None` without that element.
    pub bindings: Option<Vec<&'a str>>,
}

impl Offer<'_> {
    fn has(&self, mechanism: Mechanism) -> bool {
        self.mechanisms.contains(&mechanism.as_str())
    }

    fn has_any_plus(&self) -> bool {
        self.mechanisms.iter().any(|m| m.ends_with("-PLUS"))
    }

    fn lists(&self, binding: BindingType) -> bool {
        self.bindings
            .as_ref()
            .is_some_and(|list| list.contains(&binding.as_str()))
    }
}

/// How the connection is protected, in the caller's word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ChannelSecurity {
    /// Readable by anybody on the way.
    #[default]
    Plaintext,
    /// Inside TLS.
    Tls {
        /// Decides which binding a server without an XEP-0440 list expects (RFC 9266 §2).
        version: TlsVersion,
        /// Whether the server's certificate was verified for the JID's domain.
        /// Without that, PLAIN is refused and a refused binding is not given up.
        server_verified: bool,
    },
}

impl ChannelSecurity {
    fn server_verified(self) -> bool {
        matches!(
            self,
            Self::Tls {
                server_verified: true,
                ..
            }
        )
    }
}

/// The version of TLS, as far as channel binding cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (or older).
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// The connection that a login runs over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channel {
    /// Whether it is encrypted, and with whom.
    pub security: ChannelSecurity,
    /// Whether the TLS handshake really sent a client certificate. Servers offer
    /// EXTERNAL also when it did not.
    pub client_certificate_shown: bool,
    /// The binding values of the connection; empty without TLS.
    pub bindings: ChannelBindings,
}

/// Whether logins are bound to the TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ChannelBindingPolicy {
    /// Bind if both sides can; a refusal may be retried without, once, and is
    /// reported. That serves servers that offer binding and then refuse it. It does
    /// not withstand an attacker with a valid certificate for the domain: once a
    /// server is known to bind, use [`ChannelBindingPolicy::Require`].
    #[default]
    Prefer,
    /// Bind or fail. EXTERNAL is allowed, as the certificate belongs to the connection.
    Require,
    /// Never bind; the server is told that this client cannot.
    Never,
}

/// Bounds on what a server may ask of SCRAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScramLimits {
    /// Fewest iterations accepted. Default 4096 (RFC 7677 §4). Lower it only for
    /// an old server: few iterations make a recorded login cheap to guess.
    pub min_iterations: u32,
    /// Most iterations accepted. Default 1 000 000. Keeps a hostile server from
    /// occupying the processor for hours.
    pub max_iterations: u32,
    /// Longest salt accepted, in bytes. Default 1024. An empty one never is.
    pub max_salt: usize,
}

impl Default for ScramLimits {
    fn default() -> Self {
        Self {
            min_iterations: 4096,
            max_iterations: 1_000_000,
            max_salt: 1024,
        }
    }
}

/// What a client accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Default [`ChannelBindingPolicy::Prefer`].
    pub channel_binding: ChannelBindingPolicy,
    /// The weakest mechanism accepted for a password, in the order of
    /// [`Mechanism`]. Default [`Mechanism::Plain`]. With
    /// `Scram(Sha256)`, also `SCRAM-SHA-1-PLUS` passes: it is the stronger one.
    pub minimum: Mechanism,
    /// **Dangerous.** Sends the bare password over a connection that is not TLS,
    /// or whose server was not verified. Default `false`. Anybody on the way
    /// reads the password; meant for closed test networks.
    pub allow_plain_without_tls: bool,
    /// Log in with the client certificate although a password is given, if one
    /// was shown and EXTERNAL is offered. Default `false`: the kind of
    /// [`Credentials`] decides.
    pub prefer_external: bool,
    /// Bounds for SCRAM.
    pub scram: ScramLimits,
    /// What this server offered before: anything weaker is refused. Default `None`.
    pub pinned: Option<OfferStrength>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            channel_binding: ChannelBindingPolicy::Prefer,
            minimum: Mechanism::Plain,
            allow_plain_without_tls: false,
            prefer_external: false,
            scram: ScramLimits::default(),
            pinned: None,
        }
    }
}

/// The strongest things in an offer: what a registry remembers of a server, so
/// that a later, weaker offer is noticed.
///
/// Counts the mechanisms for passwords only (SCRAM and PLAIN), and only what
/// this crate knows. Remember it per server and kind of transport: the same
/// server may offer less over WebSocket. Written as text, like
/// `SCRAM-SHA-256-PLUS tls-exporter` or `PLAIN -`.
///
/// ```
/// use stanchion_sasl::policy::OfferStrength;
///
/// let pinned: OfferStrength = "SCRAM-SHA-256 -".parse()?;
/// let now: OfferStrength = "PLAIN -".parse()?;
/// assert!(pinned.refuse_weaker(now).is_err());
/// assert!(now.refuse_weaker(pinned).is_ok());
/// # Ok::<(), stanchion_sasl::policy::BadOfferStrength>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OfferStrength {
    /// The strongest mechanism for a password; `None` if there is none.
    pub mechanism: Option<Mechanism>,
    /// The strongest binding type in the XEP-0440 list; `None` without one.
    pub binding: Option<BindingType>,
}

impl OfferStrength {
    /// Measures an offer.
    #[must_use]
    pub fn of(offer: &Offer<'_>) -> Self {
        Self {
            mechanism: Mechanism::STRONGEST_FIRST
                .into_iter()
                .find(|m| (m.scram_hash().is_some() || *m == Mechanism::Plain) && offer.has(*m)),
            binding: BindingType::STRONGEST_FIRST
                .into_iter()
                .find(|b| offer.lists(*b)),
        }
    }

    /// Refuses what is weaker than this in the mechanism or in the binding.
    ///
    /// # Errors
    ///
    /// [`Downgrade`] tells both, for the user to decide.
    pub fn refuse_weaker(self, now: Self) -> Result<(), Downgrade> {
        if now.mechanism < self.mechanism || now.binding < self.binding {
            return Err(Downgrade { pinned: self, now });
        }
        Ok(())
    }

    /// The stronger of both in each part: what to remember after a login.
    #[must_use]
    pub fn or_stronger(self, other: Self) -> Self {
        Self {
            mechanism: self.mechanism.max(other.mechanism),
            binding: self.binding.max(other.binding),
        }
    }
}

impl fmt::Display for OfferStrength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mechanism = self.mechanism.map_or("-", Mechanism::as_str);
        let binding = self.binding.map_or("-", BindingType::as_str);
        write!(f, "{mechanism} {binding}")
    }
}

impl FromStr for OfferStrength {
    type Err = BadOfferStrength;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mechanism, binding) = text.split_once(' ').ok_or(BadOfferStrength)?;
        let mechanism = match mechanism {
            "-" => None,
            name => Some(Mechanism::parse(name).ok_or(BadOfferStrength)?),
        };
        let binding = match binding {
            "-" => None,
            name => Some(BindingType::parse(name).ok_or(BadOfferStrength)?),
        };
        Ok(Self { mechanism, binding })
    }
}

/// The text is not what [`OfferStrength`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an offer's strength is a mechanism, a space and a binding type, each may be `-`")]
pub struct BadOfferStrength;

/// A server offers less than it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the server offers less than before ({now}, it was {pinned}): if its operator changed that, forget the old value"
)]
pub struct Downgrade {
    /// What was remembered.
    pub pinned: OfferStrength,
    /// What is offered now.
    pub now: OfferStrength,
}

/// The outcome of the choice, before a byte is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selection {
    /// The mechanism to use.
    pub mechanism: Mechanism,
    /// What is done about channel binding.
    pub binding: Binding,
    /// What the offer was worth.
    pub offered: OfferStrength,
    /// Go on only if the server vouches for its offer (XEP-0474): it lists
    /// binding types, and not the one that every server must have.
    pub offer_hash_required: bool,
}

/// Why there is no mechanism to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The peer: `-PLUS` without a list of types, in SASL2 (XEP-0440 §3, rule 4).
    #[error(
        "the server offers -PLUS mechanisms without binding types: XEP-0440 §3 forbids that in SASL2; suspect tampering"
    )]
    BindingListMissing,
    /// The peer: a list of types without any `-PLUS` (XEP-0440 §3, rule 5).
    #[error(
        "the server lists binding types without a -PLUS mechanism: XEP-0440 §3 forbids that; suspect tampering"
    )]
    PlusMissing,
    /// Policy: the offer is weaker than the remembered one.
    #[error(transparent)]
    Downgrade(#[from] Downgrade),
    /// Policy: only PLAIN is left, and the connection is not verified TLS.
    #[error(
        "the server takes only the bare password, and this is no verified TLS connection: use TLS"
    )]
    PlainWithoutTls,
    /// Policy: binding is required, and not possible here.
    #[error("channel binding is required, and this server or connection cannot do it")]
    BindingRequired,
    /// Policy: all that is offered is below the minimum.
    #[error("the strongest usable mechanism is {strongest}, below the accepted minimum")]
    TooWeak {
        /// The strongest of the usable ones.
        strongest: Mechanism,
    },
    /// The caller: EXTERNAL needs a client certificate in the TLS handshake.
    #[error(
        "no client certificate was shown in the TLS handshake: configure one, or use a password"
    )]
    CertificateNotShown,
    /// Nothing in the offer fits the credentials.
    #[error("the server offers no mechanism for these credentials")]
    NoMechanism,
}

impl Selection {
    /// Chooses by this crate's own order, never by the server's.
    ///
    /// `refused` is the proof that a first try failed over channel binding; the
    /// choice is then among unbound SCRAM mechanisms only.
    ///
    /// # Errors
    ///
    /// [`SelectError`]: no login is possible, or none that the policy allows.
    pub fn choose(
        offer: &Offer<'_>,
        channel: &Channel,
        credentials: &Credentials,
        policy: &Policy,
        refused: Option<&BindingRefused>,
    ) -> Result<Self, SelectError> {
        let offered = OfferStrength::of(offer);
        let plain = |mechanism, binding| Self {
            mechanism,
            binding,
            offered,
            offer_hash_required: false,
        };
        let external = || {
            if !channel.client_certificate_shown {
                Err(SelectError::CertificateNotShown)
            } else if offer.has(Mechanism::External) {
                Ok(plain(Mechanism::External, Binding::NotApplicable))
            } else {
                Err(SelectError::NoMechanism)
            }
        };
        match credentials {
            Credentials::Anonymous => {
                if policy.channel_binding == ChannelBindingPolicy::Require {
                    return Err(SelectError::BindingRequired);
                }
                if !offer.has(Mechanism::Anonymous) {
                    return Err(SelectError::NoMechanism);
                }
                Ok(plain(Mechanism::Anonymous, Binding::NotApplicable))
            }
            Credentials::Certificate { .. } => external(),
            Credentials::Password { .. } => {
                if let Some(pinned) = policy.pinned {
                    pinned.refuse_weaker(offered)?;
                }
                if policy.prefer_external
                    && refused.is_none()
                    && let Ok(selection) = external()
                {
                    return Ok(selection);
                }
                Self::for_password(offer, channel, policy, offered, refused.is_some())
            }
        }
    }

    fn for_password(
        offer: &Offer<'_>,
        channel: &Channel,
        policy: &Policy,
        offered: OfferStrength,
        refused: bool,
    ) -> Result<Self, SelectError> {
        let plan = BindingPlan::make(offer, channel, policy, refused)?;
        let plain_is_safe = policy.allow_plain_without_tls || channel.security.server_verified();
        let usable = |mechanism: Mechanism| match mechanism {
            Mechanism::ScramPlus(_) => matches!(plan, BindingPlan::Bind(_)),
            Mechanism::Scram(_) => true,
            // After a refusal, or with a doubtful list, not the bare password.
            Mechanism::Plain => plain_is_safe && !refused && plan != BindingPlan::Doubtful,
            Mechanism::Anonymous | Mechanism::External => false,
        };
        let mut choices = Mechanism::STRONGEST_FIRST
            .into_iter()
            .filter(|m| offer.has(*m) && usable(*m));
        let Some(mechanism) = choices.next() else {
            return Err(if policy.channel_binding == ChannelBindingPolicy::Require {
                SelectError::BindingRequired
            } else if offer.has(Mechanism::Plain) && !plain_is_safe {
                SelectError::PlainWithoutTls
            } else {
                SelectError::NoMechanism
            });
        };
        let binding = match (mechanism, plan) {
            (Mechanism::ScramPlus(_), BindingPlan::Bind(binding)) => Binding::Bound(binding),
            _ if policy.channel_binding == ChannelBindingPolicy::Require => {
                return Err(SelectError::BindingRequired);
            }
            (Mechanism::Plain, _) => Binding::NotApplicable,
            (_, BindingPlan::DoNot(binding)) => binding,
            (_, BindingPlan::Doubtful) => Binding::NoneInCommon,
            (_, BindingPlan::Bind(_)) => Binding::NotOffered,
        };
        if mechanism < policy.minimum {
            return Err(SelectError::TooWeak {
                strongest: mechanism,
            });
        }
        Ok(Self {
            mechanism,
            binding,
            offered,
            offer_hash_required: plan == BindingPlan::Doubtful,
        })
    }
}

/// What can be done about channel binding, before a mechanism is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BindingPlan {
    /// Use `-PLUS` with this type.
    Bind(BindingType),
    /// Use no `-PLUS`, for this reason.
    DoNot(Binding),
    /// Nothing in common, and the list lacks the type that every server must
    /// have (XEP-0440 §3, rule 6, as relaxed by XEP-0474 §5).
    Doubtful,
}

impl BindingPlan {
    fn make(
        offer: &Offer<'_>,
        channel: &Channel,
        policy: &Policy,
        refused: bool,
    ) -> Result<Self, SelectError> {
        if refused {
            return Ok(Self::DoNot(Binding::RefusedByServer));
        }
        if policy.channel_binding == ChannelBindingPolicy::Never {
            return Ok(Self::DoNot(Binding::Disabled));
        }
        let ChannelSecurity::Tls { version, .. } = channel.security else {
            return Ok(Self::DoNot(Binding::Unavailable));
        };
        if channel.bindings.is_empty() {
            return Ok(Self::DoNot(Binding::Unavailable));
        }
        // Only the names that this client would take count as an offer of
        // binding: else one made-up `-PLUS` turns the flag `y` into `n`.
        let usable_plus = ScramHash::STRONGEST_FIRST
            .into_iter()
            .any(|hash| offer.has(Mechanism::ScramPlus(hash)));
        match (&offer.bindings, usable_plus) {
            (Some(_), false) if !offer.has_any_plus() => Err(SelectError::PlusMissing),
            (_, false) => Ok(Self::DoNot(Binding::NotOffered)),
            (None, true) if offer.profile == SaslProfile::Sasl2 => {
                Err(SelectError::BindingListMissing)
            }
            (None, true) => Ok(default_binding(version, &channel.bindings)
                .map_or(Self::DoNot(Binding::Unavailable), Self::Bind)),
            (Some(_), true) => Ok(match channel.bindings.types().find(|b| offer.lists(*b)) {
                Some(binding) => Self::Bind(binding),
                None if offer.lists(BindingType::TlsServerEndPoint) => {
                    Self::DoNot(Binding::NoneInCommon)
                }
                None => Self::Doubtful,
            }),
        }
    }
}

/// Which type a server without a list expects: `tls-unique` before TLS 1.3
/// (RFC 5802 §6.1), `tls-exporter` from then on (RFC 9266 §2).
fn default_binding(version: TlsVersion, bindings: &ChannelBindings) -> Option<BindingType> {
    let order = match version {
        TlsVersion::Tls13 => [
            BindingType::TlsExporter,
            BindingType::TlsServerEndPoint,
            BindingType::TlsUnique,
        ],
        TlsVersion::Tls12 => [
            BindingType::TlsUnique,
            BindingType::TlsServerEndPoint,
            BindingType::TlsExporter,
        ],
    };
    order.into_iter().find(|b| bindings.get(*b).is_some())
}
