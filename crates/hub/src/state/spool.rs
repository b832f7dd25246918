//! Offline messages, rosters, whom accounts block, rooms with what was said in them, and
//! publish/subscribe nodes with their items, on disk: a journal of what was stored and what
//! was removed, written anew when most of it is history. Which messages those are is the
//! router's; archives are in `annals`, which is written along.
//!
//! What holds: once [`Spool::apply`] has returned, every message in it was written and
//! handed to the disk (`fdatasync`), and outlives the death of the hub; as far as the disk
//! keeps its promise, it outlives a power loss too. Removals are written and not
//! waited for: after a power loss a delivered message may come again, stamped as
//! before. A record that was cut short by a crash was never acknowledged, and is dropped.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use stanchion_stanza::{Decoder, Element, Encoder, Scope, StreamEvent, Text};

use super::annals::{Annals, Record};
use super::{StateDir, failed, private, record_limits, replace};
use crate::error::HubError;
use crate::limits::HubLimits;
use crate::router::{ArchivedMessage, Keeping, Persist, StoredId, StoredMessage};
use crate::stamp::milliseconds;

const NS: &str = "urn:stanchion:hub:offline:0";

/// Records of history that are put up with.
const HISTORY: usize = 1000;

/// The journal, open at its end.
#[derive(Debug)]
pub(crate) struct Spool {
    path: PathBuf,
    file: File,
    encoder: Encoder,
    live: usize,
    records: usize,
    annals: Annals,
    _state: StateDir,
}

/// What is on disk at the start.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// In offline storage.
    pub(crate) stored: Vec<StoredMessage>,
    /// In the archives.
    pub(crate) archived: Vec<ArchivedMessage>,
}

