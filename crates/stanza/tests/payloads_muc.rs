//! Multi-user chat (XEP-0045): read, written, refused.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod given;
mod laws;

use given::examples::{child_lacks, invalid, no_address, read, same, text};
use given::values;
use laws::travels;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stanchion_stanza::payload::PayloadError;
use stanchion_stanza::payload::conference::DirectInvite;
use stanchion_stanza::payload::forms::{Form, FormType};
use stanchion_stanza::payload::muc::{
    Actor, Admin, Affiliation, AllowPrivateMessages, Continue, Decline, Destroy, History, Invite,
    Item, Join, Owner, Password, Role, RoomConfig, Status, User, WhoIs,
};
use stanchion_stanza::{Jid, Text};

fn join(content: &str) -> String {
    format!("<x xmlns='http://jabber.org/protocol/muc'>{content}</x>")
}

fn user(content: &str) -> String {
    format!("<x xmlns='http://jabber.org/protocol/muc#user'>{content}</x>")
}

fn admin(content: &str) -> String {
    format!("<query xmlns='http://jabber.org/protocol/muc#admin'>{content}</query>")
}

fn owner(content: &str) -> String {
    format!("<query xmlns='http://jabber.org/protocol/muc#owner'>{content}</query>")
}

fn jid(s: &str) -> Option<Jid> {
    Some(s.parse().unwrap())
}

#[test]
fn a_room_is_entered_with_a_password_and_some_history() {
    same(&join(""), Join::default());
    let history = History {
        maxchars: Some(65_000),
        maxstanzas: Some(20),
        seconds: Some(180),
        since: Some(text("2024-05-01T00:00:00Z")),
    };
    same(
        &join(
            "<history maxchars='65000' maxstanzas='20' seconds='180' \
             since='2024-05-01T00:00:00Z'/><password>cauldron</password>",
        ),
        Join {
            history: Some(history),
            password: Some(Password(text("cauldron"))),
        },
    );
    for limit in ["maxchars", "maxstanzas", "seconds"] {
        for number in ["-1", "all", ""] {
            let broken = join(&format!("<history {limit}='{number}'/>"));
            invalid::<Join>(&broken, "history", limit);
        }
    }
}

#[test]
fn a_password_is_not_shown() {
    let password = Some(Password(text("cauldron")));
    let join = Join {
        history: None,
        password: password.clone(),
    };
    let config = RoomConfig {
        password,
        ..RoomConfig::default()
    };
    for shown in [
        format!("{join:?}"),
        format!("{config:?}"),
        format!("{:?}", config.to_form(FormType::Form)),
        format!("{:?}", config.to_form(FormType::Submit)),
    ] {
        assert!(!shown.contains("cauldron"), "{shown}");
    }
}

#[test]
fn a_presence_says_who_somebody_is_and_what_happened() {
    let me = Item {
        affiliation: Some(Affiliation::Owner),
        role: Some(Role::Moderator),
        jid: jid("me@example.org/phone"),
        ..Item::default()
    };
    let entered = User {
        items: vec![me],
        statuses: vec![
            Status::SelfPresence,
            Status::RoomCreated,
            Status::Other(999),
        ],
        ..User::default()
    };
    same(
        &user(
            "<item affiliation='owner' role='moderator' jid='me@example.org/phone'/>\
             <status code='110'/><status code='201'/><status code='999'/>",
        ),
        entered.clone(),
    );
    assert!(entered.has(Status::SelfPresence) && !entered.has(Status::Kicked));
    let kicked = Item {
        affiliation: Some(Affiliation::None),
        role: Some(Role::None),
        nick: Some(text("pest")),
        actor: Some(Actor {
            jid: jid("me@example.org"),
            nick: Some(text("me")),
        }),
        reason: Some(text("Noise")),
        ..Item::default()
    };
    same(
        &user(
            "<item affiliation='none' role='none' nick='pest'>\
             <actor jid='me@example.org' nick='me'/><reason>Noise</reason></item>\
             <status code='307'/>",
        ),
        User {
            items: vec![kicked],
            statuses: vec![Status::Kicked],
            ..User::default()
        },
    );
}

#[test]
fn every_role_affiliation_and_status_has_its_name() {
    for role in Role::ALL {
        let item = Item {
            role: Some(*role),
            ..Item::default()
        };
        let xml = admin(&format!("<item role='{}'/>", role.as_str()));
        same(&xml, Admin { items: vec![item] });
    }
    for affiliation in Affiliation::ALL {
        let item = Item {
            affiliation: Some(*affiliation),
            ..Item::default()
        };
        let xml = admin(&format!("<item affiliation='{}'/>", affiliation.as_str()));
        same(&xml, Admin { items: vec![item] });
    }
    for code in 0..=u16::MAX {
        let status = Status::from_code(code);
        assert_eq!(status.is_some(), (100..=999).contains(&code));
        assert_eq!(status.map_or(code, Status::code), code);
    }
    for status in Status::ALL {
        assert_eq!(Status::from_code(status.code()), Some(*status));
        assert!(!matches!(status, Status::Other(_)));
    }
    assert_eq!(Status::ALL.len(), 19);
}

