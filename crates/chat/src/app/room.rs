//! A room that we are in, or want to be in.

use std::collections::BTreeMap;

use stanchion::BareJid;

/// Members that are shown of one room.
const MEMBERS: usize = 5000;

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// The nickname.
    pub(crate) nick: String,
    /// In the words of XEP-0045, as `moderator`.
    pub(crate) role: String,
    /// Likewise, as `owner`.
    pub(crate) affiliation: String,
    /// The real address, where the room shows it.
    pub(crate) jid: Option<String>,
}

/// What happened to it.
#[derive(Debug, Clone)]
pub(crate) enum RoomChange {
    /// It is to be entered.
    Entering,
    /// We are in.
    Entered {
        /// Our nickname.
        nick: String,
        /// Who is there.
        members: Vec<Member>,
        /// Its subject.
        topic: String,
    },
    /// We are not in it at the moment, and try to enter again.
    Lost,
    /// It does not let us in, or we are out for good.
    Out {
        /// Why; none: we left.
        why: Option<String>,
    },
    /// Somebody is in, or is otherwise than before.
    Member(Member),
    /// Somebody is out.
    Gone {
        /// Who.
        nick: String,
    },
    /// Somebody has another nickname.
    Renamed {
        /// The old one.
        from: String,
        /// The new one.
        to: String,
    },
    /// The subject is another one.
    Topic(String),
    /// What was said in between cannot be read in full.
    Gap,
}

/// A room.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    /// Which.
    pub(crate) jid: BareJid,
    /// Whether we are in it at the moment.
    pub(crate) entered: bool,
    /// Why not, if that is for good.
    pub(crate) refused: Option<String>,
    /// Our nickname.
    pub(crate) nick: String,
    /// Who is there, by nickname.
    pub(crate) members: BTreeMap<String, Member>,
    /// Its subject.
    pub(crate) topic: String,
    /// Whether something that was said may be missing here.
    pub(crate) gap: bool,
}

impl Room {
    pub(super) const fn new(jid: BareJid) -> Self {
        Self {
            jid,
            entered: false,
            refused: None,
            nick: String::new(),
            members: BTreeMap::new(),
            topic: String::new(),
            gap: false,
        }
    }

    /// What people call it: the first part of its address.
    pub(crate) fn name(&self) -> &str {
        self.jid.local().unwrap_or_else(|| self.jid.domain())
    }

    /// What happened; whether the room is still one of ours.
    pub(super) fn change(&mut self, change: RoomChange) -> bool {
        match change {
            RoomChange::Entering => self.refused = None,
            RoomChange::Entered {
                nick,
                members,
                topic,
            } => {
                self.entered = true;
                self.refused = None;
                self.nick = nick;
                self.topic = topic;
                let members = members.into_iter().take(MEMBERS);
                self.members = members.map(|m| (m.nick.clone(), m)).collect();
            }
            RoomChange::Lost => {
                self.entered = false;
                self.members.clear();
            }
            RoomChange::Out { why } => {
                self.entered = false;
                self.members.clear();
                self.refused = why;
                return self.refused.is_some();
            }
            RoomChange::Member(member) => {
                if self.members.len() < MEMBERS || self.members.contains_key(&member.nick) {
                    self.members.insert(member.nick.clone(), member);
                }
            }
            RoomChange::Gone { nick } => {
                self.members.remove(&nick);
            }
            RoomChange::Renamed { from, to } => {
                if let Some(mut member) = self.members.remove(&from) {
                    member.nick.clone_from(&to);
                    self.members.insert(to.clone(), member);
                }
                if self.nick == from {
                    self.nick = to;
                }
            }
            RoomChange::Topic(topic) => self.topic = topic,
            RoomChange::Gap => self.gap = true,
        }
        true
    }
}
