//! The first start: a form that asks for an account, and shows what a trial of it showed.
//! Pure, as the screen is; the trial and the registry are the runner's.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::text::{Line as Row, Span};
use secrecy::SecretString;
use stanchion::BareJid;
use stanchion::connect::Endpoint;
use stanchion::transport::security::Fingerprint;
use unicode_segmentation::UnicodeSegmentation as _;

use super::input::Line;
use super::keys::{self, Act};
use super::pen::put;
use super::screen::Input;
use super::text::{cut, wrap};
use super::theme::Theme;
use super::window;
use crate::server::endpoint;

/// Questions of the form.
const FIELDS: [(&str, &str); 4] = [
    ("Account", "name@domain"),
    (
        "Password",
        "it is kept in the registry, a file for you only",
    ),
    ("Server", "HOST:PORT, or nothing: DNS says where it is"),
    (
        "Certificate",
        "SHA-256, or nothing: public authorities vouch",
    ),
];
/// Which of them is the password.
const PASSWORD: usize = 1;

/// What a person said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) jid: BareJid,
    pub(super) password: SecretString,
    pub(super) place: Option<Endpoint>,
    pub(super) pin: Option<Fingerprint>,
}

/// What a trial showed of an account that cannot be used so.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) lines: Vec<String>,
    pub(super) wrong_password: bool,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Do {
    Try(Box<Said>),
    /// The trial that is under way is not wanted any more.
    Stop,
    Quit,
}

/// The form.
#[derive(Debug, Clone)]
pub(super) struct First {
    theme: Theme,
    fields: [Line; 4],
    at: usize,
    trying: bool,
    /// What the last trial showed, or what is wrong.
    told: Vec<String>,
}

impl First {
    /// With what is known.
    pub(super) fn new(theme: Theme, known: [Option<String>; FIELDS.len()]) -> Self {
        let fields = known.map(|text| Line::of(&text.unwrap_or_default()));
        let first = fields.iter().position(Line::is_empty);
        Self {
            theme,
            fields,
            at: first.unwrap_or(0),
            trying: false,
            told: Vec::new(),
        }
    }

    /// The trial showed that; the account cannot be used so.
    pub(super) fn failed(&mut self, told: Told) {
        self.trying = false;
        self.told = told.lines;
        if told.wrong_password {
            self.at = PASSWORD;
            if let Some(password) = self.fields.get_mut(PASSWORD) {
                password.take();
            }
        }
    }

    pub(super) fn update(&mut self, input: &Input) -> Option<Do> {
        match input {
            Input::Key(key) => self.key(*key),
            Input::Paste(text) if !self.trying => {
                let text = text.lines().next().unwrap_or_default();
                if let Some(field) = self.fields.get_mut(self.at) {
                    field.insert(text);
                }
                None
            }
            _ => None,
        }
    }

    fn key(&mut self, key: KeyEvent) -> Option<Do> {
        let leaves = matches!(keys::act(key), Some(Act::Quit | Act::Interrupt));
        if self.trying {
            if key.code == KeyCode::Esc || leaves {
                self.trying = false;
                self.told = vec!["stopped".to_owned()];
                return Some(if leaves { Do::Quit } else { Do::Stop });
            }
            return None;
        }
        let last = FIELDS.len() - 1;
        match key.code {
            _ if leaves => return Some(Do::Quit),
            KeyCode::Esc => return Some(Do::Quit),
            KeyCode::Up | KeyCode::BackTab => self.at = self.at.saturating_sub(1),
            KeyCode::Down | KeyCode::Tab => self.at = (self.at + 1).min(last),
            KeyCode::Enter if self.at < last && self.is_empty(self.at + 1) => self.at += 1,
            KeyCode::Enter => match self.said() {
                Ok(said) => {
                    self.trying = true;
                    self.told = Vec::new();
                    return Some(Do::Try(Box::new(said)));
                }
                Err((at, wrong)) => {
                    self.at = at;
                    self.told = vec![wrong];
                }
            },
            _ => {
                if let Some(field) = self.fields.get_mut(self.at) {
                    if let Some(letter) = keys::letter(key) {
                        field.insert(letter.encode_utf8(&mut [0; 4]));
                    } else if let Some(edit) = keys::edit(key) {
                        field.edit(edit);
                    }
                }
            }
        }
        None
    }

    fn is_empty(&self, at: usize) -> bool {
        self.fields.get(at).is_some_and(Line::is_empty)
    }

    fn text(&self, at: usize) -> &str {
        self.fields.get(at).map(Line::text).unwrap_or_default()
    }

    /// What was said, or which field is wrong, and how.
    fn said(&self) -> Result<Said, (usize, String)> {
        let account = self.text(0).trim();
        let jid: BareJid = account
            .parse()
            .ok()
            .filter(|jid: &BareJid| jid.local().is_some())
            .ok_or_else(|| (0, "an account is name@domain".to_owned()))?;
        if self.is_empty(PASSWORD) {
            return Err((PASSWORD, "a password is needed".to_owned()));
        }
        let place = match self.text(2).trim() {
            "" => None,
            text => Some(endpoint(text).map_err(|wrong| (2, wrong))?),
        };
        let pin = match self.text(3).trim() {
            "" => None,
            text => Some(text.parse().map_err(|wrong| (3, format!("{wrong}")))?),
        };
        Ok(Said {
            jid,
            password: self.text(PASSWORD).to_owned().into(),
            place,
            pin,
        })
    }

