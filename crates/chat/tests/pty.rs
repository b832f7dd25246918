//! `stanchion chat` on a terminal: a pseudo-terminal with a shell on it that starts the
//! command, as a person does, and a screen that shows what came out. What the client draws is
//! in the tests of `tui`; here it is that it draws, and gives the terminal back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![cfg(all(feature = "tui", unix))]

mod common;

use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use common::house::House;
use common::{LIMIT, eventually, signal};
use pty_process::Size;
use pty_process::blocking::{Pty, open};
use rustix::termios::{LocalModes, Termios, tcgetattr};
use vt100::{MouseProtocolMode, Parser, Screen};

const F1: &[u8] = b"\x1bOP";
const ESCAPE: &[u8] = b"\x1b";
const CONTROL_C: &[u8] = b"\x03";
const CONTROL_Q: &[u8] = b"\x11";

/// What the shell does: its own process is the first of the terminal, so that what is left of
/// the terminal after the command is the command's doing and not the system's, which clears
/// up behind the first process alone.
const SCRIPT: &str = r#"
echo "before the chat"
sh -c 'echo $$ >pid; exec "$@"' sh "$@"
echo "the chat ended with $?"
read line
echo "the shell read $line."
"#;

/// A terminal with a shell that has started `stanchion chat`.
struct Terminal {
    house: House,
    pty: Arc<Pty>,
    shell: Child,
    /// As the terminal was before the command.
    before: Termios,
    told: Receiver<Vec<u8>>,
    screen: Parser,
    /// All that came out.
    raw: Vec<u8>,
}

fn number(of: u16) -> NonZeroU16 {
    NonZeroU16::new(of).unwrap()
}

/// The modes of a terminal, and its special keys.
fn modes(of: &Termios) -> String {
    format!("{of:?}")
}

