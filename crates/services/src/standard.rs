//! The services that a client has unless it is put together by hand: which they are, in
//! which order they see a stanza, and the face of each.

use stanchion_reliability::session::{Receiver, Sender, Stanzas};
use stanchion_reliability::store::{TransactError, Transactor};
use stanchion_stanza::payload::disco::Identity;

use crate::disco::Disco;
use crate::host::{Host, HostBuilder, Incoming, Requests};
use crate::ping::Pings;
use crate::pubsub::{self, Pubsub};

/// How they behave.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StandardConfig {
    /// What we are in service discovery (XEP-0030 §3.1). Default: `client/bot`, named
    /// Stanchion.
    pub identity: Option<Identity>,
    /// How many received messages the session hands over at once, if not 64.
    pub hand_over: Option<usize>,
}

/// The standard services of a session, running. Dropping it aborts them.
#[derive(Debug)]
pub struct Standard {
    host: Host,
    pubsub: Pubsub,
}

impl Standard {
    /// Starts them over a session that was started
    /// [with stanzas](stanchion_reliability::Session::start_with_stanzas).
    ///
    /// # Errors
    /// [`TransactError`] if what they kept cannot be read.
    pub async fn start(
        config: StandardConfig,
        sender: Sender,
        receiver: Receiver,
        stanzas: Stanzas,
        store: Transactor,
    ) -> Result<(Self, Incoming), TransactError> {
        let mut builder = HostBuilder::new();
        if let Some(identity) = config.identity {
            builder = builder.identity(identity);
        }
        if let Some(most) = config.hand_over {
            builder = builder.hand_over(most);
        }
        builder.add(Disco::default());
        builder.add(Pings::default());
        let pubsub = builder.add(pubsub::State::default());
        let (host, incoming) = builder
            .start(sender, receiver, stanzas, store.clone())
            .await?;
        let pubsub = Pubsub::new(pubsub, host.requests(), store);
        Ok((Self { host, pubsub }, incoming))
    }

    /// Asks others.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.host.requests()
    }

    /// Publishes and subscribes.
    #[must_use]
    pub fn pubsub(&self) -> Pubsub {
        self.pubsub.clone()
    }

    /// Ends them; call it before the session ends.
    pub async fn shutdown(self) {
        self.host.shutdown().await;
    }
}
