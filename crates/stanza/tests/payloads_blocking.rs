//! Blocking (XEP-0191): read, written, refused.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod given;
mod laws;

use given::examples::{child_lacks, no_address, same};
use given::values;
use laws::travels;
use proptest::collection::vec;
use proptest::prelude::*;
use stanchion_stanza::Jid;
use stanchion_stanza::payload::Payload as _;
use stanchion_stanza::payload::blocking::{Block, BlockList, Blocked, Unblock};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};

fn jids(all: &[&str]) -> Vec<Jid> {
    all.iter().map(|jid| jid.parse().unwrap()).collect()
}

#[test]
fn blocking_is_read_as_in_xep_0191() {
    let two = "<item jid='romeo@montague.example'/><item jid='capulet.example'/>";
    let all = jids(&["romeo@montague.example", "capulet.example"]);
    same(
        "<blocklist xmlns='urn:xmpp:blocking'/>",
        BlockList::default(),
    );
    same(
        &format!("<blocklist xmlns='urn:xmpp:blocking'>{two}</blocklist>"),
        BlockList::of(all.clone()),
    );
    same(
        &format!("<block xmlns='urn:xmpp:blocking'>{two}</block>"),
        Block::of(all.clone()),
    );
    same(
        &format!("<unblock xmlns='urn:xmpp:blocking'>{two}</unblock>"),
        Unblock::of(all),
    );
    same("<unblock xmlns='urn:xmpp:blocking'/>", Unblock::default());
    same("<blocked xmlns='urn:xmpp:blocking:errors'/>", Blocked);
}

#[test]
fn a_broken_item_is_refused_and_not_taken_for_none() {
    // An order to unblock nobody is one to unblock everybody.
    child_lacks::<Unblock>(
        "<unblock xmlns='urn:xmpp:blocking'><item/></unblock>",
        "item",
        "jid",
    );
    no_address::<Block>(
        "<block xmlns='urn:xmpp:blocking'><item jid='@'/></block>",
        "item",
    );
}

#[test]
fn an_error_says_that_its_reader_is_who_blocks() {
    let mut error = StanzaError::new(ErrorType::Cancel, DefinedCondition::NotAcceptable);
    assert!(!Blocked::is_why(&error));
    error.application = Some(Box::new(Blocked.to_element()));
    assert!(Blocked::is_why(&error));
}

proptest! {
    #[test]
    fn lists_of_the_blocked_come_back_as_they_went(jids in vec(values::jid(), 0..4)) {
        travels(&BlockList::of(jids.clone()));
        travels(&Block::of(jids.clone()));
        travels(&Unblock::of(jids));
    }
}
