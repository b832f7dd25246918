//! The laws of rooms that their service lost and makes anew as we enter again.

use super::*;

const OPEN: &str = "<feature var='muc_public'/><feature var='muc_open'/>";
const CLOSED: &str = "<feature var='muc_public'/><feature var='muc_membersonly'/>";

/// In a room that said that of itself before it was entered.
fn there(options: JoinOptions, kind: &str) -> Script {
    let mut s = Script::new();
    s.up(false);
    s.join(options);
    s.wants();
    s.info(kind);
    s.wants();
    s.self_presence("me", &[110]);
    s.wants();
    s.info_after(kind);
    s
}

/// In a room that was made by us, with its defaults.
fn made(kind: &str) -> Script {
    let mut s = Script::new();
    s.up(false);
    s.join(JoinOptions::default());
    s.wants();
    s.refuse(DefinedCondition::ItemNotFound);
    s.wants();
    s.self_presence("me", &[110, 201]);
    s.wants();
    s.answer(Ok(None));
    assert_eq!(s.wants(), ["Entered", "ask query disco#info", "open false"]);
    s.info_after(kind);
    s
}

impl Script {
    /// The answer to what was asked before the room was opened, which then is.
    fn info_after(&mut self, kind: &str) {
        self.entered(true);
        self.tag -= 1;
        self.info(kind);
        assert_eq!(self.wants(), Vec::<String>::new());
    }

    /// In a new session; the room is no more, and made anew.
    fn is_lost(&mut self) -> Vec<String> {
        self.state.handle(self.now(), Input::Down);
        self.up(false);
        self.wants();
        self.refuse(DefinedCondition::ItemNotFound);
        self.wants();
        self.self_presence("me", &[110, 201]);
        self.wants()
    }

    /// It says that it was configured.
    fn is_configured(&mut self) {
        self.hears(&format!(
            "<message from='{ROOM}' type='groupchat'>\
             <x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x></message>"
        ));
        assert_eq!(self.wants(), ["Configured", "ask query disco#info"]);
    }

    /// What the next process knows of it.
    fn next_process(&mut self) -> Self {
        self.state.handle(self.now(), Input::Down);
        let mut row = None;
        loop {
            match self.state.poll_output() {
                Output::Wait(_) => break,
                Output::Keep { changes, .. } => row = changes.into_iter().last(),
                _ => {}
            }
        }
        let Some(crate::service::Change::Put { key, value }) = row else {
            panic!("nothing is kept");
        };
        let mut next = Self::new();
        next.state.restore(&key, &value);
        next.wants();
        next
    }
}

const STAYS_LOCKED: [&str; 5] = [
    "Arrived",
    "Entered",
    "ask query disco#info",
    "open false",
    "Locked",
];

#[test]
fn a_room_that_we_made_instantly_is_unlocked_again_when_it_was_lost() {
    // Whether or not it says what it is.
    for kind in ["", OPEN] {
        let mut s = made(kind);
        for _ in 0..2 {
            assert_eq!(s.is_lost(), ["Arrived", "ask query muc#owner"]);
            assert_eq!(s.state.nick(&room()), None, "not before others can come");
            s.answer(Ok(None));
            assert_eq!(s.wants(), ["Entered", "ask query disco#info", "open false"]);
            s.info_after(kind);
        }
        // By the next process, too.
        let mut next = s.next_process();
        assert_eq!(next.is_lost(), ["Arrived", "ask query muc#owner"]);
    }
}

#[test]
fn a_room_of_somebody_else_is_unlocked_only_if_it_then_is_what_it_was() {
    let mut s = there(JoinOptions::default(), OPEN);
    let mut s = s.next_process();
    assert_eq!(s.is_lost(), ["Arrived", "ask query disco#info"]);
    s.info("<feature var='muc_open'/><feature var='x'/><feature var='muc_public'/>");
    assert_eq!(s.wants(), ["ask query muc#owner"]);
    s.answer(Ok(None));
    assert_eq!(s.wants(), ["Entered", "ask query disco#info", "open false"]);
    // It was for members, and would be for everybody.
    let mut s = there(JoinOptions::default(), CLOSED);
    assert_eq!(s.is_lost(), ["Arrived", "ask query disco#info"]);
    s.info(OPEN);
    assert_eq!(s.wants(), STAYS_LOCKED[1..]);
    assert_eq!(s.state.nick(&room()), Some("me"), "for who configures it");
    // What it is cannot be heard, or it never said what it was.
    let mut s = there(JoinOptions::default(), OPEN);
    s.is_lost();
    s.refuse(DefinedCondition::Forbidden);
    assert_eq!(s.wants(), STAYS_LOCKED[1..]);
    let mut s = there(JoinOptions::default(), "");
    assert_eq!(s.is_lost(), STAYS_LOCKED);
}

#[test]
fn a_reserved_room_and_one_with_a_password_stay_locked_when_they_were_lost() {
    let password = JoinOptions::default().password(Text::from_static("sesame"));
    for options in [JoinOptions::default().reserved(), password] {
        let mut s = there(options, OPEN);
        assert_eq!(s.is_lost(), STAYS_LOCKED);
        // Nor does the next process forget that.
        let mut s = s.next_process();
        assert_eq!(s.is_lost(), STAYS_LOCKED);
    }
}

#[test]
fn a_room_that_was_configured_since_we_made_it_stays_locked_unless_it_is_the_same() {
    let mut s = made(OPEN);
    s.is_configured();
    s.info(CLOSED);
    assert_eq!(s.is_lost(), ["Arrived", "ask query disco#info"]);
    s.info(OPEN);
    assert_eq!(s.wants(), STAYS_LOCKED[1..]);
    // While we were away.
    let mut s = made(OPEN);
    s.state.handle(s.now(), Input::Down);
    s.up(false);
    s.wants();
    s.info(CLOSED);
    s.wants();
    s.self_presence("me", &[110]);
    s.wants();
    assert_eq!(s.is_lost(), ["Arrived", "ask query disco#info"]);
    s.info(OPEN);
    assert_eq!(s.wants(), STAYS_LOCKED[1..]);
    // An answer from before the last change says nothing.
    let mut s = made(OPEN);
    s.is_configured();
    let first = s.tag;
    s.hears(&format!(
        "<message from='{ROOM}' type='groupchat'>\
         <x xmlns='http://jabber.org/protocol/muc#user'><status code='172'/></x></message>"
    ));
    assert_eq!(s.wants(), ["Configured"], "one question at a time");
    s.tag = first;
    s.info(OPEN);
    assert_eq!(s.wants(), ["ask query disco#info"]);
    s.info(CLOSED);
    s.is_lost();
    s.info(OPEN);
    assert_eq!(s.wants(), STAYS_LOCKED[1..]);
}

#[test]
fn a_lost_room_that_cannot_be_unlocked_is_told_and_not_taken_for_open() {
    let mut s = made(OPEN);
    s.is_lost();
    s.refuse(DefinedCondition::Forbidden);
    assert_eq!(s.wants(), STAYS_LOCKED[1..]);
    // What it says while it is locked is not what it will be.
    s.info_after(OPEN);
    assert_eq!(s.is_lost(), STAYS_LOCKED);
}
