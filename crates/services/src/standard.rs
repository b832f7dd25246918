//! The services that a client has unless it is put together by hand: which they are, in
//! which order they see a stanza, and the face of each.

use stanchion_reliability::session::{Receiver, Sender, Stanzas};
use stanchion_reliability::store::{TransactError, Transactor};
use stanchion_stanza::payload::disco::Identity;

use crate::allowed::Allowed;
use crate::archive::{Archive, ArchiveConfig, Archives};
use crate::blocking::{Blocking, Blocks};
use crate::chat::{Chat, Chats, Follower};
use crate::client_state::{Attention, ClientStates};
use crate::commands::{Commands, Provider};
use crate::disco::{Disco, Discovery};
use crate::history::HistoryConfig;
use crate::host::{Host, HostBuilder, Incoming, Requests};
use crate::last_activity::{Activity, LastActivities};
use crate::ping::Pings;
use crate::presence::{PresenceConfig, Presences, Present};
use crate::pubsub::{self, Pubsub};
use crate::rooms::{self, Rooms, RoomsConfig};
use crate::roster::{Contacts, Policy, Roster};
use crate::time::Times;
use crate::version::{Software, Versions};

/// How they behave.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StandardConfig {
    /// What we are in service discovery (XEP-0030 §3.1). Default: `client/bot`, named
    /// Stanchion.
    pub identity: Option<Identity>,
    /// What of the account's archive and its other devices comes here. Default: nothing by
    /// itself; the archive can be asked.
    pub archive: ArchiveConfig,
    /// Whether to announce what people do in conversations: states, corrections, markers and
    /// replies. Default no.
    pub chat: bool,
    /// How much of the history is kept.
    pub history: HistoryConfig,
    /// How many received messages the session hands over at once, if not 256.
    pub hand_over: Option<usize>,
    /// What program we say that we are (XEP-0092).
    pub software: Software,
    /// Who is told for how long nobody has used us (XEP-0012). Default: our own account.
    pub last_activity: Allowed,
    /// Minutes that our clock's zone is ahead of UTC (XEP-0202). Default 0.
    pub zone_minutes: i16,
    /// How presence begins. The session must not announce any of its own:
    /// [`SessionConfig::presence`](stanchion_reliability::session::SessionConfig::presence)
    /// is to be none.
    pub presence: PresenceConfig,
    /// Who may subscribe to our presence. Default: the application is asked.
    pub subscriptions: Policy,
    /// Whether the roster is asked for only once the application
    /// [waits for it](Roster::loaded). Default: at the beginning of each session.
    pub roster_when_asked: bool,
    /// How rooms are looked after.
    pub rooms: RoomsConfig,
}

/// The standard services of a session, running. Dropping it aborts them.
#[derive(Debug)]
pub struct Standard {
    // Ends before the host does: fields drop in order.
    follower: Follower,
    host: Host,
    commands: Commands,
    activity: Activity,
    discovery: Discovery,
    roster: Roster,
    presences: Presences,
    blocking: Blocking,
    attention: Attention,
    rooms: Rooms,
    chat: Chat,
    archive: Archives,
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
        let (standard, incoming, ()) =
            Self::start_with(config, sender, receiver, stanzas, store, |_| ()).await?;
        Ok((standard, incoming))
    }

    /// The same with more services, which `add` adds; what it gives is given back. They see
    /// stanzas after discovery and before all others.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with<T>(
        config: StandardConfig,
        sender: Sender,
        receiver: Receiver,
        stanzas: Stanzas,
        store: Transactor,
        add: impl FnOnce(&mut HostBuilder) -> T,
    ) -> Result<(Self, Incoming, T), TransactError> {
        let mut builder = HostBuilder::new();
        if let Some(identity) = config.identity {
            builder = builder.identity(identity);
        }
        if let Some(most) = config.hand_over {
            builder = builder.hand_over(most);
        }
        // Before discovery: it answers for the nodes of its commands.
        let provider = builder.add(Provider::new(getrandom::u64().unwrap_or_default()));
        let disco = builder.add(Disco::default());
        let added = add(&mut builder);
        let activity = builder.add(LastActivities::new(config.last_activity));
        builder.add(Pings::default());
        builder.add(Times::in_zone(config.zone_minutes));
        builder.add(Versions::new(config.software));
        let states = builder.add(ClientStates::default());
        let blocks = builder.add(Blocks::default());
        let rooms = rooms::add(&mut builder, config.rooms);
        // The roster is asked for before presence is announced (RFC 6121 §2.2). Whoever has
        // presence of its own, as rooms have, comes before these two.
        let mut contacts = Contacts::new(config.subscriptions);
        if config.roster_when_asked {
            contacts = contacts.when_asked();
        }
        let contacts = builder.add(contacts);
        let present = builder.add(Present::new(config.presence));
        let secret = getrandom::u64().unwrap_or_default();
        let archive = builder.add(Archive::new(config.archive, secret));
        let chats = match config.chat {
            true => Chats::announced(),
            false => Chats::default(),
        };
        let chats = builder.add(chats);
        let pubsub = builder.add(pubsub::State::default());
        let builder = builder.history(config.history);
        let own = sender.clone();
        let (host, incoming) = builder
            .start(sender.clone(), receiver, stanzas, store.clone())
            .await?;
        let requests = host.requests();
        let (chat, follower) = Chat::start(chats, sender, host.history());
        let standard = Self {
            follower,
            pubsub: Pubsub::new(pubsub, requests.clone(), store),
            chat,
            archive: Archives::new(archive, requests.clone()),
            host,
            rooms: Rooms::new(rooms, requests.clone(), own),
            commands: Commands::new(provider, requests.clone()),
            activity: Activity::new(activity),
            discovery: Discovery::new(disco, requests.clone()),
            roster: Roster::new(contacts, requests.clone()),
            presences: Presences::new(present),
            blocking: Blocking::new(blocks, requests),
            attention: Attention::new(states),
        };
        Ok((standard, incoming, added))
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

    /// Conversations.
    #[must_use]
    pub const fn chat(&self) -> &Chat {
        &self.chat
    }

    /// The account's archive.
    #[must_use]
    pub const fn archive(&self) -> &Archives {
        &self.archive
    }

    /// Asks others.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.host.requests()
    }

    /// What others are, and what we are (XEP-0030, XEP-0115).
    #[must_use]
    pub const fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    /// The account's contacts, and subscriptions (RFC 6121 §2, §3).
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// How we are, and how others are (RFC 6121 §4).
    #[must_use]
    pub const fn presences(&self) -> &Presences {
        &self.presences
    }

    /// Whom the account blocks (XEP-0191).
    #[must_use]
    pub const fn blocking(&self) -> &Blocking {
        &self.blocking
    }

    /// Whether somebody looks at the client (XEP-0352).
    #[must_use]
    pub const fn attention(&self) -> &Attention {
        &self.attention
    }

    /// Multi-user chat.
    #[must_use]
    pub const fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Publishes and subscribes.
    #[must_use]
    pub fn pubsub(&self) -> Pubsub {
        self.pubsub.clone()
    }

    /// Ends them; call it before the session ends.
    pub async fn shutdown(self) {
        self.follower.shutdown().await;
        self.host.shutdown().await;
    }
}
