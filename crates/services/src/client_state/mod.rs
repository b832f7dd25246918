//! Client state (XEP-0352): whether somebody looks at the client, told to a server that
//! wants to know. Such a server may then hold back what it thinks unimportant, presence
//! above all, so a device that must miss nothing stays active.

mod state;

pub use stanchion_stanza::payload::csi::ClientState;
pub use state::ClientStates;

use crate::slot::{Ended, Handle};

/// Tells the server whether somebody looks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Attention(Handle<ClientStates>);

impl Attention {
    /// The face of a service that was added to a host.
    #[must_use]
    pub const fn new(handle: Handle<ClientStates>) -> Self {
        Self(handle)
    }

    /// From now on it is so, on this stream and on those that follow. Not kept over a
    /// restart: a client begins as active. Nothing is told to a server that does not offer
    /// the extension.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn set(&self, state: ClientState) -> Result<(), Ended> {
        self.0.call(move |states, _| states.set(state)).await
    }

    /// Whether the server wants to know; false while nothing is known of it.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn is_offered(&self) -> Result<bool, Ended> {
        self.0.call(|states, _| states.is_offered()).await
    }
}
