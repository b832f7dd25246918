//! The services that a client has unless it is put together by hand: which they are, in
//! which order they see a stanza, and the face of each.

use stanchion_reliability::session::{Receiver, Sender, Stanzas};
use stanchion_reliability::store::{TransactError, Transactor};
use stanchion_stanza::payload::disco::Identity;

use crate::archive::{Archive, ArchiveConfig, Archives};
use crate::chat::{Chat, Chats, Follower};
use crate::disco::Disco;
use crate::history::HistoryConfig;
use crate::host::{Host, HostBuilder, Incoming, Requests};
use crate::ping::Pings;

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
    /// How many received messages the session hands over at once, if not 64.
    pub hand_over: Option<usize>,
}

/// The standard services of a session, running. Dropping it aborts them.
#[derive(Debug)]
pub struct Standard {
    // Ends before the host does: fields drop in order.
    follower: Follower,
    host: Host,
    chat: Chat,
    archive: Archives,
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
        let secret = getrandom::u64().unwrap_or_default();
        let archive = builder.add(Archive::new(config.archive, secret));
        let chats = match config.chat {
            true => Chats::announced(),
            false => Chats::default(),
        };
        let chats = builder.add(chats);
        let builder = builder.history(config.history);
        let (host, incoming) = builder
            .start(sender.clone(), receiver, stanzas, store)
            .await?;
        let (chat, follower) = Chat::start(chats, sender, host.history());
        let archive = Archives::new(archive, host.requests());
        let this = Self {
            follower,
            host,
            chat,
            archive,
        };
        Ok((this, incoming))
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

    /// Ends them; call it before the session ends.
    pub async fn shutdown(self) {
        self.follower.shutdown().await;
        self.host.shutdown().await;
    }
}
