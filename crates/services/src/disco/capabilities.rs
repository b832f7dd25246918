//! What others can: what their presence claims (XEP-0115), the answers that were found to
//! fit such claims, and who is being asked. No clock and no I/O; `state` sends and keeps.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use stanchion_stanza::payload::caps::{Caps, CapsError};
use stanchion_stanza::payload::disco::DiscoInfo;
use stanchion_stanza::payload::forms::Form;
use stanchion_stanza::stanza::PresenceType;
use stanchion_stanza::{Element, Jid, Payload as _, Presence, Text};

use crate::request::{MOST as WAITERS, Request, RequestError};
use crate::row;
use crate::service::Change;
use crate::waiter::Waiter;

/// Addresses whose claims are remembered; beyond them each is asked each time.
const CLAIMS: usize = 4096;
/// Answers that are kept for everybody; beyond them the one that was used longest ago goes.
const KNOWN: usize = 512;
/// Answers that are remembered for one address alone; beyond them it is asked each time.
const ALONE: usize = 256;
/// Bytes of a claim; a longer one is none.
const CLAIM: usize = 1024;
/// Bytes of an answer that is remembered.
const REMEMBERED: usize = 16 * 1024;
/// The hash that everybody knows (§8.1), and the only one that is believed.
const SHA1: &str = "sha-1";

/// Who wants to know what somebody is.
pub(super) type Asker = Waiter<Result<Arc<DiscoInfo>, RequestError>>;

#[derive(Debug)]
struct Known {
    info: Arc<DiscoInfo>,
    /// When it was used last, counted in uses.
    used: u64,
}

/// Somebody whom somebody asks about.
#[derive(Debug, Default)]
struct LookUp {
    askers: Vec<Asker>,
    /// The request; none while another address is asked for the same claim.
    tag: Option<u64>,
}

/// A request under way.
#[derive(Debug)]
struct Asked {
    jid: Jid,
    claim: Option<Caps>,
}

/// What others can.
#[derive(Debug, Default)]
pub(super) struct Capabilities {
    claims: HashMap<Jid, Caps>,
    /// By the verification string of SHA-1.
    known: HashMap<Text, Known>,
    alone: HashMap<Jid, Arc<DiscoInfo>>,
    look_ups: BTreeMap<Jid, LookUp>,
    asked: BTreeMap<u64, Asked>,
    askers: usize,
    uses: u64,
    next: u64,
    requests: Vec<(u64, Request)>,
    changes: Vec<Change>,
}

impl Capabilities {
    /// A row of an earlier life; one that does not fit its name is left out.
    pub(super) fn restore(&mut self, key: &str, value: &[u8]) {
        let info = row::read(value).and_then(|e| DiscoInfo::from_element(&e).ok());
        let ver = key.strip_prefix(SHA1).map(str::trim_start);
        let ver = ver.and_then(|ver| Text::new(ver).ok());
        let (Some(info), Some(ver)) = (info, ver) else {
            return;
        };
        if self.known.len() < KNOWN && caps(ver.clone()).verify(&info) {
            let info = Arc::new(info);
            self.known.insert(ver, Known { info, used: 0 });
        }
    }

    /// What somebody's presence claims.
    pub(super) fn heard(&mut self, presence: &Presence) {
        let Some(from) = &presence.header.from else {
            return;
        };
        let claim = match presence.kind {
            // One without a hash is of an older form (§4), and says nothing.
            PresenceType::Available => presence.payload::<Caps>().ok().flatten(),
            PresenceType::Unavailable | PresenceType::Error => None,
            _ => return,
        };
        let claim = claim.filter(|c| c.hash.len() + c.node.len() + c.ver.len() <= CLAIM);
        if self.claims.get(from) == claim.as_ref() {
            return;
        }
        self.alone.remove(from);
        match claim {
            Some(claim) if self.claims.len() < CLAIMS || self.claims.contains_key(from) => {
                self.claims.insert(from.clone(), claim);
            }
            _ => {
                self.claims.remove(from);
            }
        }
    }

    /// What somebody's presence claims, and whether that is known to be true of the claim.
    pub(super) fn claim(&self, jid: &Jid) -> Option<(Caps, bool)> {
        let claim = self.claims.get(jid)?;
        let verified = verifiable(claim).is_some_and(|ver| self.known.contains_key(ver));
        Some((claim.clone(), verified))
    }

    /// A new session: who is there is told anew.
    pub(super) fn forget_claims(&mut self) {
        self.claims.clear();
        self.alone.clear();
    }

    /// Tells what `jid` is, now or when it has answered.
    pub(super) fn look_up(&mut self, jid: Jid, asker: Asker) {
        if let Some(info) = self.of(&jid) {
            return asker.answer(Ok(info));
        }
        if self.askers >= WAITERS {
            return asker.answer(Err(RequestError::TooMany));
        }
        self.askers += 1;
        let look_up = self.look_ups.entry(jid.clone()).or_default();
        look_up.askers.push(asker);
        if look_up.askers.len() == 1 {
            self.begin(&jid);
        }
    }

    /// What is known of that address.
    fn of(&mut self, jid: &Jid) -> Option<Arc<DiscoInfo>> {
        if let Some(info) = self.alone.get(jid) {
            return Some(Arc::clone(info));
        }
        let ver = verifiable(self.claims.get(jid)?)?;
        let known = self.known.get_mut(ver)?;
        self.uses += 1;
        known.used = self.uses;
        Some(Arc::clone(&known.info))
    }

