//! One account's archive (XEP-0313): the messages that it sent and received, bounded, the
//! oldest going first; queries of it by time, correspondent and page; and what
//! the account wants archived (XEP-0441). Nobody but the account reads it.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use stanchion_stanza::codec::parse_element;
use stanchion_stanza::payload::datetime;
use stanchion_stanza::payload::delay::Delay;
use stanchion_stanza::payload::forms::FORM_TYPE;
use stanchion_stanza::payload::forward::Forwarded;
use stanchion_stanza::payload::hints::Hint;
use stanchion_stanza::payload::mam::{ArchiveResult, DefaultPolicy, Filter, Fin, Prefs, Query};
use stanchion_stanza::payload::rsm::{Page, PageRequest, Position, Range};
use stanchion_stanza::payload::sid::StanzaId;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, MessageType, StanzaError};
use stanchion_stanza::{BareJid, Element, Jid, Message, Payload as _, Scope, Text};

use super::{ArchivedMessage, Now, Output, Persist, Router, SessionId};
use crate::stamp::{milliseconds, stamp};

/// Messages of one page at most.
const PAGE: usize = 100;
/// Bytes of one page, about, so that it fits into a session's queue; one message at least.
const PAGE_BYTES: usize = 512 * 1024;
/// Addresses in each list of preferences.
const LISTED: usize = 100;

/// What is kept of a message.
#[derive(Debug)]
struct Archived {
    id: u64,
    at: SystemTime,
    from: Jid,
    to: Jid,
    stanza: Box<[u8]>,
}

impl Archived {
    /// §4.1.1: a bare address stands for all its resources.
    fn is_with(&self, with: &Jid, owner: &BareJid) -> bool {
        let is = |jid: &Jid| match with.resource() {
            Some(_) => jid == with,
            None => jid.bare_str() == with.as_str(),
        };
        match with.bare_str() == owner.as_str() {
            true => is(&self.from) && is(&self.to),
            false => is(&self.from) || is(&self.to),
        }
    }
}

/// The archive of one account.
#[derive(Debug, Default)]
pub(super) struct Archive {
    entries: VecDeque<Archived>,
    bytes: usize,
    last: u64,
    default: Option<DefaultPolicy>,
    always: Vec<Jid>,
    never: Vec<Jid>,
}

impl Archive {
    /// An id for a message that comes now: never used before, by an earlier hub neither, as
    /// long as the clock is not set back. The account alone sees it.
    fn next_id(&mut self, now: SystemTime) -> u64 {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        self.last = micros.max(self.last.saturating_add(1));
        self.last
    }

    fn push(&mut self, archived: Archived, messages: usize, bytes: usize) {
        self.bytes += archived.stanza.len();
        self.entries.push_back(archived);
        while self.entries.len() > messages || (self.bytes > bytes && self.entries.len() > 1) {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.stanza.len();
        }
    }

    fn position(&self, id: &str) -> Option<usize> {
        let id = u64::from_str_radix(id, 16).ok()?;
        self.entries.binary_search_by_key(&id, |e| e.id).ok()
    }

    fn prefs(&self) -> Prefs {
        Prefs {
            default: Some(self.default.unwrap_or(DefaultPolicy::Always)),
            always: self.always.clone(),
            never: self.never.clone(),
        }
    }
}

/// Whether a message is for archives (§6.1): it says something, and nobody forbade it.
fn is_kept(message: &Message) -> bool {
    let hints = || message.payloads.iter().filter_map(Hint::from_element);
    let forbidden = hints().any(|h| matches!(h, Hint::NoStore | Hint::NoPermanentStore));
    matches!(message.kind, MessageType::Chat | MessageType::Normal)
        && !forbidden
        && (message.body().is_some() || hints().any(|h| h == Hint::Store))
}

/// How an id is written.
fn written(id: u64) -> Text {
    Text::new(format!("{id:x}")).unwrap_or_default()
}

/// What is to be noted of a message once it is known that it was not refused.
pub(super) struct Pending {
    local: String,
    id: u64,
    message: Message,
}

impl Router {
    /// Ids of our accounts that somebody else made up go (XEP-0359 §5).
    pub(super) fn strip_ids(&self, message: &mut Message) {
        message.payloads.retain(|p| {
            let id = StanzaId::matches(p).then(|| StanzaId::from_element(p));
            match id {
                None => true,
                Some(Ok(id)) => id.by.domain() != self.domain.domain(),
                Some(Err(_)) => false,
            }
        });
    }

    /// Whether there are archives, and a message is for them.
    fn archives(&self, message: &Message) -> bool {
        self.limits.archive_messages > 0 && is_kept(message)
    }

    /// Gives a message that `local` receives its id in that account's archive, if it is to
    /// be there.
    pub(super) fn stamp_id(
        &mut self,
        now: Now,
        local: &str,
        message: &mut Message,
    ) -> Option<Pending> {
        let other = message.header.from.clone()?;
        if !self.archives(message) || !self.wants_archived(local, &other) {
            return None;
        }
        let by = self.bare(local)?;
        let id = self.accounts.get_mut(local)?.archive.next_id(now.wall);
        let (id_text, by) = (written(id), by.into());
        message
            .payloads
            .push(StanzaId { id: id_text, by }.to_element());
        Some(Pending {
            local: local.to_owned(),
            id,
            message: message.clone(),
        })
    }