#[test]
fn an_invitation_goes_through_the_room_and_may_be_declined() {
    let invite = Invite {
        to: jid("you@example.org"),
        reason: Some(text("Come")),
        continues: Some(Continue {
            thread: Some(text("t7")),
        }),
        ..Invite::default()
    };
    same(
        &user(
            "<invite to='you@example.org'><reason>Come</reason><continue thread='t7'/></invite>\
             <password>cauldron</password>",
        ),
        User {
            invites: vec![invite],
            password: Some(Password(text("cauldron"))),
            ..User::default()
        },
    );
    let decline = Decline {
        from: jid("you@example.org"),
        reason: Some(text("Busy")),
        ..Decline::default()
    };
    same(
        &user("<decline from='you@example.org'><reason>Busy</reason></decline>"),
        User {
            decline: Some(decline),
            ..User::default()
        },
    );
}

#[test]
fn what_a_room_says_amiss_is_refused() {
    for (content, kind, what) in [
        ("<item role='king'/>", "item", "role"),
        ("<item affiliation='king'/>", "item", "affiliation"),
        ("<status code='99'/>", "status", "code"),
        ("<status code='1000'/>", "status", "code"),
        ("<status code='x'/>", "status", "code"),
    ] {
        invalid::<User>(&user(content), kind, what);
    }
    child_lacks::<User>(&user("<status/>"), "status", "code");
    for (content, kind) in [
        ("<item jid='@'/>", "item"),
        ("<item><actor jid='@'/></item>", "actor"),
        ("<invite to='@'/>", "invite"),
        ("<decline from='@'/>", "decline"),
        ("<destroy jid='@'/>", "destroy"),
    ] {
        no_address::<User>(&user(content), kind);
    }
    let strange = user("<nonsense/><item xmlns='urn:x' role='king'/>words");
    assert_eq!(read(&strange), Ok(User::default()));
}

#[test]
fn lists_are_asked_for_and_changed() {
    same(&admin(""), Admin::default());
    let ban = Item {
        affiliation: Some(Affiliation::Outcast),
        jid: jid("pest@example.net"),
        reason: Some(text("Noise")),
        ..Item::default()
    };
    let voice = Item {
        role: Some(Role::Participant),
        nick: Some(text("you")),
        ..Item::default()
    };
    same(
        &admin(
            "<item affiliation='outcast' jid='pest@example.net'><reason>Noise</reason></item>\
             <item role='participant' nick='you'/>",
        ),
        Admin {
            items: vec![ban, voice],
        },
    );
    invalid::<Admin>(&admin("<item role='king'/>"), "item", "role");
}

#[test]
fn an_owner_configures_and_destroys_a_room() {
    same(&owner(""), Owner::Ask);
    same(
        &owner("<x xmlns='jabber:x:data' type='submit'/>"),
        Owner::Configure(Form::new(FormType::Submit)),
    );
    same(
        &owner("<x xmlns='jabber:x:data' type='cancel'/>"),
        Owner::Configure(Form::new(FormType::Cancel)),
    );
    let destroy = Destroy {
        jid: jid("other@rooms.example.org"),
        password: Some(Password(text("cauldron"))),
        reason: Some(text("Moved")),
    };
    let xml = "<destroy jid='other@rooms.example.org'><password>cauldron</password>\
         <reason>Moved</reason></destroy>";
    same(&owner(xml), Owner::Destroy(destroy.clone()));
    let gone = User {
        items: vec![Item::default()],
        destroy: Some(destroy),
        ..User::default()
    };
    same(&user(&format!("<item/>{xml}")), gone);
    no_address::<Owner>(&owner("<destroy jid='@'/>"), "destroy");
    child_lacks::<Owner>(&owner("<x xmlns='jabber:x:data'/>"), "x", "type");
}

#[test]
fn a_configuration_is_read_by_the_names_of_the_registry() {
    let xml = "<x xmlns='jabber:x:data' type='form'>\
         <field var='FORM_TYPE' type='hidden'>\
         <value>http://jabber.org/protocol/muc#roomconfig</value></field>\
         <field var='muc#roomconfig_roomname' type='text-single'><value>Coven</value></field>\
         <field var='muc#roomconfig_persistentroom' type='boolean'><value>0</value></field>\
         <field var='muc#roomconfig_whois' type='list-single'><value>moderators</value>\
         <option><value>anyone</value></option></field>\
         <field var='muc#roomconfig_allowpm' type='list-single'><value>friends</value></field>\
         <field var='muc#roomconfig_maxusers' type='list-single'><value>none</value></field>\
         <field var='muc#maxhistoryfetch' type='text-single'><value>50</value></field>\
         <field var='muc#roomconfig_roomadmins' type='jid-multi'/></x>";
    let config = RoomConfig {
        name: Some(text("Coven")),
        persistent: Some(false),
        whois: Some(WhoIs::Moderators),
        allow_private_messages: Some(AllowPrivateMessages::Other(text("friends"))),
        max_users: Some(text("none")),
        max_history_fetch: Some(50),
        admins: Some(Vec::new()),
        ..RoomConfig::default()
    };
    assert_eq!(RoomConfig::from_form(&read(xml).unwrap()), Ok(config));
    let broken = xml.replace("<value>0<", "<value>no<");
    let invalid = PayloadError::Invalid {
        element: "field",
        what: "muc#roomconfig_persistentroom",
    };
    assert_eq!(RoomConfig::from_form(&read(&broken).unwrap()), Err(invalid));
}

