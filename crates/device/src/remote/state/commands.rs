//! Commands that were given and act once: to whom, until when, and what became of each. As
//! rows, so that the next process finds them by their key.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use stanchion_services::service::Change;
use stanchion_services::waiter::Waiter;
use stanchion_stanza::Jid;
use stanchion_stanza::payload::control::SetResponse;
use stanchion_stanza::payload::thing_command::{CommandOutcome, CommandResult};

/// Commands that are remembered; the oldest that have an outcome go.
const MOST: usize = 1024;
/// Accounts that are known for commands that act once; the oldest go.
const MOST_PEERS: usize = 1024;
/// Those who wait for one outcome.
const MOST_WAITERS: usize = 64;
/// Words of an outcome that are kept.
const WORDS: usize = 1024;

const COMMAND: &str = "command ";
const PEER: &str = "peer ";

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::remote) struct Entry {
    /// To whom, as it was given.
    pub(in crate::remote) to: String,
    /// When it was given, in Unix milliseconds.
    pub(in crate::remote) at: i64,
    /// Until when it is carried out, likewise.
    pub(in crate::remote) by: i64,
    /// Whether it was handed over to be sent.
    pub(in crate::remote) sent: bool,
    /// What the device said.
    pub(in crate::remote) settled: Option<Settled>,
}

/// What the device said became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::remote) struct Settled {
    /// The word, as on the wire.
    pub(in crate::remote) result: String,
    /// In its words.
    pub(in crate::remote) text: String,
    /// Parameters that were set, if those are not all.
    pub(in crate::remote) parameters: Vec<String>,
}

impl Settled {
    pub(in crate::remote) fn result(&self) -> CommandResult {
        // A word of another release says nothing for certain.
        CommandResult::from_name(&self.result).unwrap_or(CommandResult::InDoubt)
    }
}

#[derive(Debug, Default)]
pub(super) struct Commands {
    entries: BTreeMap<String, Entry>,
    waiters: BTreeMap<String, Vec<Waiter<Settled>>>,
    peers: VecDeque<String>,
    changes: Vec<Change>,
}

impl Commands {
    pub(super) fn restore(&mut self, key: &str, value: &[u8]) {
        if let Some(key) = key.strip_prefix(COMMAND)
            && let Ok(entry) = serde_json::from_slice(value)
        {
            self.entries.insert(key.to_owned(), entry);
        } else if let Some(account) = key.strip_prefix(PEER) {
            self.peers.push_back(account.to_owned());
        }
    }

    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn put(&mut self, key: &str) {
        if let Some(entry) = self.entries.get(key)
            && let Ok(value) = serde_json::to_vec(entry)
        {
            let key = format!("{COMMAND}{key}");
            self.changes.push(Change::Put { key, value });
        }
    }

    /// Notes one. `false` if too many are without outcome.
    pub(super) fn note(&mut self, key: &str, entry: Entry) -> bool {
        if self.entries.len() >= MOST {
            // Of those that are over, the oldest; doubt does not last for ever.
            let over = |e: &Entry| e.settled.is_some() || e.by < entry.at;
            let oldest = self.entries.iter().filter(|(_, e)| over(e));
            let Some(oldest) = oldest.min_by_key(|(_, e)| e.at).map(|(k, _)| k.clone()) else {
                return false;
            };
            self.entries.remove(&oldest);
            self.waiters.remove(&oldest);
            let key = format!("{COMMAND}{oldest}");
            self.changes.push(Change::Delete { key });
        }
        self.entries.insert(key.to_owned(), entry);
        self.put(key);
        true
    }

    pub(super) fn sent(&mut self, key: &str) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.sent = true;
            self.put(key);
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        self.entries.get(key).cloned()
    }

    pub(super) fn wait(&mut self, key: &str, waiter: Waiter<Settled>) {
        match self.entries.get(key) {
            Some(Entry {
                settled: Some(settled),
                ..
            }) => waiter.answer(settled.clone()),
            Some(_) => {
                let waiters = self.waiters.entry(key.to_owned()).or_default();
                if waiters.len() < MOST_WAITERS {
                    waiters.push(waiter);
                }
            }
            None => {}
        }
    }

    /// Takes what a device says, if it was asked for it: of two words the first definite
    /// one counts.
    pub(super) fn settle(
        &mut self,
        from: &Jid,
        outcome: &CommandOutcome,
        response: Option<&SetResponse>,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(&*outcome.of) else {
            return false;
        };
        let asked: Option<Jid> = entry.to.parse().ok();
        if asked.is_none_or(|asked| asked.bare_str() != from.bare_str()) {
            tracing::debug!(%from, of = %outcome.of, "an outcome from somebody who was not asked");
            return false;
        }
        let before = entry.settled.as_ref().map(Settled::result);
        if before.is_some_and(|result| result != CommandResult::InDoubt) {
            return false;
        }
        let mut text = outcome.text.to_string();
        if let Some((end, _)) = text.char_indices().nth(WORDS) {
            text.truncate(end);
        }
        let parameters = response
            .map(|r| r.parameters.as_slice())
            .unwrap_or_default();
        let settled = Settled {
            result: outcome.result.as_str().to_owned(),
            text,
            parameters: parameters.iter().map(ToString::to_string).collect(),
        };
        entry.settled = Some(settled.clone());
        self.put(&outcome.of);
        for waiter in self.waiters.remove(&*outcome.of).unwrap_or_default() {
            waiter.answer(settled.clone());
        }
        true
    }

    pub(super) fn is_known(&self, account: &str) -> bool {
        self.peers.iter().any(|peer| peer == account)
    }

    /// Gives whether that is new.
    pub(super) fn know(&mut self, account: &str, acts_once: bool) -> bool {
        if self.is_known(account) == acts_once {
            return false;
        }
        self.peers.retain(|peer| peer != account);
        let mut gone = vec![account.to_owned()];
        if acts_once {
            gone.clear();
            self.peers.push_back(account.to_owned());
            let key = format!("{PEER}{account}");
            let value = Vec::new();
            self.changes.push(Change::Put { key, value });
            if self.peers.len() > MOST_PEERS {
                gone.extend(self.peers.pop_front());
            }
        }
        let gone = gone.iter().map(|peer| Change::Delete {
            key: format!("{PEER}{peer}"),
        });
        self.changes.extend(gone);
        true
    }
}
