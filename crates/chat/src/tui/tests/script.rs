//! A session: a model, a screen and a terminal in memory, and the words of a script.

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use stanchion::BareJid;
use stanchion::device::model::{Reading, Value};
use stanchion::reliability::store::WallTime;
use stanchion::services::history::{Direction, Entry, Place, Progress};
use stanchion::services::presence::Availability;
use stanchion::services::roster::Contact;
use stanchion::stanza::Text;
use stanchion::stanza::payload::roster::{Item, Subscription};

use super::super::screen::{Do, Input, Screen};
use super::super::theme::Theme;
use super::super::view::view;
use crate::app::{
    Control, ControlKind, Event, Gauge, LinkState, Member, Model, Order, Point, RoomChange,
    Secured, ThingKey, Whereabouts,
};

/// 26 November 2026, 14:05 UTC.
pub(super) const NOW: i64 = 1_795_701_900_000;
pub(super) const MINUTE: i64 = 60_000;

pub(super) fn jid(text: &str) -> BareJid {
    text.parse().unwrap()
}

/// What happens, and what is seen.
pub(super) struct Session {
    pub(super) model: Model,
    pub(super) screen: Screen,
    terminal: Terminal<TestBackend>,
    now: i64,
    rows: i64,
}

impl Session {
    pub(super) fn new(columns: u16, rows: u16) -> Self {
        let zone = TimeZone::UTC;
        Self {
            model: Model::new(jid("anna@home.example")),
            screen: Screen::new(Theme::new(false), zone, (columns, rows), NOW),
            terminal: Terminal::new(TestBackend::new(columns, rows)).unwrap(),
            now: NOW,
            rows: 0,
        }
    }

    pub(super) fn input(&mut self, input: Input) -> Vec<Do> {
        if let Input::Size(columns, rows) = input {
            self.terminal.backend_mut().resize(columns, rows);
        }
        self.screen.update(&self.model, self.now, input)
    }

    pub(super) fn event(&mut self, event: Event) -> &mut Self {
        self.model.apply(self.now, event);
        self.input(Input::Changed);
        self
    }

    pub(super) fn passes(&mut self, ms: i64) -> &mut Self {
        self.now += ms;
        self.input(Input::Tick);
        self
    }