impl Spool {
    /// Reads the journal, and writes it anew without its history.
    pub(super) fn open(state: StateDir, bounds: HubLimits) -> Result<(Self, Kept), HubError> {
        let (annals, archived) = Annals::open(&state.path, bounds)?;
        let path = state.path.join("offline.xml");
        let encoder = Encoder::new(Scope::empty(), record_limits());
        let messages = match fs::read(&path) {
            Ok(bytes) => parse(&bytes).map_err(|offset| HubError::StateDamaged {
                path: path.clone(),
                offset,
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(failed(&path, source)),
        };
        let write = || -> io::Result<File> {
            replace(&path, &encode_all(&encoder, &messages)?)?;
            private().append(true).open(&path)
        };
        let file = write().map_err(|source| failed(&path, source))?;
        let spool = Self {
            file,
            encoder,
            live: messages.len(),
            records: messages.len(),
            path,
            annals,
            _state: state,
        };
        let kept = Kept {
            stored: messages,
            archived,
        };
        Ok((spool, kept))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Writes changes, in order. Blocks until the disk has the messages among them.
    pub(crate) fn apply(&mut self, changes: &[Persist]) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut stored = false;
        for change in changes {
            match change {
                Persist::Store(message) => {
                    encode(&self.encoder, message, &mut bytes)?;
                    stored = true;
                    self.live += 1;
                }
                Persist::Remove(id) => {
                    let removed = Element::new("removed", NS).with_attr("id", id.0);
                    self.encoder
                        .element(&removed, &mut bytes)
                        .map_err(io::Error::other)?;
                    bytes.push(b'\n');
                    self.live = self.live.saturating_sub(1);
                }
                Persist::Archive(_) | Persist::Forget(_) => continue,
            }
            self.records += 1;
        }
        self.annals
            .append(changes.iter().filter_map(|change| match change {
                Persist::Archive(message) => Some(Record::Archived(message)),
                Persist::Forget(account) => Some(Record::Forgotten(account)),
                _ => None,
            }))?;
        self.file.write_all(&bytes)?;
        if stored {
            self.file.sync_data()?;
        }
        if self.records > 2 * self.live + HISTORY {
            self.compact()?;
        }
        Ok(())
    }

    fn compact(&mut self) -> io::Result<()> {
        let messages = if self.live == 0 {
            Vec::new()
        } else {
            parse(&fs::read(&self.path)?).map_err(|_| io::ErrorKind::InvalidData)?
        };
        replace(&self.path, &encode_all(&self.encoder, &messages)?)?;
        self.file = private().append(true).open(&self.path)?;
        self.live = messages.len();
        self.records = messages.len();
        Ok(())
    }
}

fn encode_all(encoder: &Encoder, messages: &[StoredMessage]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for message in messages {
        encode(encoder, message, &mut bytes)?;
    }
    Ok(bytes)
}

/// The stanza stands as text, so that it comes back byte by byte.
fn encode(encoder: &Encoder, message: &StoredMessage, out: &mut Vec<u8>) -> io::Result<()> {
    let text = |s: &str| Text::new(s).map_err(io::Error::other);
    let stanza = std::str::from_utf8(&message.stanza).map_err(io::Error::other)?;
    let record = Element::new("stored", NS)
        .with_attr("id", message.id.0)
        .with_attr("account", text(&message.account)?)
        .with_attr_opt("keeping", name_of(message.keeping).map(Text::from_static))
        .with_attr("since", milliseconds(message.since))
        .with_text(text(stanza)?);
    encoder.element(&record, out).map_err(io::Error::other)?;
    out.push(b'\n');
    Ok(())
}

/// What a journal holds, in order. Error: the offset of the fault.
fn parse(bytes: &[u8]) -> Result<Vec<StoredMessage>, u64> {
    let mut decoder = Decoder::without_root(Scope::empty(), record_limits());
    decoder.push(bytes);
    let mut messages = BTreeMap::new();
    loop {
        let offset = (bytes.len() - decoder.pending()) as u64;
        match decoder.next_event() {
            Ok(Some(StreamEvent::Element(record))) => match read(&record).ok_or(offset)? {
                Persist::Store(message) => {
                    messages.insert(message.id, message);
                }
                Persist::Remove(id) => {
                    messages.remove(&id);
                }
                Persist::Archive(_) | Persist::Forget(_) => return Err(offset),
            },
            Ok(Some(_)) => return Err(offset),
            Ok(None) => break,
            Err(error) => return Err(error.offset),
        }
    }
    if decoder.pending() > 0 {
        tracing::warn!(
            bytes = decoder.pending(),
            "dropped a record of offline storage that was not written to its end"
        );
    }
    Ok(messages.into_values().collect())
}

const fn name_of(keeping: Keeping) -> Option<&'static str> {
    match keeping {
        Keeping::Offline => None,
        Keeping::Room => Some("room"),
        Keeping::Said => Some("said"),
        Keeping::Contact => Some("contact"),
        Keeping::Blocked => Some("blocked"),
        Keeping::Node => Some("node"),
        Keeping::NodePart => Some("node-part"),
    }
}

fn read(record: &Element) -> Option<Persist> {
    let id = StoredId(record.attr("id")?.parse().ok()?);
    if record.is("removed", NS) {
        return Some(Persist::Remove(id));
    }
    let since = Duration::from_millis(record.attr("since")?.parse().ok()?);
    record.is("stored", NS).then_some(())?;
    let keeping = match record.attr("keeping") {
        None => Keeping::Offline,
        Some("room") => Keeping::Room,
        Some("said") => Keeping::Said,
        Some("contact") => Keeping::Contact,
        Some("blocked") => Keeping::Blocked,
        Some("node") => Keeping::Node,
        Some("node-part") => Keeping::NodePart,
        Some(_) => return None,
    };
    Some(Persist::Store(StoredMessage {
        id,
        keeping,
        account: record.attr("account")?.to_owned(),
        since: UNIX_EPOCH.checked_add(since)?,
        stanza: record.text().into_owned().into_bytes(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u64) -> StoredMessage {
        StoredMessage {
            id: StoredId(id),
            keeping: Keeping::Offline,
            account: "lamp".into(),
            since: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123 + id),
            stanza: format!("<message id='{id}'><body>a &amp; b\r\n]]&gt;</body></message>").into(),
        }
    }

    fn open(folder: &tempfile::TempDir) -> (Spool, Vec<StoredMessage>) {
        let state = StateDir::open(folder.path()).unwrap();
        let (spool, kept) = state.into_spool(HubLimits::default()).unwrap();
        (spool, kept.stored)
    }

    #[test]
    fn what_was_stored_and_not_removed_is_there_after_a_restart_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, none) = open(&folder);
        assert_eq!(none, []);
        let stored: Vec<_> = (0..4).map(|id| Persist::Store(message(id))).collect();
        spool.apply(&stored).unwrap();
        spool.apply(&[Persist::Remove(StoredId(1))]).unwrap();
        drop(spool);
        let (_spool, back) = open(&folder);
        assert_eq!(back, [message(0), message(2), message(3)]);
    }

    #[test]
    fn a_record_cut_short_anywhere_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(&folder);
        spool.apply(&[Persist::Store(message(0))]).unwrap();
        let whole = fs::metadata(spool.path()).unwrap().len();
        spool.apply(&[Persist::Store(message(1))]).unwrap();
        let path = spool.path().to_owned();
        let bytes = fs::read(&path).unwrap();
        drop(spool);
        for end in usize::try_from(whole).unwrap()..bytes.len() - 1 {
            fs::write(&path, &bytes[..end]).unwrap();
            let (_spool, back) = open(&folder);
            assert_eq!(back, [message(0)], "cut at {end}");
        }
    }

    #[test]
    fn a_journal_that_is_none_is_reported_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("offline.xml"),
            b"<stored xmlns='urn:x'/>",
        )
        .unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let opened = state.into_spool(HubLimits::default());
        assert!(matches!(
            opened,
            Err(HubError::StateDamaged { offset: 0, .. })
        ));
    }

    #[test]
    fn history_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(&folder);
        spool.apply(&[Persist::Store(message(0))]).unwrap();
        let mut changes = Vec::new();
        for id in 1..=HISTORY as u64 {
            changes.push(Persist::Store(message(id)));
            changes.push(Persist::Remove(StoredId(id)));
        }
        spool.apply(&changes).unwrap();
        assert!(fs::metadata(spool.path()).unwrap().len() < 1000);
        spool.apply(&[Persist::Store(message(5000))]).unwrap();
        drop(spool);
        assert_eq!(open(&folder).1, [message(0), message(5000)]);
    }
}
