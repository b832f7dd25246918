//! The model against what it models: counts, resumption, storage.

use super::*;
use stanchion_stanza::payload::sm;
use stanchion_stanza::{Message, Presence};

const SECOND: Duration = Duration::from_secs(1);

fn server(behaviour: Behaviour) -> Server {
    Server::new(behaviour, Random::new(1))
}

fn login(server: &mut Server, connection: Connection, jid: &str, resume: Option<Resume>) {
    let jid = jid.parse().unwrap();
    let login = Login {
        jid,
        manage: true,
        resume,
        node: 0,
    };
    server.receive(Duration::ZERO, connection, ToServer::Login(login));
    let available = Presence::available().to_element();
    server.receive(Duration::ZERO, connection, ToServer::Element(available));
}

fn say(server: &mut Server, connection: Connection, to: &str, body: &'static str) {
    let message = Message::chat(to.parse().unwrap()).with_body(Text::from_static(body));
    let packet = ToServer::Element(message.to_element());
    server.receive(Duration::ZERO, connection, packet);
}

/// The bodies sent to a connection; all else is passed over.
fn bodies(server: &mut Server, connection: Connection) -> Vec<String> {
    std::iter::from_fn(|| server.poll())
        .filter_map(|(to, packet)| match packet {
            ToClient::Element(e) if to == connection => e
                .child("body", stanchion_stanza::ns::CLIENT)
                .map(|b| b.text().into_owned()),
            _ => None,
        })
        .collect()
}

#[test]
fn what_is_not_acknowledged_is_sent_again_on_resumption() {
    let mut server = server(Behaviour::default());
    login(&mut server, 1, "a@x/1", None);
    login(&mut server, 2, "b@x/1", None);
    for body in ["one", "two", "three"] {
        say(&mut server, 1, "b@x", body);
    }
    assert_eq!(bodies(&mut server, 2), ["one", "two", "three"]);
    server.disconnected(SECOND, 2);
    let previd = id_of(2);
    // The presence of the other, and a message.
    login(&mut server, 3, "b@x/1", Some(Resume { previd, h: 2 }));
    assert_eq!(bodies(&mut server, 3), ["two", "three"]);
    assert!(server.violations().is_empty());
}

#[test]
fn a_count_that_is_too_high_is_noted() {
    let mut server = server(Behaviour::default());
    login(&mut server, 1, "a@x/1", None);
    let ack = sm::Ack { h: 1 }.to_element();
    server.receive(SECOND, 1, ToServer::Element(ack));
    assert_eq!(server.violations().len(), 1);
}

#[test]
fn a_session_that_expires_leaves_its_messages_to_the_next() {
    let mut server = server(Behaviour::default());
    login(&mut server, 1, "a@x/1", None);
    login(&mut server, 2, "b@x/1", None);
    say(&mut server, 1, "b@x", "one");
    server.disconnected(SECOND, 2);
    bodies(&mut server, 2);
    assert_eq!(server.next_timeout(), Some(301 * SECOND));
    server.tick(301 * SECOND);
    assert_eq!(server.undelivered(), 1);
    login(&mut server, 3, "b@x/1", None);
    assert_eq!(bodies(&mut server, 3), ["one"]);
}

#[test]
fn a_kill_takes_sessions_and_what_was_written_last() {
    let mut server = server(Behaviour {
        offline_unsynced: 2 * SECOND,
        ..Behaviour::default()
    });
    login(&mut server, 1, "a@x/1", None);
    say(&mut server, 1, "b@x", "synced");
    server.kill(2 * SECOND);
    assert_eq!(server.undelivered(), 1);
    login(&mut server, 2, "a@x/1", None);
    say(&mut server, 2, "b@x", "unsynced");
    server.kill(SECOND);
    login(&mut server, 3, "b@x/1", None);
    assert_eq!(bodies(&mut server, 3), Vec::<String>::new());
}

