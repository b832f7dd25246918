//! A server without TLS: what leaves for it, and what does not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use common::{Home, run, words};

const STREAM: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' from='clear.example' id='s' version='1.0'>";

/// What the server says when it has read a piece of what the client says.
const SCRIPT: [(&str, &str); 5] = [
    (
        "<stream:stream",
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
         <mechanism>PLAIN</mechanism></mechanisms></stream:features>",
    ),
    (
        "</auth>",
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    ),
    (
        "<stream:stream",
        "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>",
    ),
    (
        "</iq>",
        "<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
         <jid>lamp@clear.example/1</jid></bind></iq>",
    ),
    ("</stream:stream>", "</stream:stream>"),
];

/// Serves one client, and gives all that it said.
fn serve(mut client: TcpStream) -> String {
    let (mut said, mut looked_at) = (String::new(), 0);
    let mut buffer = [0; 4096];
    for (awaited, answer) in SCRIPT {
        loop {
            if let Some(at) = said[looked_at..].find(awaited) {
                looked_at += at + awaited.len();
                break;
            }
            let n = client.read(&mut buffer).unwrap();
            if n == 0 {
                return said;
            }
            said += std::str::from_utf8(&buffer[..n]).unwrap();
        }
        let head = if awaited == "<stream:stream" {
            STREAM
        } else {
            ""
        };
        client
            .write_all(format!("{head}{answer}").as_bytes())
            .unwrap();
    }
    said
}

fn server() -> (String, Receiver<String>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let (tell, told) = channel();
    let thread = std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        tell.send(serve(client)).unwrap();
    });
    (place, told, thread)
}

fn send(home: &Home, place: &str, more: &str) -> common::Ended {
    let line = format!(
        "send --jid lamp@clear.example --connect plain://{place} --to bob@clear.example \
         --store lamp.sqlite --timeout 3s --insecure-plaintext {more} sesame"
    );
    run(home.command("correct-horse", &words(&line)))
}

#[test]
fn a_message_that_asks_for_more_does_not_leave_in_the_clear() {
    let home = Home::new();
    let (place, told, thread) = server();
    let ended = send(&home, &place, "");
    assert_eq!(ended.code, 13, "{ended:?}");
    let line = ended.one_line();
    assert!(line.contains("--protection any"), "{line}");
    let said = told.recv().unwrap();
    // The login was allowed to; the message was not.
    assert!(said.contains("<auth"), "{said}");
    assert!(!said.contains("sesame"), "{said}");
    thread.join().unwrap();
}

#[test]
fn a_message_that_asks_for_nothing_leaves_in_the_clear() {
    let home = Home::new();
    let (place, told, thread) = server();
    // Nobody acknowledges it.
    let ended = send(&home, &place, "--protection any");
    assert_eq!(ended.code, 11, "{ended:?}");
    let said = told.recv().unwrap();
    assert!(said.contains("sesame"), "{said}");
    thread.join().unwrap();
}
