//! The services that a client has unless it is put together by hand: which they are, in
//! which order they see a stanza, and the face of each.

use stanchion_reliability::session::{Receiver, Sender, Stanzas};
use stanchion_reliability::store::{TransactError, Transactor};
use stanchion_stanza::payload::disco::Identity;

use crate::allowed::Allowed;
use crate::commands::{Commands, Provider};
use crate::disco::Disco;
use crate::host::{Host, HostBuilder, Incoming, Requests};
use crate::last_activity::{Activity, LastActivities};
use crate::ping::Pings;
use crate::time::Times;
use crate::version::{Software, Versions};

/// How they behave.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StandardConfig {
    /// What we are in service discovery (XEP-0030 §3.1). Default: `client/bot`, named
    /// Stanchion.
    pub identity: Option<Identity>,
    /// How many received messages the session hands over at once, if not 128.
    pub hand_over: Option<usize>,
    /// What program we say that we are (XEP-0092).
    pub software: Software,
    /// Who is told for how long nobody has used us (XEP-0012). Default: our own account.
    pub last_activity: Allowed,
    /// Minutes that our clock's zone is ahead of UTC (XEP-0202). Default 0.
    pub zone_minutes: i16,
}

/// The standard services of a session, running. Dropping it aborts them.
#[derive(Debug)]
pub struct Standard {
    host: Host,
    commands: Commands,
    activity: Activity,
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
        // Before discovery: it answers for the nodes of its commands.
        let provider = builder.add(Provider::new(getrandom::u64().unwrap_or_default()));
        builder.add(Disco::default());
        let activity = builder.add(LastActivities::new(config.last_activity));
        builder.add(Pings::default());
        builder.add(Times::in_zone(config.zone_minutes));
        builder.add(Versions::new(config.software));
        let (host, incoming) = builder.start(sender, receiver, stanzas, store).await?;
        let standard = Self {
            commands: Commands::new(provider, host.requests()),
            activity: Activity::new(activity),
            host,
        };
        Ok((standard, incoming))
    }

    /// Runs commands of others, and offers our own (XEP-0050).
    #[must_use]
    pub const fn commands(&self) -> &Commands {
        &self.commands
    }

    /// Notes that somebody uses us (XEP-0012).
    #[must_use]
    pub const fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Asks others.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.host.requests()
    }

    /// Ends them; call it before the session ends.
    pub async fn shutdown(self) {
        self.host.shutdown().await;
    }
}