impl Terminal {
    /// Of alice, with these words more.
    fn start(house: House, rest: &[&str]) -> Self {
        let (rows, columns) = (24, 80);
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(rows, columns)).unwrap();
        let before = tcgetattr(&pty).unwrap();
        assert!(before.local_modes.contains(LocalModes::ICANON));
        let chat = house.command("alice", "chat", rest);
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "sh"]).arg(chat.get_program());
        shell.args(chat.get_args());
        for (name, value) in chat.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
            .current_dir(chat.get_current_dir().unwrap())
            .env("TERM", "xterm-256color")
            // It would be taken for the width.
            .env_remove("COLUMNS")
            .env_remove("LINES");
        let shell = pty_process::blocking::Command::from(shell);
        let shell = shell.spawn(pts).unwrap();
        let pty = Arc::new(pty);
        let (tell, told) = channel();
        let reader = Arc::clone(&pty);
        // Ends with the last process on the terminal.
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = (&*reader).read(&mut buffer) {
                let part = buffer[..read].to_vec();
                if tell.send(part).is_err() {
                    return;
                }
            }
        });
        Self {
            house,
            pty,
            shell,
            before,
            told,
            screen: Parser::new(number(rows), number(columns), 100),
            raw: Vec::new(),
        }
    }

    /// Looks at the screen until it is so.
    #[track_caller]
    fn until(&mut self, what: &str, so: impl Fn(&Screen) -> bool) {
        let over = Instant::now() + LIMIT;
        while !so(self.screen.screen()) {
            let left = over.saturating_duration_since(Instant::now());
            let Ok(part) = self.told.recv_timeout(left) else {
                let screen = self.screen.screen().contents();
                panic!("not in time: {what}; the screen shows:\n{screen}");
            };
            self.screen.process(&part);
            self.raw.extend(part);
        }
    }

    /// Looks until these words are there.
    #[track_caller]
    fn shows(&mut self, words: &str) {
        self.until(words, |screen| screen.contents().contains(words));
    }

    /// Looks until they are not there any more.
    #[track_caller]
    fn hides(&mut self, words: &str) {
        let what = format!("no {words}");
        self.until(&what, |screen| !screen.contents().contains(words));
    }

    fn press(&self, keys: &[u8]) {
        (&*self.pty).write_all(keys).unwrap();
    }

    /// Another size, of which the system tells the process.
    fn resize(&mut self, rows: u16, columns: u16) {
        // In this order: what is drawn for the new size is never taken for the old one.
        self.screen.set_size(number(rows), number(columns));
        // What stands there then was drawn anew.
        self.screen.process(b"\x1b[2J");
        self.pty.resize(Size::new(rows, columns)).unwrap();
    }

    fn row(screen: &Screen, row: usize) -> String {
        let (_, columns) = screen.size();
        let mut rows = screen.rows(0, columns.get());
        rows.nth(row).unwrap_or_default()
    }

    /// The client is there, on a screen of its own, and connected.
    #[track_caller]
    fn is_taken(&mut self) {
        self.shows("▲ 127.0.0.1");
        let screen = self.screen.screen();
        assert!(screen.alternate_screen());
        assert!(screen.bracketed_paste());
        assert_ne!(screen.mouse_protocol_mode(), MouseProtocolMode::None);
        assert!(!screen.contents().contains("before the chat"));
        let now = tcgetattr(&self.pty).unwrap().local_modes;
        let cooked = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        assert!(!now.intersects(cooked), "{now:?}");
    }

    /// The client has ended so, and the terminal is as it was: in every mode, and in what
    /// the shell makes of a line.
    #[track_caller]
    fn given_back(mut self, code: i32) -> String {
        self.shows(&format!("the chat ended with {code}"));
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen());
        assert!(!screen.hide_cursor());
        assert!(!screen.bracketed_paste());
        assert_eq!(screen.mouse_protocol_mode(), MouseProtocolMode::None);
        assert!(screen.contents().starts_with("before the chat"));
        // The screen does not follow this one: the reports of focus.
        let last = |mode: &[u8]| self.raw.windows(mode.len()).rposition(|part| part == mode);
        assert!(last(b"\x1b[?1004l") >= last(b"\x1b[?1004h"));
        let now = tcgetattr(&self.pty).unwrap();
        assert_eq!(modes(&now), modes(&self.before));
        self.press(b"a line\r");
        self.shows("the shell read a line.");
        let mut ended = None;
        eventually("the shell ends", || {
            ended = self.shell.try_wait().unwrap();
            ended.is_some()
        });
        assert!(ended.unwrap().success());
        self.screen.screen().contents()
    }

    /// The client's process.
    fn pid(&self) -> u32 {
        let pid = std::fs::read_to_string(self.house.home.path("pid"));
        pid.unwrap().trim().parse().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The client ends with the shell: the terminal is gone for it then.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

#[test]
fn keys_work_a_new_size_is_drawn_and_leaving_by_key_gives_the_terminal_back() {
    let house = House::start(&["alice", "bob"]);
    let mut terminal = Terminal::start(house, &[]);
    terminal.is_taken();
    terminal.shows("This is alice@hub.test.");

    terminal.press(F1);
    terminal.shows("Everywhere");
    terminal.press(ESCAPE);
    terminal.hides("Everywhere");
    terminal.press(b"?");
    terminal.shows("Everywhere");
    terminal.press(ESCAPE);
    terminal.hides("Everywhere");

    terminal.press(b"/open bob@hub.test\r");
    terminal.press(b"hello bob\r");
    let heard = terminal.house.run("bob", "listen --count 1 --json", &[]);
    assert_eq!(heard.code, 0, "{heard:?}");
    assert_eq!(heard.json()[0]["body"], "hello bob", "{heard:?}");
    terminal.shows("hello bob");

    for (rows, columns) in [(40, 120), (12, 40)] {
        terminal.resize(rows, columns);
        // The last row is the strip, wherever that is now, and the text is still there.
        terminal.until("the new size", |screen| {
            let strip = Terminal::row(screen, usize::from(rows) - 1);
            strip.contains("▲ 127.0.0.1") && screen.contents().contains("hello bob")
        });
        let strips = terminal.screen.screen().contents();
        assert_eq!(strips.matches("▲ 127.0.0.1").count(), 1, "{strips}");
    }

    terminal.press(CONTROL_Q);
    terminal.given_back(0);
}

#[test]
fn control_c_leaves_when_it_comes_twice_and_kills_nobody() {
    let house = House::start(&["alice"]);
    let mut terminal = Terminal::start(house, &[]);
    terminal.is_taken();
    assert!(!terminal.screen.screen().contents().contains("Ctrl-C"));
    terminal.press(CONTROL_C);
    terminal.shows("Ctrl-C");
    assert!(terminal.screen.screen().alternate_screen());
    terminal.press(CONTROL_C);
    terminal.given_back(0);
}

#[test]
fn a_signal_to_end_gives_the_terminal_back() {
    for name in ["TERM", "HUP", "INT"] {
        let house = House::start(&["alice"]);
        let mut terminal = Terminal::start(house, &[]);
        terminal.is_taken();
        signal(terminal.pid(), name);
        terminal.given_back(0);
    }
}

#[test]
fn a_store_that_cannot_be_used_is_told_on_the_terminal_as_it_was() {
    let house = House::start(&["alice"]);
    house.write("alice.sqlite", &"this is no database ".repeat(100));
    let only_ours = Permissions::from_mode(0o600);
    std::fs::set_permissions(house.home.path("alice.sqlite"), only_ours).unwrap();
    let mut terminal = Terminal::start(house, &[]);
    terminal.until("that it began", |screen| screen.alternate_screen());
    let screen = terminal.given_back(1);
    assert!(screen.contains("stanchion: "), "{screen}");
    assert!(screen.contains("alice.sqlite"), "{screen}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_is_gone_ends_the_client() {
    let house = House::start(&["alice"]);
    let mut terminal = Terminal::start(house, &[]);
    terminal.is_taken();
    // The first process of a terminal: the terminal goes with it.
    terminal.shell.kill().unwrap();
    terminal.shell.wait().unwrap();
    let home = &terminal.house.home;
    eventually("the client ends", || {
        !home
            .processes()
            .iter()
            .any(|words| words.contains(" chat "))
    });
}
