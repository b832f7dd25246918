//! Archives on disk: a journal of what was archived, written anew when more of it is beyond
//! the accounts' bounds than within. What is archived, and for whom, is the router's.
//!
//! What holds: once [`Annals::append`] has returned, the messages outlive the death of the
//! hub. They are not waited for, so a power loss may cost the last ones; a message that
//! waits for its recipient is in [`Spool`](super::Spool), which waits. A record that was cut
//! short is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use stanchion_stanza::{Decoder, Element, Encoder, Scope, StreamEvent, Text};

use super::{failed, private, record_limits, replace};
use crate::error::HubError;
use crate::limits::HubLimits;
use crate::router::ArchivedMessage;
use crate::stamp::milliseconds;

const NS: &str = "urn:stanchion:hub:archive:0";

/// Records beyond the bounds that are put up with, whatever is within.
const HISTORY: usize = 1000;

/// What the journal gets.
pub(super) enum Record<'a> {
    Archived(&'a ArchivedMessage),
    /// What that account had is no more.
    Forgotten(&'a str),
}

/// The journal, open at its end.
#[derive(Debug)]
pub(super) struct Annals {
    path: PathBuf,
    file: File,
    encoder: Encoder,
    limits: HubLimits,
    /// Records within the bounds when it was written anew, and those appended since.
    kept: usize,
    appended: usize,
}

impl Annals {
    /// Reads the journal, and writes it anew within the bounds.
    pub(super) fn open(
        folder: &Path,
        limits: HubLimits,
    ) -> Result<(Self, Vec<ArchivedMessage>), HubError> {
        let path = folder.join("archive.xml");
        let messages = match fs::read(&path) {
            Ok(bytes) => parse(&bytes, &limits).map_err(|offset| HubError::StateDamaged {
                path: path.clone(),
                offset,
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(failed(&path, source)),
        };
        let encoder = Encoder::new(Scope::empty(), record_limits());
        let write = || -> io::Result<File> {
            replace(&path, &encode_all(&encoder, &messages)?)?;
            private().append(true).open(&path)
        };
        let file = write().map_err(|source| failed(&path, source))?;
        let annals = Self {
            file,
            encoder,
            limits,
            kept: messages.len(),
            appended: 0,
            path,
        };
        Ok((annals, messages))
    }

    /// Writes records, in order.
    pub(super) fn append<'a>(
        &mut self,
        records: impl Iterator<Item = Record<'a>>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        for record in records {
            match record {
                Record::Archived(message) => encode(&self.encoder, message, &mut bytes)?,
                Record::Forgotten(account) => {
                    let account = Text::new(account).map_err(io::Error::other)?;
                    let record = Element::new("forgotten", NS).with_attr("account", account);
                    let written = self.encoder.element(&record, &mut bytes);
                    written.map_err(io::Error::other)?;
                    bytes.push(b'\n');
                }
            }
            self.appended += 1;
        }
        self.file.write_all(&bytes)?;
        if self.appended > self.kept + HISTORY {
            let read = fs::read(&self.path)?;
            let messages = parse(&read, &self.limits).map_err(|_| io::ErrorKind::InvalidData)?;
            replace(&self.path, &encode_all(&self.encoder, &messages)?)?;
            self.file = private().append(true).open(&self.path)?;
            (self.kept, self.appended) = (messages.len(), 0);
        }
        Ok(())
    }
}

fn encode_all(encoder: &Encoder, messages: &[ArchivedMessage]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for message in messages {
        encode(encoder, message, &mut bytes)?;
    }
    Ok(bytes)
}

/// The stanza stands as text, so that it comes back byte by byte.
fn encode(encoder: &Encoder, message: &ArchivedMessage, out: &mut Vec<u8>) -> io::Result<()> {
    let text = |s: &str| Text::new(s).map_err(io::Error::other);
    let stanza = std::str::from_utf8(&message.stanza).map_err(io::Error::other)?;
    let record = Element::new("archived", NS)
        .with_attr("id", message.id)
        .with_attr("account", text(&message.account)?)
        .with_attr("at", milliseconds(message.at))
        .with_text(text(stanza)?);
    encoder.element(&record, out).map_err(io::Error::other)?;
    out.push(b'\n');
    Ok(())
}

/// The newest messages of each account that are within its bounds, in order. Error: the
/// offset of the fault.
fn parse(bytes: &[u8], bounds: &HubLimits) -> Result<Vec<ArchivedMessage>, u64> {
    let mut decoder = Decoder::without_root(Scope::empty(), record_limits());
    decoder.push(bytes);
    let mut accounts: BTreeMap<String, (usize, VecDeque<ArchivedMessage>)> = BTreeMap::new();
    loop {
        let offset = (bytes.len() - decoder.pending()) as u64;
        match decoder.next_event() {
            Ok(Some(StreamEvent::Element(record))) => {
                if record.is("forgotten", NS) {
                    accounts.remove(record.attr("account").ok_or(offset)?);
                    continue;
                }
                let message = read(&record).ok_or(offset)?;
                let (size, messages) = accounts.entry(message.account.clone()).or_default();
                *size += message.stanza.len();
                messages.push_back(message);
                while messages.len() > bounds.archive_messages
                    || (*size > bounds.archive_bytes && messages.len() > 1)
                {
                    let oldest = messages.pop_front();
                    *size -= oldest.map_or(0, |oldest| oldest.stanza.len());
                }
            }
            Ok(Some(_)) => return Err(offset),
            Ok(None) => break,
            Err(error) => return Err(error.offset),
        }
    }
    if decoder.pending() > 0 {
        tracing::warn!(
            bytes = decoder.pending(),
            "dropped a record of the archives that was not written to its end"
        );
    }
    Ok(accounts
        .into_values()
        .flat_map(|(_, messages)| messages)
        .collect())
}

fn read(record: &Element) -> Option<ArchivedMessage> {
    record.is("archived", NS).then_some(())?;
    let at = Duration::from_millis(record.attr("at")?.parse().ok()?);
    Some(ArchivedMessage {
        id: record.attr("id")?.parse().ok()?,
        account: record.attr("account")?.to_owned(),
        at: UNIX_EPOCH.checked_add(at)?,
        stanza: record.text().into_owned().into_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u64, account: &str) -> ArchivedMessage {
        ArchivedMessage {
            id,
            account: account.into(),
            at: UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + id),
            stanza: format!("<message id='{id}'><body>a &amp; b</body></message>").into(),
        }
    }

    fn bounds(messages: usize) -> HubLimits {
        HubLimits {
            archive_messages: messages,
            ..HubLimits::default()
        }
    }

    fn ids(messages: &[ArchivedMessage]) -> Vec<u64> {
        messages.iter().map(|m| m.id).collect()
    }

    #[test]
    fn what_was_archived_is_there_after_a_restart_within_each_accounts_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let (mut annals, none) = Annals::open(folder.path(), bounds(3)).unwrap();
        assert_eq!(none, []);
        let all: Vec<_> = (0..5).map(|id| message(id, "a")).collect();
        annals.append(all.iter().map(Record::Archived)).unwrap();
        annals
            .append([Record::Archived(&message(9, "b"))].into_iter())
            .unwrap();
        drop(annals);
        let (_, back) = Annals::open(folder.path(), bounds(3)).unwrap();
        assert_eq!(ids(&back), [2, 3, 4, 9]);
        assert_eq!(back[0], message(2, "a"));
    }

    #[test]
    fn what_an_account_had_that_ended_is_gone_and_not_what_came_after() {
        let folder = tempfile::tempdir().unwrap();
        let (mut annals, _) = Annals::open(folder.path(), bounds(3)).unwrap();
        let (one, other, late) = (message(0, "a"), message(1, "b"), message(2, "a"));
        let records = [
            Record::Archived(&one),
            Record::Archived(&other),
            Record::Forgotten("a"),
            Record::Archived(&late),
        ];
        annals.append(records.into_iter()).unwrap();
        drop(annals);
        let (_, back) = Annals::open(folder.path(), bounds(3)).unwrap();
        assert_eq!(ids(&back), [2, 1], "account by account");
    }

    #[test]
    fn the_journal_does_not_grow_beyond_what_it_may_hold_and_some() {
        let folder = tempfile::tempdir().unwrap();
        let (mut annals, _) = Annals::open(folder.path(), bounds(10)).unwrap();
        for id in 0..5000 {
            annals
                .append([Record::Archived(&message(id, "a"))].into_iter())
                .unwrap();
        }
        let size = fs::metadata(folder.path().join("archive.xml"))
            .unwrap()
            .len();
        assert!(size < (HISTORY as u64 + 30) * 200, "{size}");
        drop(annals);
        let (_, back) = Annals::open(folder.path(), bounds(10)).unwrap();
        assert_eq!(ids(&back), (4990..5000).collect::<Vec<_>>());
    }

    #[test]
    fn a_record_cut_short_costs_only_itself_and_rubble_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive.xml");
        let (mut annals, _) = Annals::open(folder.path(), bounds(10)).unwrap();
        annals
            .append(
                [message(0, "a"), message(1, "a")]
                    .iter()
                    .map(Record::Archived),
            )
            .unwrap();
        drop(annals);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        let (_, back) = Annals::open(folder.path(), bounds(10)).unwrap();
        assert_eq!(ids(&back), [0]);
        fs::write(&path, b"<archived xmlns='urn:x'/>").unwrap();
        let opened = Annals::open(folder.path(), bounds(10));
        assert!(matches!(
            opened,
            Err(HubError::StateDamaged { offset: 0, .. })
        ));
    }
}
