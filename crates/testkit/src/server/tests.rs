//! The model against what it models: counts, resumption, storage.

use super::*;
use stanchion_stanza::payload::sm;

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
    login(&mut server, 3, "b@x/1", Some(Resume { previd, h: 1 }));
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
        .any(|(to, packet)| to == 2 && matches!(packet, ToClient::Close));
    assert!(closed);
    assert_eq!(server.undelivered(), 3);
}
