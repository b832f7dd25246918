//! A read-out under way.

use std::time::Duration;

use stanchion_services::Handle;
use stanchion_stanza::Jid;
use tokio::time::{Instant, timeout_at};

use super::peer::in_time;
use super::readout::{Part, ReadError, Readings, Readout};
use super::state::{Ask, State, Told};
use super::{Things, peer::Peer};

impl Things {
    /// Reads the things behind an address, in the best profile that it announces. An
    /// account stands for that of its devices which is seen and can be read
    /// ([`ReadError::NoneSeen`] otherwise).
    ///
    /// # Errors
    /// [`ReadError`]. What had come before is gone then: [`Things::start_read`] gives it.
    pub async fn read(&self, jid: &Jid, readout: Readout) -> Result<Readings, ReadError> {
        let mut reading = self.start_read(jid, readout).await?;
        let mut all = Readings::default();
        while let Some(part) = reading.next().await? {
            all.add(part);
        }
        match all.failures.first() {
            Some(first) if all.values.is_empty() => Err(ReadError::Failed {
                of: reading.of.clone(),
                thing: first.node.id.clone(),
                why: first.text.to_string(),
            }),
            _ => Ok(all),
        }
    }

    /// The same, given in parts as they come.
    ///
    /// # Errors
    /// [`ReadError`], if nobody is there to be asked.
    pub async fn start_read(&self, jid: &Jid, readout: Readout) -> Result<Reading, ReadError> {
        let began = Instant::now();
        let over = began + readout.within;
        let peer = timeout_at(over, self.peer(jid)).await;
        let peer = peer.unwrap_or_else(|_| Err(in_time(jid, &readout)))?;
        let left = over.saturating_duration_since(Instant::now());
        self.read_at(peer, &readout, left).await
    }

    pub(super) async fn read_at(
        &self,
        peer: Peer,
        readout: &Readout,
        within: Duration,
    ) -> Result<Reading, ReadError> {
        let ask = Ask::Read(Box::new(readout.request()));
        let (of, profile, silence) = (peer.jid.clone(), peer.reads(), readout.silence);
        let begun = self
            .handle
            .call(move |state, now| state.begin(now, peer.jid, profile, ask, within, silence));
        let name = begun.await.map_err(|_| ReadError::Closed)??;
        let handle = self.handle.clone();
        Ok(Reading { handle, name, of })
    }
}

/// A read-out under way. Dropped, it is cancelled.
#[derive(Debug)]
pub struct Reading {
    handle: Handle<State>,
    name: u64,
    of: Jid,
}

impl Reading {
    /// Who is read: the full address of an account's device.
    #[must_use]
    pub const fn of(&self) -> &Jid {
        &self.of
    }

    /// What comes next; none after the last. Cancel-safe but for the part that was about to
    /// be given.
    ///
    /// # Errors
    /// [`ReadError`]; nothing follows.
    pub async fn next(&mut self) -> Result<Option<Part>, ReadError> {
        loop {
            let name = self.name;
            let told = self.handle.ask(move |state, _, w| state.next(name, w));
            match told.await.map_err(|_| ReadError::Closed)? {
                Told::Part(part) => return Ok(Some(part)),
                Told::End(end) => return end.map(|()| None),
                // Of subscriptions alone.
                Told::Missed(_) | Told::Coalesced(_) | Told::Accepted => {}
            }
        }
    }

    /// Tells the device that no more is wanted (XEP-0323 §3.7). What had come can still be
    /// fetched; then there is [`ReadError::Cancelled`].
    pub async fn cancel(&self) {
        let name = self.name;
        // A client that has ended has cancelled everything.
        let _ = self.handle.call(move |state, _| state.cancel(name)).await;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let name = self.name;
        // If the service cannot hear it now, the read-out ends by its time, and is told to
        // nobody.
        self.handle.post(move |state, _| state.close(name));
    }
}
