//! The roster (RFC 6121 §2): read, written, refused.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod given;
mod laws;

use given::examples::{child_lacks, invalid, no_address, read, same, text};
use given::values;
use laws::travels;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stanchion_stanza::payload::roster::{Item, Roster, Subscription};

fn query(attributes: &str, items: &str) -> String {
    format!("<query xmlns='jabber:iq:roster'{attributes}>{items}</query>")
}

fn contact(jid: &str) -> Item {
    Item::new(jid.parse().unwrap())
}

#[test]
fn a_roster_is_asked_for_with_or_without_a_version() {
    same(&query("", ""), Roster::default());
    for ver in ["", "ver7"] {
        let roster = Roster {
            ver: Some(text(ver)),
            items: Vec::new(),
        };
        same(&query(&format!(" ver='{ver}'"), ""), roster);
    }
}

#[test]
fn a_roster_is_answered_with_what_the_server_knows_of_each_contact() {
    let friend = Item {
        name: Some(text("Hall lamp")),
        subscription: Some(Subscription::Both),
        groups: vec![text("Lamps"), text("Hall")],
        ..contact("lamp@example.org")
    };
    let asked = Item {
        subscription: Some(Subscription::None),
        ask: true,
        ..contact("door@example.net")
    };
    let approved = Item {
        approved: true,
        ..contact("meter@example.com")
    };
    let roster = Roster {
        ver: Some(text("ver11")),
        items: vec![friend, asked, approved],
    };
    same(
        &query(
            " ver='ver11'",
            "<item jid='lamp@example.org' name='Hall lamp' subscription='both'>\
             <group>Lamps</group><group>Hall</group></item>\
             <item jid='door@example.net' subscription='none' ask='subscribe'/>\
             <item jid='meter@example.com' approved='true'/>",
        ),
        roster,
    );
}

#[test]
fn a_contact_is_removed_by_its_subscription() {
    let removal = Item::removal("lamp@example.org".parse().unwrap());
    same(
        &query("", "<item jid='lamp@example.org' subscription='remove'/>"),
        Roster::change(removal),
    );
}

#[test]
fn every_subscription_has_its_name() {
    for subscription in Subscription::ALL {
        let item = Item {
            subscription: Some(*subscription),
            ..contact("a@example.org")
        };
        let name = subscription.as_str();
        let xml = query(
            "",
            &format!("<item jid='a@example.org' subscription='{name}'/>"),
        );
        same(&xml, Roster::change(item));
    }
}

#[test]
fn a_value_that_rfc_6121_says_to_ignore_is_as_none() {
    let plain = read::<Roster>(&query("", "<item jid='a@example.org'/>"));
    for ignored in ["subscription='all'", "ask='unsubscribe'", "approved='0'"] {
        let xml = query(
            "",
            &format!("<item jid='a@example.org' {ignored}/><other/>"),
        );
        assert_eq!(read::<Roster>(&xml), plain, "{ignored}");
    }
}

#[test]
fn a_broken_contact_is_refused() {
    child_lacks::<Roster>(&query("", "<item name='a'/>"), "item", "jid");
    no_address::<Roster>(&query("", "<item jid='@'/>"), "item");
    let approved = query("", "<item jid='a@example.org' approved='yes'/>");
    invalid::<Roster>(&approved, "item", "approved");
}

fn item() -> impl Strategy<Value = Item> {
    let subscription = option::of(prop::sample::select(Subscription::ALL));
    let name = option::of(values::text());
    let groups = vec(values::text(), 0..3);
    (
        values::jid(),
        name,
        subscription,
        any::<(bool, bool)>(),
        groups,
    )
        .prop_map(|(jid, name, subscription, (ask, approved), groups)| Item {
            jid,
            name,
            subscription,
            ask,
            approved,
            groups,
        })
}

proptest! {
    #[test]
    fn rosters_come_back_as_they_went(
        ver in option::of(values::text()),
        items in vec(item(), 0..4),
    ) {
        travels(&Roster { ver, items });
    }
}