    /// Types: letters as they are, keys as `<Enter>`, `<C-f>`, `<A-a>`. What is to be done.
    pub(super) fn types(&mut self, script: &str) -> Vec<Do> {
        let mut done = Vec::new();
        let mut rest = script;
        while let Some(letter) = rest.chars().next() {
            let named = rest.strip_prefix('<').and_then(|r| r.split_once('>'));
            let key = match named {
                Some((name, behind)) => {
                    rest = behind;
                    key(name)
                }
                None => {
                    rest = &rest[letter.len_utf8()..];
                    KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE)
                }
            };
            done.extend(self.input(Input::Key(key)));
        }
        done
    }

    /// The orders of what is to be done.
    pub(super) fn orders(&mut self, script: &str) -> Vec<Order> {
        let done = self.types(script).into_iter();
        done.filter_map(|deed| match deed {
            Do::Order(order) => Some(order),
            _ => None,
        })
        .collect()
    }

    pub(super) fn click(&mut self, column: u16, row: u16) -> Vec<Do> {
        self.input(Input::Mouse(MouseEvent {
            kind: MouseEventKind::Down(MouseButton::Left),
            column,
            row,
            modifiers: KeyModifiers::NONE,
        }))
    }

    /// What is seen.
    pub(super) fn draw(&mut self) -> String {
        let (screen, model) = (&self.screen, &self.model);
        self.terminal
            .draw(|frame| view(screen, model, frame))
            .unwrap();
        let buffer = self.terminal.backend().buffer();
        let mut text = String::new();
        for row in 0..buffer.area.height {
            let mut line = String::new();
            let mut skip = 0;
            for column in 0..buffer.area.width {
                let symbol = buffer[(column, row)].symbol();
                if skip == 0 {
                    line.push_str(symbol);
                    skip = unicode_width::UnicodeWidthStr::width(symbol).max(1);
                }
                skip -= 1;
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// What is seen is what the file says.
    pub(super) fn shows(&mut self, name: &str) {
        let shown = self.draw();
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
        let path = folder.join(format!("{name}.txt"));
        if std::env::var_os("STANCHION_UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, &shown).unwrap();
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            known == shown,
            "{name} is shown otherwise; if that is right, run again with \
             STANCHION_UPDATE_SNAPSHOTS=1\n--- expected\n{known}\n--- shown\n{shown}"
        );
    }

    // ---- what happens -----------------------------------------------------------------

    pub(super) fn up(&mut self) -> &mut Self {
        self.event(Event::Link(LinkState::Up {
            jid: "anna@home.example/phone".to_owned(),
            server: "one.home.example:5222".to_owned(),
            resumed: false,
            secured: Secured {
                tls: Some("TLS 1.3".to_owned()),
                cipher: Some("TLS_AES_128_GCM_SHA256".to_owned()),
                mechanism: "SCRAM-SHA-256-PLUS".to_owned(),
                binding: Some("tls-exporter".to_owned()),
                proved: true,
            },
        }))
    }

    pub(super) fn contact(&mut self, who: &str, name: &str) -> &mut Self {
        let mut item = Item::new(who.parse().unwrap());
        item.name = Text::new(name).ok();
        item.subscription = Some(Subscription::Both);
        self.event(Event::Contact(Contact::from(item)))
    }

    pub(super) fn is(&mut self, who: &str, how: Availability, text: &str) -> &mut Self {
        self.event(Event::Presence {
            who: jid(who),
            at: vec![Whereabouts {
                resource: "phone".to_owned(),
                availability: how,
                text: text.to_owned(),
                priority: 0,
            }],
        })
    }

    /// A message, so many milliseconds ago.
    pub(super) fn entry(
        &mut self,
        with: &str,
        ago: i64,
        direction: Direction,
        body: &str,
    ) -> Entry {
        self.rows += 1;
        let place = Place {
            at: WallTime::from_unix_ms(NOW - ago),
            row: self.rows,
        };
        let mut entry = Entry::new(place, jid(with), direction, body);
        entry.id = Some(format!("id{}", self.rows));
        entry
    }

    pub(super) fn hears(&mut self, with: &str, ago: i64, body: &str) -> &mut Self {
        let mut entry = self.entry(with, ago, Direction::In, body);
        entry.unread = true;
        self.event(Event::Said(Box::new(entry)))
    }

    pub(super) fn says(&mut self, with: &str, ago: i64, body: &str, far: Progress) -> &mut Self {
        let mut entry = self.entry(with, ago, Direction::Out, body);
        entry.progress = Some(far);
        self.event(Event::Said(Box::new(entry)))
    }

    pub(super) fn loaded(&mut self, with: &str) -> &mut Self {
        self.event(Event::Page {
            with: jid(with),
            entries: Vec::new(),
            first: true,
        })
    }

    pub(super) fn room(&mut self, room: &str, topic: &str, nicks: &[&str]) -> &mut Self {
        let member = |(at, nick): (usize, &&str)| Member {
            nick: (*nick).to_owned(),
            role: (if at == 0 { "moderator" } else { "participant" }).to_owned(),
            affiliation: (if at == 0 { "owner" } else { "none" }).to_owned(),
            jid: None,
        };
        self.event(Event::Room {
            room: jid(room),
            change: RoomChange::Entered {
                nick: "anna".to_owned(),
                members: nicks.iter().enumerate().map(member).collect(),
                topic: topic.to_owned(),
            },
        })
    }

    pub(super) fn in_room(&mut self, room: &str, nick: &str, ago: i64, body: &str) -> &mut Self {
        let mut entry = self.entry(room, ago, Direction::In, body);
        entry.author = format!("{room}/{nick}").parse().ok();
        entry.unread = true;
        self.event(Event::Said(Box::new(entry)))
    }

    pub(super) fn measures(&mut self, thing: &ThingKey, ago: i64, celsius: &str) -> &mut Self {
        let reading =
            |field: &'static str, value| Reading::automatic(Text::from_static(field), value);
        let numeric = Value::Numeric {
            value: celsius.parse().unwrap(),
            unit: Text::from_static("Cel"),
        };
        self.event(Event::Values {
            of: thing.clone(),
            points: vec![Point {
                at: NOW - ago,
                readings: vec![
                    reading("temperature", numeric),
                    reading("light", Value::Boolean(ago < MINUTE)),
                ],
            }],
        })
    }

    pub(super) fn gauge(&mut self, queued: u64) -> &mut Self {
        let at = self.now;
        self.event(Event::Gauge(Gauge {
            at,
            accepted: 40 + queued,
            transmitted: 44,
            retransmitted: 4,
            acknowledged: 12,
            delivered: 28,
            received: 31,
            duplicates: 3,
            queued,
            ..Gauge::default()
        }))
    }
}

pub(super) fn hall() -> ThingKey {
    ThingKey {
        account: jid("gate@home.example"),
        thing: Text::from_static("hall"),
    }
}

pub(super) fn controls() -> Vec<Control> {
    let control = |name: &'static str, label: &str, kind, now: &str| Control {
        name: Text::from_static(name),
        label: label.to_owned(),
        kind,
        now: Some(now.to_owned()),
    };
    let number = ControlKind::Number {
        min: Some(5.0),
        max: Some(30.0),
        whole: false,
    };
    let choice = [("a", "Automatic"), ("m", "By hand")];
    let choice = choice.map(|(value, label)| (value.to_owned(), label.to_owned()));
    vec![
        control("light", "Light", ControlKind::Switch, "false"),
        control("target", "Target", number, "20.5"),
        control("mode", "Mode", ControlKind::Choice(choice.to_vec()), "a"),
        control("note", "Note", ControlKind::Text, ""),
    ]
}

fn key(name: &str) -> KeyEvent {
    let (modifiers, name) = match name.split_once('-') {
        Some(("C", name)) => (KeyModifiers::CONTROL, name),
        Some(("A", name)) => (KeyModifiers::ALT, name),
        Some(("S", name)) => (KeyModifiers::SHIFT, name),
        _ => (KeyModifiers::NONE, name),
    };
    let code = match name {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "BackTab" => KeyCode::BackTab,
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "Home" => KeyCode::Home,
        "End" => KeyCode::End,
        "PageUp" => KeyCode::PageUp,
        "PageDown" => KeyCode::PageDown,
        "Backspace" => KeyCode::Backspace,
        "Delete" => KeyCode::Delete,
        f if f.len() > 1 && f.starts_with('F') => KeyCode::F(f[1..].parse().unwrap()),
        one => KeyCode::Char(one.chars().next().unwrap()),
    };
    KeyEvent::new(code, modifiers)
}
