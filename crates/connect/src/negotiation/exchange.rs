//! An exchange of SASL under way: the mechanism, what the server offers, and how far it has
//! come. What is said in it is `login`'s affair.

use std::fmt;

use stanchion_sasl::binding::Binding;
use stanchion_sasl::policy::OfferStrength;
use stanchion_sasl::{Authenticator, Channel};
use stanchion_stanza::stream::StreamFeatures;

use super::passing::Inline;
use super::remembered::LoginOffer;

/// An exchange under way.
pub(super) struct Exchange {
    pub(super) auth: Box<dyn Authenticator>,
    pub(super) rest: Suspended,
}

/// An exchange without its mechanism, which is out for a computation.
#[derive(Debug)]
pub(super) struct Suspended {
    pub(super) channel: Channel,
    /// What the server offers in the profile that is used.
    pub(super) offer: LoginOffer,
    /// What it offers in the best profile, for the next time.
    pub(super) learnt: LoginOffer,
    pub(super) means: Means,
    pub(super) footing: Footing,
    /// What goes along in SASL2.
    pub(super) inline: Inline,
    /// A token was refused on this stream.
    pub(super) token_refused: bool,
    /// The client has said all that it has to say: what comes next is the outcome.
    pub(super) said_all: bool,
    pub(super) strength: OfferStrength,
    pub(super) exchanges: u8,
    pub(super) round_trips: u32,
}

/// What the client proves itself with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Means {
    /// Its credentials, bound like this.
    Credentials(Binding),
    /// A token (XEP-0484), bound like this.
    Token(Binding),
}

/// How an exchange stands to what the server offers.
#[derive(Debug)]
pub(super) enum Footing {
    /// The server offers it.
    Offered,
    /// It was begun before the features were read.
    Ahead,
    /// It was begun ahead, and the features lead to another: the server has to refuse it.
    Mistaken(Box<StreamFeatures>),
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("mechanism", &self.auth.mechanism())
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    pub(super) const fn rest(&self) -> &Suspended {
        &self.rest
    }
}

impl Suspended {
    pub(super) fn new(channel: Channel, offer: LoginOffer, learnt: LoginOffer) -> Self {
        Self {
            channel,
            offer,
            learnt,
            means: Means::Credentials(Binding::NotApplicable),
            footing: Footing::Offered,
            inline: Inline::default(),
            token_refused: false,
            said_all: false,
            strength: OfferStrength::default(),
            exchanges: 0,
            round_trips: 0,
        }
    }

    /// A token was refused, and the server has not let us in since.
    pub(super) const fn token_refused(&self) -> bool {
        self.token_refused
    }

    /// The server was asked to resume, and may have come to that.
    pub(super) const fn may_be_resuming(&self) -> bool {
        self.inline.resume && self.said_all
    }
}
