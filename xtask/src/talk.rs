//! `cargo xtask talk`: two people and a room, each person in a terminal of their own, on a
//! server that is killed in mid-conversation. What they see is captured; whether something
//! was lost or came twice is read from what each of them has kept.

use crate::failure::{Context as _, Failure, Outcome};
use crate::servers::state::Kind;
use crate::servers::{self, Temporary};
use crate::{program, requirements};
use clap::{Args, ValueEnum};
use rustix::process::Signal;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command as Program;
use std::time::{Duration, Instant};

/// Everybody's, on a server that lives for a minute.
const PASSWORD: &str = "talk";
const DOMAIN: &str = "talk.test";
const PERSONS: [&str; 2] = ["alice", "bob"];
/// Columns and rows of each terminal.
const SIZE: (u16, u16) = (100, 30);
/// What a person may have to wait for.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Between two lines of one person: nobody types faster.
const PACE: Duration = Duration::from_millis(250);

/// Two people and a room in terminals, while the server is killed
#[derive(Debug, Args)]
pub(crate) struct Command {
    /// The server
    #[arg(long, value_enum, default_value_t)]
    server: Server,
    /// How much each person says to the other and in the room, at least 3
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(3..=200))]
    messages: u32,
    /// Where the captures go
    #[arg(long, value_name = "FOLDER", default_value = "target/talk")]
    captures: PathBuf,
    /// Build it without optimisation
    #[arg(long)]
    debug: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Server {
    /// Prosody, which must be installed
    #[default]
    Prosody,
    /// ejabberd, which must be installed
    Ejabberd,
}

/// Carries out the command.
pub(crate) fn run(command: &Command) -> Outcome {
    requirements::ensure_terminals()?;
    let stanchion = program::build("stanchion-chat", "stanchion", !command.debug)?;
    let (kind, rooms) = match command.server {
        Server::Prosody => (Kind::Prosody, "conference"),
        Server::Ejabberd => (Kind::Ejabberd, "conference"),
    };
    let server = Temporary::start(kind, DOMAIN, &PERSONS.map(|person| (person, PASSWORD)))?;
    let folder = tempfile::tempdir().doing("create a folder in", &std::env::temp_dir())?;
    std::fs::create_dir_all(&command.captures).doing("create", &command.captures)?;
    let mut talk = Talk {
        command,
        stanchion,
        server,
        folder: folder.path().to_owned(),
        room: format!("tea@{rooms}.{DOMAIN}"),
        socket: format!("stanchion-talk-{}", std::process::id()),
        captured: 0,
    };
    let talked = talk.go();
    // They are ours: nobody else's socket has that name.
    let _ = talk.tmux(&["kill-server"]);
    talked?;
    talk.account()
}

/// The conversation.
struct Talk<'a> {
    command: &'a Command,
    stanchion: PathBuf,
    server: Temporary,
    folder: PathBuf,
    room: String,
    socket: String,
    captured: u32,
}

