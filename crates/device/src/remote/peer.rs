//! Whom to ask, and in which words: an account's device by its presence, and what it
//! announces in service discovery.

use std::sync::Arc;

use stanchion_services::RequestError;
use stanchion_stanza::Jid;
use stanchion_stanza::payload::disco::DiscoInfo;
use stanchion_stanza::payload::sensordata::Profile;

use super::readout::ReadError;
use super::state::{No, refusal};
use super::{Things, readout::Readout};

/// Devices of one account that are looked at.
const MOST_DEVICES: usize = 8;
/// The best first: the short ones in the order of how common they are.
const PREFERRED: [Profile; 4] = [Profile::Nf, Profile::Nfi, Profile::Ieee, Profile::Legacy];

/// Somebody to ask.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) jid: Jid,
    /// What it is; none if it does not say.
    pub(super) info: Option<Arc<DiscoInfo>>,
}

impl Peer {
    fn best(&self, feature: impl Fn(Profile) -> &'static str) -> Option<Profile> {
        let info = self.info.as_ref()?;
        PREFERRED.into_iter().find(|p| info.has(feature(*p)))
    }

    /// How to read it. Of one that announces nothing, the legacy profile is tried.
    pub(super) fn reads(&self) -> Profile {
        self.best(Profile::sensor_data).unwrap_or_default()
    }

    /// How to set it; likewise, and as it is read.
    pub(super) fn sets(&self) -> Profile {
        let best = self.best(Profile::control);
        best.unwrap_or_else(|| self.reads())
    }

    /// How to subscribe to it, if that can be done.
    pub(super) fn tells(&self) -> Option<Profile> {
        self.best(Profile::events)
    }

    pub(super) fn has(&self, feature: &str) -> bool {
        self.info.as_ref().is_some_and(|info| info.has(feature))
    }

    fn is_a_thing(&self) -> bool {
        let features = [Profile::sensor_data, Profile::control];
        features.iter().any(|f| self.best(f).is_some())
    }
}

impl Things {
    /// Whom to ask at that address.
    pub(super) async fn peer(&self, of: &Jid) -> Result<Peer, ReadError> {
        if !of.is_bare() || of.local().is_none() {
            return self.look_at(of.clone()).await;
        }
        let seen = self.presences.of(&of.to_bare()).await;
        let seen = seen.map_err(|_| ReadError::Closed)?;
        let mut first = None;
        for (jid, _) in seen.into_iter().take(MOST_DEVICES) {
            match self.look_at(jid).await {
                Ok(peer) if peer.is_a_thing() => return Ok(peer),
                Ok(peer) => first = first.or(Some(peer)),
                Err(ReadError::Closed) => return Err(ReadError::Closed),
                Err(_) => {}
            }
        }
        if let Some(peer) = first {
            return Ok(peer);
        }
        // An address below a component is somebody; an account is not.
        let peer = self.look_at(of.clone()).await?;
        let account = peer.info.as_ref().is_none_or(|info| {
            let mut all = info.identities.iter();
            all.any(|identity| &*identity.category == "account")
        });
        match account {
            true => Err(ReadError::NoneSeen { of: of.clone() }),
            false => Ok(peer),
        }
    }

    async fn look_at(&self, jid: Jid) -> Result<Peer, ReadError> {
        match self.discovery.features_of(jid.clone()).await {
            Ok(info) => {
                let info = Some(info);
                Ok(Peer { jid, info })
            }
            // It does not say what it is, and may answer all the same.
            Err(RequestError::Refused { .. } | RequestError::Unreadable(_)) => {
                Ok(Peer { jid, info: None })
            }
            Err(error) => Err(not_asked(&jid, error)),
        }
    }
}

/// A question that got no answer, of somebody's things.
pub(super) fn not_asked(of: &Jid, error: RequestError) -> ReadError {
    let of = of.clone();
    match error {
        RequestError::Refused { error, beside, .. } => {
            let said = refusal(&error, beside.as_deref());
            let why = said.why;
            match said.no {
                No::Unknown => ReadError::NoSuchThing { of, why },
                No::Nobody => ReadError::Unavailable { of, why },
                No::Forbidden | No::Refused => ReadError::Refused { of, why },
            }
        }
        RequestError::TimedOut { within, .. } => ReadError::Timeout {
            of,
            within,
            after: 0,
        },
        RequestError::NotAsked { within } => ReadError::NotAsked { of, within },
        RequestError::Lost => ReadError::Lost { of, after: 0 },
        RequestError::TooMany => ReadError::TooMany,
        RequestError::Closed => ReadError::Closed,
        error => ReadError::Unreadable {
            of,
            what: error.to_string(),
        },
    }
}

/// Nothing came in time, before anything was asked of the thing itself.
pub(super) fn in_time(of: &Jid, readout: &Readout) -> ReadError {
    ReadError::Timeout {
        of: of.clone(),
        within: readout.within,
        after: 0,
    }
}