    /// Asks, unless somebody is being asked who claims the same.
    fn begin(&mut self, jid: &Jid) {
        let claim = self.claims.get(jid).cloned();
        let ver = claim.as_ref().and_then(verifiable);
        let same = |asked: &Asked| asked.claim.as_ref().and_then(verifiable) == ver;
        if ver.is_some() && self.asked.values().any(same) {
            return;
        }
        // §6.2: the node is for those who know what they claim by its name alone.
        let node = claim.as_ref().map(|c| format!("{}#{}", c.node, c.ver));
        let query = DiscoInfo {
            node: node.and_then(|node| Text::new(node).ok()),
            ..DiscoInfo::default()
        };
        self.next += 1;
        let tag = self.next;
        if let Some(look_up) = self.look_ups.get_mut(jid) {
            look_up.tag = Some(tag);
        }
        let request = Request::get(Some(jid.clone()), query.to_element());
        self.requests.push((tag, request));
        let jid = jid.clone();
        self.asked.insert(tag, Asked { jid, claim });
    }

    /// What a request brought.
    pub(super) fn answered(&mut self, tag: u64, answer: Result<Option<Element>, RequestError>) {
        let Some(asked) = self.asked.remove(&tag) else {
            return;
        };
        let answer = answer.and_then(|info| match info.as_ref().map(DiscoInfo::from_element) {
            Some(Ok(info)) => Ok(info),
            Some(Err(error)) => Err(RequestError::Unreadable(error.to_string())),
            None => Err(RequestError::Unreadable("<query/> is missing".to_owned())),
        });
        let answer = answer.and_then(|info| self.judge(&asked, info));
        if let Some(look_up) = self.look_ups.remove(&asked.jid) {
            self.tell(look_up, &answer);
        }
        // Who waited for this answer has it, if it fits; else the next one is asked.
        let waiting = self.look_ups.iter().filter(|(_, l)| l.tag.is_none());
        let waiting: Vec<Jid> = waiting.map(|(jid, _)| jid.clone()).collect();
        for jid in waiting {
            match self.of(&jid) {
                Some(info) => {
                    if let Some(look_up) = self.look_ups.remove(&jid) {
                        self.tell(look_up, &Ok(info));
                    }
                }
                None => self.begin(&jid),
            }
        }
    }

    fn tell(&mut self, look_up: LookUp, answer: &Result<Arc<DiscoInfo>, RequestError>) {
        self.askers -= look_up.askers.len();
        for asker in look_up.askers {
            asker.answer(answer.clone());
        }
    }

    /// §5.4: whether an answer fits the claim, and for whom it counts.
    fn judge(
        &mut self,
        asked: &Asked,
        mut info: DiscoInfo,
    ) -> Result<Arc<DiscoInfo>, RequestError> {
        info.node = None;
        let Some(claim) = &asked.claim else {
            return Ok(Arc::new(info));
        };
        let row = row::write(&info.to_element()).filter(|row| row.len() <= REMEMBERED);
        // Read anew, so that it holds on to nothing else of the stanza that it came in.
        let small = row.as_deref().and_then(row::read);
        let small = small.and_then(|info| DiscoInfo::from_element(&info).ok());
        let remembered = small.is_some();
        info = small.unwrap_or(info);
        if let Some(ver) = verifiable(claim) {
            match Caps::of(claim.node.clone(), &info) {
                Err(CapsError::Duplicate) => {
                    return Err(RequestError::Unreadable(CapsError::Duplicate.to_string()));
                }
                Ok(found) if found.ver == *ver => {
                    // What the hash does not cover is the answerer's own.
                    info.extensions.retain(is_hashed);
                    let info = Arc::new(info);
                    if remembered {
                        self.know(ver.clone(), Arc::clone(&info));
                    }
                    return Ok(info);
                }
                // Somebody else who claims the same may have the right answer.
                _ => tracing::debug!(jid = %asked.jid, "capabilities that do not fit their hash"),
            }
        }
        let info = Arc::new(info);
        let stands = self.claims.get(&asked.jid) == Some(claim);
        if remembered && stands && self.alone.len() < ALONE {
            self.alone.insert(asked.jid.clone(), Arc::clone(&info));
        }
        Ok(info)
    }

    fn know(&mut self, ver: Text, info: Arc<DiscoInfo>) {
        if self.known.len() >= KNOWN && !self.known.contains_key(&ver) {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.used);
            if let Some(ver) = oldest.map(|(ver, _)| ver.clone()) {
                self.known.remove(&ver);
                self.changes.push(Change::Delete { key: key_of(&ver) });
            }
        }
        if let Some(value) = row::write(&info.to_element()) {
            let key = key_of(&ver);
            self.changes.push(Change::Put { key, value });
        }
        self.uses += 1;
        let used = self.uses;
        self.known.insert(ver, Known { info, used });
    }

    /// What is to be asked.
    pub(super) fn take_requests(&mut self) -> Vec<(u64, Request)> {
        std::mem::take(&mut self.requests)
    }

    /// What is to be kept.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }
}

/// The string of a claim that can be verified.
fn verifiable(claim: &Caps) -> Option<&Text> {
    (claim.hash == SHA1).then_some(&claim.ver)
}

fn caps(ver: Text) -> Caps {
    Caps {
        hash: Text::from_static(SHA1),
        node: Text::from_static(""),
        ver,
    }
}

fn key_of(ver: &Text) -> String {
    format!("{SHA1} {ver}")
}

/// Whether the hash covers an extension: a form that says what it is about (§5.4, rule
/// 3.6).
fn is_hashed(extension: &Element) -> bool {
    Form::from_element(extension).is_ok_and(|form| form.form_type().is_some())
}