    /// Draws it.
    pub(super) fn view(&self, frame: &mut Frame<'_>) {
        let theme = self.theme;
        let rows = usize::from(frame.area().height.saturating_sub(2)).min(18);
        let area = window::middle(frame, theme, "Stanchion: which account?", rows);
        let columns = usize::from(area.width);
        let name = 13.min(columns / 3);
        let mut row = 0;
        for (at, (question, hint)) in FIELDS.iter().enumerate() {
            let chosen = at == self.at && !self.trying;
            let (lines, (_, column)) = match (self.fields.get(at), at) {
                (Some(field), PASSWORD) => {
                    let dots = |text: &str| "•".repeat(text.graphemes(true).count());
                    let before = dots(field.before());
                    let column = before.graphemes(true).count();
                    (vec![dots(field.text())], (0, column))
                }
                (Some(field), _) => field.shown(usize::MAX),
                (None, _) => (Vec::new(), (0, 0)),
            };
            let text = lines.concat();
            let room = columns.saturating_sub(name);
            let look = if chosen { theme.own() } else { theme.faint() };
            let shown = match text.is_empty() {
                true => Span::styled(cut(hint, room), theme.faint()),
                false => Span::styled(cut(&text, room), theme.bold()),
            };
            let question = format!("{question:name$}");
            let line = Row::from(vec![Span::styled(cut(&question, name), look), shown]);
            put(frame, area, row, line);
            if chosen && row < area.height {
                let column = u16::try_from(name + column).unwrap_or(u16::MAX);
                let x = area
                    .x
                    .saturating_add(column)
                    .min(area.right().saturating_sub(1));
                frame.set_cursor_position((x, area.y + row));
            }
            row += 1;
        }
        row += 1;
        let (text, look) = match (self.trying, self.told.is_empty()) {
            (true, _) => ("trying … Esc stops", theme.doubtful()),
            (false, true) => ("Enter tries it · Tab: next · Esc leaves", theme.faint()),
            (false, false) => ("not yet; Enter tries again", theme.bad()),
        };
        put(frame, area, row, Row::styled(cut(text, columns), look));
        row += 1;
        let told = self.told.iter().flat_map(|line| {
            let indent = line.len() - line.trim_start().len();
            let room = columns.saturating_sub(indent);
            let parts = wrap(line.trim_start(), room, 6).into_iter();
            parts.map(move |part| format!("{:indent$}{part}", ""))
        });
        for line in told {
            put(frame, area, row, Row::raw(line));
            row = row.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::KeyModifiers;

    fn write(first: &mut First, text: &str) -> Option<Do> {
        let mut last = None;
        for letter in text.chars() {
            let code = match letter {
                '\n' => KeyCode::Enter,
                letter => KeyCode::Char(letter),
            };
            last = first.update(&Input::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        }
        last
    }

    #[test]
    fn what_is_known_is_not_asked_again() {
        let known = ["anna@home.example", "127.0.0.1:5222"].map(|text| Some(text.to_owned()));
        let [account, place] = known;
        let mut first = First::new(Theme::new(false), [account, None, place, None]);
        assert_eq!(first.at, PASSWORD);
        let Some(Do::Try(said)) = write(&mut first, "secret\n") else {
            panic!("{first:?}")
        };
        assert_eq!(said.place.map(|place| place.port), Some(5222));
        first.failed(Told {
            lines: Vec::new(),
            wrong_password: true,
        });
        assert!(first.is_empty(PASSWORD) && first.at == PASSWORD);
    }

    #[test]
    fn what_is_wrong_is_said_at_once_and_a_password_is_never_shown() {
        let mut first = First::new(Theme::new(false), [const { None }; 4]);
        assert!(write(&mut first, "home.example\n\n\n\n").is_none());
        assert_eq!(
            (first.at, first.told[0].as_str()),
            (0, "an account is name@domain")
        );
        first.fields[0] = Line::of("anna@home.example");
        assert!(write(&mut first, "\nhunter2\nnowhere\n\n").is_none());
        assert_eq!(first.at, 2);
        first.fields[2] = Line::of("127.0.0.1:5222");
        let mut terminal =
            ratatui::Terminal::new(ratatui::backend::TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| first.view(frame)).unwrap();
        let shown = terminal.backend().to_string();
        assert!(
            !shown.contains("hunter2") && shown.contains("•••••••"),
            "{shown}"
        );
        first.at = 3;
        let Some(Do::Try(said)) = write(&mut first, "\n") else {
            panic!("{first:?}")
        };
        assert_eq!(said.jid.as_str(), "anna@home.example");
        assert!(said.place.is_some() && said.pin.is_none());
    }
}
