//! What is logged of a message's life. A program of its own: whether anybody listens to
//! what is logged is remembered for the whole of a program, and other tests do not.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code, reason = "the script serves the engine's laws")]
#[path = "engine_laws/script.rs"]
mod script;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use stanchion_reliability::engine::Mode;
use stanchion_stanza::payload::delivery::VerdictState::Delivered;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::script::{SECOND, Script};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The lines of a log at that level that name the message `m`.
fn log(level: LevelFilter, play: impl FnOnce()) -> Vec<String> {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, play);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let named = text.lines().filter(|line| line.contains("id=\"m\""));
    named.map(str::to_owned).collect()
}

fn deliver() {
    let mut s = Script::new();
    s.connect();
    s.send("other");
    s.send("m");
    let said = s.said().remove(1);
    s.acked(2);
    s.pass(7 * SECOND);
    s.verdict(&said, Delivered);
    assert_eq!(s.outcomes().len(), 1);
}

#[test]
fn the_whole_life_of_a_message_is_logged_in_a_span_that_names_it() {
    let lines = log(LevelFilter::DEBUG, deliver);
    let life = [
        "durable",
        "given to the stream",
        "the server has it",
        "it is decided",
    ];
    let mut rest = lines.iter();
    for step in life {
        assert!(rest.any(|line| line.contains(step)), "{step}: {lines:#?}");
    }
    let named = |line: &String| line.contains("to=\"peer@x\"") && line.contains("channel=\"c\"");
    assert!(lines.iter().all(named), "{lines:#?}");

    let lines = log(LevelFilter::DEBUG, || {
        let mut s = Script::new();
        s.connect();
        s.send_in(Mode::AtMostOnce, "m", None);
    });
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

#[test]
fn at_the_level_of_an_operator_no_message_is_logged_by_itself() {
    assert_eq!(log(LevelFilter::INFO, deliver), Vec::<String>::new());
}