fn some_text() -> impl Strategy<Value = Option<Text>> {
    option::of(values::text())
}

fn some_jid() -> impl Strategy<Value = Option<Jid>> {
    option::of(values::jid())
}

fn password() -> impl Strategy<Value = Option<Password>> {
    option::of(values::text().prop_map(Password))
}

fn item() -> impl Strategy<Value = Item> {
    let actor = (some_jid(), some_text()).prop_map(|(jid, nick)| Actor { jid, nick });
    (
        option::of(prop::sample::select(Affiliation::ALL)),
        option::of(prop::sample::select(Role::ALL)),
        some_jid(),
        (some_text(), some_text()),
        option::of(actor),
    )
        .prop_map(|(affiliation, role, jid, (nick, reason), actor)| Item {
            affiliation,
            role,
            jid,
            nick,
            actor,
            reason,
        })
}

fn destroy() -> impl Strategy<Value = Destroy> {
    (some_jid(), password(), some_text()).prop_map(|(jid, password, reason)| Destroy {
        jid,
        password,
        reason,
    })
}

fn occupant() -> impl Strategy<Value = User> {
    let continues = some_text().prop_map(|thread| Continue { thread });
    let invite = (some_jid(), some_jid(), some_text(), option::of(continues)).prop_map(
        |(from, to, reason, continues)| Invite {
            from,
            to,
            reason,
            continues,
        },
    );
    let decline = (some_jid(), some_jid(), some_text()).prop_map(|(from, to, reason)| Decline {
        from,
        to,
        reason,
    });
    let status = (100..=999u16).prop_filter_map("a code", Status::from_code);
    (
        vec(item(), 0..3),
        vec(status, 0..4),
        vec(invite, 0..2),
        option::of(decline),
        option::of(destroy()),
        password(),
    )
        .prop_map(
            |(items, statuses, invites, decline, destroy, password)| User {
                items,
                statuses,
                invites,
                decline,
                destroy,
                password,
            },
        )
}

proptest! {
    #[test]
    fn entries_come_back_as_they_went(
        limits in any::<(Option<u32>, Option<u32>, Option<u32>)>(),
        since in some_text(),
        asks in any::<bool>(),
        password in password(),
    ) {
        let (maxchars, maxstanzas, seconds) = limits;
        let history = asks.then_some(History { maxchars, maxstanzas, seconds, since });
        travels(&Join { history, password });
    }

    #[test]
    fn occupants_come_back_as_they_went(user in occupant()) {
        travels(&user);
    }

    #[test]
    fn orders_come_back_as_they_went(
        items in vec(item(), 0..4),
        form in values::form(),
        destroy in destroy(),
    ) {
        travels(&Admin { items });
        travels(&Owner::Configure(form));
        travels(&Owner::Destroy(destroy));
    }
}

// ---- direct invitations (XEP-0249) --------------------------------------------------

fn direct(attributes: &str) -> String {
    format!("<x xmlns='jabber:x:conference' {attributes}/>")
}

#[test]
fn an_invitation_without_the_room_names_it_as_in_xep_0249() {
    let room: Jid = "darkcave@macbeth.shakespeare.lit".parse().unwrap();
    same(
        &direct("jid='darkcave@macbeth.shakespeare.lit'"),
        DirectInvite::to(room.clone()),
    );
    same(
        &direct(
            "jid='darkcave@macbeth.shakespeare.lit' password='cauldron' \
             reason='Hey Hecate, this is the place for all good witches!' continue='true' \
             thread='e0ffe42b28561960c6b12b944a092794b9683a38'",
        ),
        DirectInvite {
            password: Some(Password(text("cauldron"))),
            reason: Some(text("Hey Hecate, this is the place for all good witches!")),
            continues: true,
            thread: Some(text("e0ffe42b28561960c6b12b944a092794b9683a38")),
            ..DirectInvite::to(room)
        },
    );
}

#[test]
fn an_invitation_to_nowhere_is_none() {
    assert!(read::<DirectInvite>(&direct("")).is_err());
    no_address::<DirectInvite>(&direct("jid='@'"), "x");
}

proptest! {
    #[test]
    fn direct_invitations_come_back_as_they_went(
        password in password(),
        reason in some_text(),
        continues in any::<bool>(),
        thread in some_text(),
    ) {
        let room = "room@rooms.example".parse().unwrap();
        travels(&DirectInvite { room, password, reason, continues, thread });
    }
}