    /// Archives what `local` sent; gives the id.
    pub(super) fn archive_sent(
        &mut self,
        now: Now,
        local: &str,
        message: &Message,
    ) -> Option<Text> {
        let other = message.header.to.clone()?;
        if !self.archives(message) || !self.wants_archived(local, &other) {
            return None;
        }
        let id = self.accounts.get_mut(local)?.archive.next_id(now.wall);
        self.archive(
            now,
            Pending {
                local: local.to_owned(),
                id,
                message: message.clone(),
            },
        );
        Some(written(id))
    }

    /// Puts it there.
    pub(super) fn archive(&mut self, now: Now, pending: Pending) {
        let Pending { local, id, message } = pending;
        let header = message.header.clone();
        let (Some(from), Some(to)) = (header.from, header.to) else {
            return;
        };
        let Ok(stanza) = self.encoder.to_bytes(&message.to_element()) else {
            return;
        };
        self.outputs
            .push_back(Output::Persist(Persist::Archive(ArchivedMessage {
                id,
                account: local.clone(),
                at: now.wall,
                stanza: stanza.clone(),
            })));
        let (messages, bytes) = (self.limits.archive_messages, self.limits.archive_bytes);
        if let Some(account) = self.accounts.get_mut(&local) {
            let archived = Archived {
                id,
                at: now.wall,
                from,
                to,
                stanza: stanza.into_boxed_slice(),
            };
            account.archive.push(archived, messages, bytes);
        }
    }

    /// What the archives hold from before. Messages of accounts that are gone are left out.
    pub fn restore_archives(&mut self, archived: Vec<ArchivedMessage>) {
        let limits = self.limits.outbound();
        let (messages, bytes) = (self.limits.archive_messages, self.limits.archive_bytes);
        for ArchivedMessage {
            id,
            account,
            at,
            stanza,
        } in archived
        {
            let read = parse_element(&stanza, &Scope::client(), &limits).ok();
            let header = read.and_then(|element| Message::from_element(element).ok());
            let header = header.map(|message| (message.header.from, message.header.to));
            if let Some((Some(from), Some(to))) = header
                && let Some(account) = self.accounts.get_mut(&account)
            {
                account.archive.last = account.archive.last.max(id);
                let archived = Archived {
                    id,
                    at,
                    from,
                    to,
                    stanza: stanza.into_boxed_slice(),
                };
                account.archive.push(archived, messages, bytes);
            }
        }
    }

    /// XEP-0441 §2.1.1.
    fn wants_archived(&self, local: &str, other: &Jid) -> bool {
        let Some(account) = self.accounts.get(local) else {
            return false;
        };
        let bare: Jid = other.to_bare().into();
        let listed = |list: &[Jid]| list.contains(other) || list.contains(&bare);
        if listed(&account.archive.never) || listed(&account.archive.always) {
            return listed(&account.archive.always) && !listed(&account.archive.never);
        }
        match account.archive.default {
            None | Some(DefaultPolicy::Always) => true,
            Some(DefaultPolicy::Never) => false,
            Some(DefaultPolicy::Roster) => account.roster.item(&other.to_bare()).is_some(),
        }
    }

    /// §4: puts a page into the session's queue, and gives what follows it.
    pub(super) fn query_archive(
        &mut self,
        now: Now,
        session: SessionId,
        local: &str,
        query: &Element,
    ) -> Result<Option<Element>, StanzaError> {
        let query = Query::from_element(query).map_err(|_| bad_request())?;
        if query.node.is_some() {
            return Err(refusal(DefinedCondition::ItemNotFound));
        }
        let filter = match &query.form {
            Some(form) => Filter::from_form(form).map_err(|_| bad_request())?,
            None => Filter::default(),
        };
        let extended = filter.before_id.is_some() || filter.after_id.is_some();
        let odd = filter
            .other
            .iter()
            .any(|f| f.var.as_deref() != Some(FORM_TYPE));
        if odd || extended || filter.ids.is_some() || filter.include_groupchat.is_some() {
            return Err(refusal(DefinedCondition::FeatureNotImplemented));
        }
        let owner = self.bare(local).ok_or_else(bad_request)?;
        let account = self.accounts.get(local).ok_or_else(bad_request)?;
        let chosen = select(&account.archive, &owner, &filter, query.page.as_ref())?;
        let Some(address) = self.sessions.get(&session).map(|s| s.address.clone()) else {
            return Ok(None);
        };
        let results: Vec<Element> = (chosen.entries.iter())
            .map(|entry| {
                self.result(
                    entry,
                    &owner,
                    &address.clone().into(),
                    query.queryid.as_ref(),
                )
            })
            .collect();
        for result in &results {
            // As large as what the client sent or was sent before, and a little more.
            if let Ok(letter) = self.letter(result) {
                self.enqueue_own(session, letter, now.wall);
            }
        }
        Ok(Some(chosen.fin.to_element()))
    }

