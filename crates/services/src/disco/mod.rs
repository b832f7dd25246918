//! Service discovery (XEP-0030): what we are, told to whoever asks, and what others are;
//! with capabilities (XEP-0115), so that few have to be asked.

mod capabilities;
mod state;

use std::sync::Arc;

use stanchion_stanza::payload::caps::Caps;
use stanchion_stanza::payload::disco::{DiscoInfo, DiscoItems};
use stanchion_stanza::{Jid, Payload as _, Text};

pub use state::{Disco, NODE};

pub use crate::service::Node;

use crate::host::Requests;
use crate::request::{Request, RequestError};
use crate::slot::{Ended, Handle};

/// What we are and have, and what others are and have. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Discovery {
    handle: Handle<Disco>,
    requests: Requests,
}

impl Discovery {
    /// The face of a service that was added to a host, and where it asks.
    #[must_use]
    pub const fn new(handle: Handle<Disco>, requests: Requests) -> Self {
        Self { handle, requests }
    }

    /// What `jid` is and can do. Asked only if it is not known: the capabilities that
    /// somebody shows in presence stand for the answer (XEP-0115 §5), once somebody gave it
    /// that fits them; also over a restart. What does not fit counts for that address alone
    /// and for as long as its presence stands, and what shows no capabilities is asked each
    /// time. A client is asked at its full address; a bare one stands for the account.
    ///
    /// # Errors
    /// [`RequestError`]; [`RequestError::Unreadable`] for an answer that is ill-formed
    /// (XEP-0115 §5.4).
    pub async fn features_of(&self, jid: Jid) -> Result<Arc<DiscoInfo>, RequestError> {
        let asked = self
            .handle
            .ask(move |disco, _, waiter| disco.look_up(jid, waiter));
        asked.await.unwrap_or(Err(RequestError::Closed))
    }

    /// Whether `jid` announces that feature; likewise.
    ///
    /// # Errors
    /// As [`Discovery::features_of`].
    pub async fn supports(&self, jid: Jid, feature: &str) -> Result<bool, RequestError> {
        Ok(self.features_of(jid).await?.has(feature))
    }

    /// The capabilities that somebody's presence claims, and whether an answer that fits
    /// them is known (XEP-0115 §5.4). Asks nobody.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn claimed_by(&self, jid: &Jid) -> Result<Option<(Caps, bool)>, Ended> {
        let jid = jid.clone();
        self.handle.call(move |disco, _| disco.claim(&jid)).await
    }

    /// Asks what `of` is, or its node: see [`info`].
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn info(&self, of: Jid, node: Option<Text>) -> Result<DiscoInfo, RequestError> {
        info(&self.requests, of, node).await
    }

    /// Asks what `of` has, or its node: see [`items`].
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn items(&self, of: Jid, node: Option<Text>) -> Result<DiscoItems, RequestError> {
        items(&self.requests, of, node).await
    }

    /// Has a node from now on, in place of the one of that name: others can ask what it is
    /// and what it has. Not kept over a restart. One that a service has comes first.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn put_node(&self, node: Node) -> Result<(), Ended> {
        self.handle.call(|disco, _| disco.put_node(node)).await
    }

    /// Does not have it any more.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn remove_node(&self, name: &Text) -> Result<(), Ended> {
        let name = name.clone();
        self.handle
            .call(move |disco, _| disco.remove_node(&name))
            .await
    }
}

/// What `of` is, or its node (XEP-0030 §3.1).
///
/// # Errors
/// [`RequestError`].
pub async fn info(
    requests: &Requests,
    of: Jid,
    node: Option<Text>,
) -> Result<DiscoInfo, RequestError> {
    let query = DiscoInfo {
        node,
        ..DiscoInfo::default()
    };
    requests
        .ask_for(Request::get(Some(of), query.to_element()))
        .await
}

/// What `of` has, or its node (XEP-0030 §4.1).
///
/// # Errors
/// [`RequestError`].
pub async fn items(
    requests: &Requests,
    of: Jid,
    node: Option<Text>,
) -> Result<DiscoItems, RequestError> {
    let query = DiscoItems {
        node,
        ..DiscoItems::default()
    };
    requests
        .ask_for(Request::get(Some(of), query.to_element()))
        .await
}