impl Talk<'_> {
    fn go(&mut self) -> Outcome {
        for person in PERSONS {
            self.sit_down(person)?;
        }
        for person in PERSONS {
            self.sees(person, "a connection", |screen| screen.contains("TLS"))?;
        }
        self.capture("start")?;
        self.types("alice", &format!("/add bob@{DOMAIN}"))?;
        self.sees("bob", "who asks", |screen| screen.contains("asks to see"))?;
        self.capture("asked")?;
        self.presses("bob", "F4")?;
        self.sees("bob", "the question", |screen| {
            screen.contains("A question")
        })?;
        self.capture("question")?;
        self.presses("bob", "a")?;
        self.sees("alice", "who asks back", |screen| {
            screen.contains("asks to see")
        })?;
        self.presses("alice", "F4")?;
        self.sees("alice", "the question", |screen| {
            screen.contains("A question")
        })?;
        self.presses("alice", "a")?;
        self.types("bob", "/status busy on a ladder")?;
        self.types("alice", &format!("/open bob@{DOMAIN}"))?;
        self.sees("alice", "who is busy", |screen| {
            screen.contains("on a ladder")
        })?;
        self.capture("busy")?;
        for person in PERSONS {
            self.types(person, &format!("/join {}", self.room))?;
            self.sees(person, "the room", |screen| screen.contains("tea"))?;
        }
        let last = self.command.messages;
        let killed = last / 3;
        let back = last * 2 / 3;
        for n in 1..=last {
            if n == killed {
                servers::end(&self.server.state.dir, Signal::KILL)?;
            }
            if n == back {
                self.sees("alice", "what is kept", |screen| screen.contains("kept"))?;
                self.capture("without-a-server")?;
                servers::start_again(&self.server.state.dir)?;
            }
            for person in PERSONS {
                self.types(person, &format!("room {n} by {person}"))?;
            }
        }
        for person in PERSONS {
            let other = PERSONS.iter().find(|other| **other != person);
            let other = other.copied().unwrap_or_default();
            self.types(person, &format!("/open {other}@{DOMAIN}"))?;
            for n in 1..=last {
                self.types(person, &format!("hello {n} from {person}"))?;
                if n == killed && person == "bob" {
                    servers::end(&self.server.state.dir, Signal::KILL)?;
                    self.capture("killed-again")?;
                    servers::start_again(&self.server.state.dir)?;
                }
            }
        }
        self.settle()?;
        self.capture("direct")?;
        for person in PERSONS {
            self.types(person, &format!("/open {}", self.room))?;
        }
        std::thread::sleep(LOOK * 5);
        self.capture("room")?;
        for person in PERSONS {
            self.types(person, "/quit")?;
        }
        let gone = |talk: &Self| Ok(talk.tmux(&["list-sessions"]).is_err());
        self.until("both have left", gone)
    }

    /// Until all that was said has arrived.
    fn settle(&self) -> Outcome {
        self.until("all has arrived", |talk| {
            Ok(talk.figures()?.iter().all(|(_, said)| said.missing == 0))
        })
    }

    /// What was lost and doubled, as a table; an error if anything was.
    fn account(&self) -> Outcome {
        let mut wrong = 0;
        println!("whose view of what was said            kept  lost  doubled  out of order");
        for (what, said) in self.figures()? {
            println!(
                "{what:<38} {:>4} {:>5} {:>8} {:>13}",
                said.kept, said.missing, said.doubled, said.misplaced
            );
            wrong += said.missing + said.doubled + said.misplaced;
        }
        let captures = self.command.captures.display();
        println!("{} captures in {captures}", self.captured);
        if wrong > 0 {
            return Err(Failure::Red(
                "something was lost, doubled or out of order".into(),
            ));
        }
        println!("lost 0, duplicated 0");
        Ok(())
    }

    /// Of each person, what they have of what each said to the other and in the room.
    fn figures(&self) -> Outcome<Vec<(String, Said)>> {
        let mut all = Vec::new();
        for person in PERSONS {
            let other = PERSONS.iter().find(|other| **other != person);
            let other = other.copied().unwrap_or_default();
            let direct = self.history(person, &format!("{other}@{DOMAIN}"))?;
            let room = self.history(person, &self.room)?;
            for by in PERSONS {
                let wanted = |n| format!("hello {n} from {by}");
                let what = format!("{person}: what {by} said to the other");
                all.push((what, self.said(&direct, wanted)));
                let wanted = |n| format!("room {n} by {by}");
                let what = format!("{person}: what {by} said in the room");
                all.push((what, self.said(&room, wanted)));
            }
        }
        Ok(all)
    }

    fn said(&self, bodies: &[String], wanted: impl Fn(u32) -> String) -> Said {
        let wanted: Vec<String> = (1..=self.command.messages).map(wanted).collect();
        let ours: Vec<&String> = bodies.iter().filter(|b| wanted.contains(b)).collect();
        let missing = wanted.iter().filter(|w| !ours.contains(w)).count();
        let misplaced = ours.windows(2).filter(|pair| {
            let at = |body: &String| wanted.iter().position(|w| w == body);
            at(pair[0]) > at(pair[1])
        });
        Said {
            kept: ours.len(),
            missing,
            doubled: ours.len() + missing - wanted.len(),
            misplaced: misplaced.count(),
        }
    }

    /// What a person has of a conversation, oldest first.
    fn history(&self, person: &str, with: &str) -> Outcome<Vec<String>> {
        let mut look = Program::new(&self.stanchion);
        look.env("HOME", &self.folder).env_remove("STANCHION_JID");
        look.args(["history", with, "--limit", "10000", "--json", "--store"]);
        look.arg(self.store(person));
        let lines = program::read(&mut look)?;
        let body = |line: &str| {
            let entry: Value = program::json(line, "a line of `stanchion history --json`")?;
            Ok(entry["body"].as_str().unwrap_or_default().to_owned())
        };
        lines.lines().map(body).collect()
    }

    // ---- terminals -------------------------------------------------------------------

    fn sit_down(&self, person: &str) -> Outcome {
        let state = &self.server.state;
        let place = format!("{}:{}", state.host, state.ports.starttls);
        let (columns, rows) = (SIZE.0.to_string(), SIZE.1.to_string());
        let jid = format!("{person}@{DOMAIN}");
        let mut words = vec![
            "new-session",
            "-d",
            "-s",
            person,
            "-x",
            &columns,
            "-y",
            &rows,
        ];
        let home = format!("HOME={}", self.folder.display());
        let password = format!("STANCHION_PASSWORD={PASSWORD}");
        words.extend(["-e", &home, "-e", &password]);
        let (stanchion, ca, store) = (
            self.stanchion.display().to_string(),
            state.ca.display().to_string(),
            self.store(person).display().to_string(),
        );
        words.extend([&*stanchion, "chat", "--jid", &jid, "--connect", &place]);
        words.extend(["--ca", &ca, "--store", &store]);
        self.tmux(&words).map(drop)
    }

    fn store(&self, person: &str) -> PathBuf {
        self.folder.join(format!("{person}.sqlite"))
    }

    fn tmux(&self, words: &[&str]) -> Outcome<String> {
        let mut tmux = Program::new("tmux");
        tmux.args(["-L", &self.socket, "-f", "/dev/null"])
            .args(words);
        tmux.env("TERM", "xterm-256color").env_remove("TMUX");
        program::read(&mut tmux)
    }

    /// A person types a line, and presses Enter.
    fn types(&self, person: &str, line: &str) -> Outcome {
        self.tmux(&["send-keys", "-t", person, "-l", line])?;
        self.presses(person, "Enter")?;
        std::thread::sleep(PACE);
        Ok(())
    }

    /// A person presses a key.
    fn presses(&self, person: &str, key: &str) -> Outcome {
        self.tmux(&["send-keys", "-t", person, key]).map(drop)
    }

    fn screen(&self, person: &str) -> Outcome<String> {
        self.tmux(&["capture-pane", "-p", "-t", person])
    }

    /// Keeps what each person sees.
    fn capture(&mut self, name: &str) -> Outcome {
        for person in PERSONS {
            self.captured += 1;
            let file = format!("{:02}-{name}-{person}.txt", self.captured);
            let path = self.command.captures.join(file);
            std::fs::write(&path, self.screen(person)?).doing("write", &path)?;
        }
        Ok(())
    }

    fn sees(&self, person: &str, what: &str, so: impl Fn(&str) -> bool) -> Outcome {
        let seen = self.until(&format!("{person} sees {what}"), |talk| {
            Ok(so(&talk.screen(person)?))
        });
        if seen.is_err() {
            println!("{}", self.screen(person)?);
        }
        seen
    }

    fn until(&self, what: &str, so: impl Fn(&Self) -> Outcome<bool>) -> Outcome {
        let over = Instant::now() + LIMIT;
        while !so(self)? {
            if Instant::now() > over {
                let seconds = LIMIT.as_secs();
                return Err(Failure::Red(format!("{what}: not within {seconds} s")));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// What somebody has of what was said.
struct Said {
    kept: usize,
    missing: usize,
    doubled: usize,
    misplaced: usize,
}