    fn result(&self, entry: &Chosen, owner: &BareJid, to: &Jid, queryid: Option<&Text>) -> Element {
        let limits = self.limits.outbound();
        let stanza = parse_element(&entry.stanza, &Scope::client(), &limits);
        let result = ArchiveResult {
            queryid: queryid.cloned(),
            id: written(entry.id),
            forwarded: Forwarded {
                delay: Some(Delay {
                    from: None,
                    stamp: stamp(entry.at),
                    reason: None,
                }),
                element: stanza.ok(),
            },
        };
        let mut message = Message::chat(to.clone()).with_payload(result.to_element());
        message.kind = MessageType::Normal;
        message.header.from = Some(owner.clone().into());
        message.to_element()
    }

    /// XEP-0441 §2.
    pub(super) fn archive_prefs(
        &mut self,
        local: &str,
        set: bool,
        prefs: &Element,
    ) -> Result<Option<Element>, StanzaError> {
        let wanted = Prefs::from_element(prefs).map_err(|_| bad_request())?;
        let archive = self.accounts.get_mut(local).map(|a| &mut a.archive);
        let archive = archive.ok_or_else(bad_request)?;
        if set {
            if wanted.always.len() > LISTED || wanted.never.len() > LISTED {
                return Err(refusal(DefinedCondition::ResourceConstraint));
            }
            archive.default = Some(wanted.default.ok_or_else(bad_request)?);
            archive.always = wanted.always;
            archive.never = wanted.never;
        }
        Ok(Some(archive.prefs().to_element()))
    }
}

/// A message of a page.
struct Chosen {
    id: u64,
    at: SystemTime,
    stanza: Box<[u8]>,
}

struct Selection {
    entries: Vec<Chosen>,
    fin: Fin,
}

fn select(
    archive: &Archive,
    owner: &BareJid,
    filter: &Filter,
    page: Option<&PageRequest>,
) -> Result<Selection, StanzaError> {
    let time = |text: &Option<Text>| match text {
        Some(text) => datetime::unix_ms(text).map(Some).ok_or_else(bad_request),
        None => Ok(None),
    };
    let (start, end) = (time(&filter.start)?, time(&filter.end)?);
    let meets = |entry: &Archived| {
        let at = i64::try_from(milliseconds(entry.at)).unwrap_or(i64::MAX);
        start.is_none_or(|start| at >= start)
            && end.is_none_or(|end| at <= end)
            && filter
                .with
                .as_ref()
                .is_none_or(|with| entry.is_with(with, owner))
    };
    let matching: Vec<&Archived> = archive.entries.iter().filter(|e| meets(e)).collect();
    let default = PageRequest::default();
    let page = page.unwrap_or(&default);
    let known = |id: &Text| archive.position(id).and_then(|at| archive.entries.get(at));
    let missing = || refusal(DefinedCondition::ItemNotFound);
    // The part of the matches that the page is of, and whether it is its end.
    let (from, to, backwards) = match &page.position {
        Position::First => (0, matching.len(), false),
        Position::Last => (0, matching.len(), true),
        Position::After(id) => {
            let id = known(id).ok_or_else(missing)?.id;
            (
                matching.partition_point(|e| e.id <= id),
                matching.len(),
                false,
            )
        }
        Position::Before(id) => {
            let id = known(id).ok_or_else(missing)?.id;
            (0, matching.partition_point(|e| e.id < id), true)
        }
        Position::Index(_) => return Err(refusal(DefinedCondition::FeatureNotImplemented)),
    };
    let most = page.max.map_or(PAGE, |max| (max as usize).min(PAGE));
    let part = matching.get(from..to).unwrap_or_default();
    let mut bytes = 0;
    let mut fits = |entry: &&&Archived| {
        let first = bytes == 0;
        bytes += entry.stanza.len();
        first || bytes <= PAGE_BYTES
    };
    let count = match backwards {
        true => part.iter().rev().take(most).take_while(&mut fits).count(),
        false => part.iter().take(most).take_while(&mut fits).count(),
    };
    let begin = if backwards { part.len() - count } else { 0 };
    let chosen = part.get(begin..begin + count).unwrap_or_default();
    let range = chosen
        .first()
        .zip(chosen.last())
        .map(|(first, last)| Range {
            first: written(first.id),
            index: u32::try_from(from + begin).ok(),
            last: written(last.id),
        });
    let entries = chosen.iter().map(|e| Chosen {
        id: e.id,
        at: e.at,
        stanza: e.stanza.clone(),
    });
    Ok(Selection {
        entries: entries.collect(),
        fin: Fin {
            complete: count == part.len(),
            stable: true,
            page: Page {
                range,
                count: u32::try_from(matching.len()).ok(),
            },
        },
    })
}

fn refusal(condition: DefinedCondition) -> StanzaError {
    let kind = match condition {
        DefinedCondition::ResourceConstraint => ErrorType::Wait,
        _ => ErrorType::Cancel,
    };
    StanzaError::new(kind, condition)
}

fn bad_request() -> StanzaError {
    StanzaError::new(ErrorType::Modify, DefinedCondition::BadRequest)
}