#[test]
fn a_session_that_never_acknowledges_is_ended() {
    let mut server = server(Behaviour {
        queue: 2,
        ..Behaviour::default()
    });
    login(&mut server, 1, "a@x/1", None);
    login(&mut server, 2, "b@x/1", None);
    for body in ["one", "two", "three"] {
        say(&mut server, 1, "b@x", body);
    }
    let closed = std::iter::from_fn(|| server.poll())
        .any(|(to, packet)| to == 2 && matches!(packet, ToClient::Close(Closing::Policy)));
    assert!(closed);
    assert_eq!(server.undelivered(), 3);
}

#[test]
fn a_session_that_forgets_its_oldest_stanza_lives_on() {
    let mut server = server(Behaviour {
        queue: 2,
        overflow: Overflow::DropsOldest,
        ..Behaviour::default()
    });
    login(&mut server, 1, "a@x/1", None);
    login(&mut server, 2, "b@x/1", None);
    for body in ["one", "two", "three", "four"] {
        say(&mut server, 1, "b@x", body);
    }
    // The presence of the other is forgotten, too.
    server.disconnected(SECOND, 2);
    bodies(&mut server, 2);
    let previd = id_of(2);
    login(&mut server, 3, "b@x/1", Some(Resume { previd, h: 1 }));
    assert_eq!(bodies(&mut server, 3), ["three", "four"]);
    assert!(server.violations().is_empty());
}

#[test]
fn what_is_for_another_domain_leaves_and_may_come_back() {
    let mut server = server(Behaviour::default()).serving("x");
    login(&mut server, 1, "a@x/1", None);
    bodies(&mut server, 1);
    say(&mut server, 1, "b@y", "one");
    let message = server.poll_remote().unwrap();
    assert_eq!(message.attr("from"), Some("a@x/1"));
    server.undeliverable(SECOND, message, DefinedCondition::RemoteServerTimeout);
    // The error carries what was sent.
    assert_eq!(bodies(&mut server, 1), ["one"]);
    let mut other = Server::new(Behaviour::default(), Random::new(1)).serving("y");
    say(&mut server, 1, "b@y", "two");
    other.receive_remote(SECOND, server.poll_remote().unwrap());
    assert_eq!(other.undelivered(), 1);
}

#[test]
fn a_killed_node_takes_its_sessions_only() {
    let mut server = server(Behaviour::default());
    for (connection, node, jid) in [(1, 0, "a@x/1"), (2, 1, "b@x/1")] {
        let login = Login {
            jid: jid.parse().unwrap(),
            manage: true,
            resume: None,
            node,
        };
        server.receive(Duration::ZERO, connection, ToServer::Login(login));
    }
    server.kill_node(1);
    say(&mut server, 1, "b@x", "one");
    assert_eq!(server.undelivered(), 1);
    // Another node takes over.
    login(
        &mut server,
        3,
        "b@x/1",
        Some(Resume {
            previd: id_of(2),
            h: 0,
        }),
    );
    assert_eq!(bodies(&mut server, 3), ["one"]);
}

#[test]
fn offline_storage_that_is_wiped_on_write_keeps_nothing_for_the_next() {
    let mut server = server(Behaviour {
        offline_wiped: true,
        ..Behaviour::default()
    });
    login(&mut server, 1, "a@x/1", None);
    say(&mut server, 1, "b@x", "one");
    login(&mut server, 2, "b@x/1", None);
    server.disconnected(SECOND, 2);
    server.tick(301 * SECOND);
    assert_eq!((server.undelivered(), server.mishaps().wiped), (0, 1));
}

#[test]
fn a_shutdown_tells_every_stream() {
    let mut server = server(Behaviour::default());
    login(&mut server, 1, "a@x/1", None);
    server.shutdown(SECOND);
    let told = std::iter::from_fn(|| server.poll())
        .any(|(_, packet)| matches!(packet, ToClient::Close(Closing::Shutdown)));
    assert!(told);
}
