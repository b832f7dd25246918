//! What a key does: in a window over the screen, in the list, in a conversation or at a thing,
//! and in the line.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use stanchion::services::history::Entry;

use super::dialog::{self, Question, Setting};
use super::input::{Edit, Line};
use super::keys::{self, Act};
use super::screen::{Do, Focus, Over, Screen};
use super::subject::Subject;
use super::{help, list, search, talk, things};
use crate::app::{Model, Order, Severity, Stage, ThingKey};

/// Between two words to the other side that a person writes, in milliseconds.
const WRITING: i64 = 1000;
/// Within that time a second Ctrl-C leaves, in milliseconds.
const TWICE: i64 = 2000;

impl Screen {
    pub(super) fn key(&mut self, model: &Model, key: KeyEvent, deeds: &mut Vec<Do>) {
        if self.over.is_some() && !matches!(keys::act(key), Some(Act::Quit)) {
            return self.over_key(model, key, deeds);
        }
        if let Some(act) = keys::act(key) {
            return self.act(model, act, deeds);
        }
        match self.focus {
            Focus::List => self.list_key(model, key, deeds),
            Focus::Body => self.body_key(model, key, deeds),
            Focus::Input => self.input_key(model, key, deeds),
        }
    }

    fn act(&mut self, model: &Model, act: Act, deeds: &mut Vec<Do>) {
        let page = usize::from(self.areas().body.height.saturating_sub(2).max(1));
        match act {
            Act::Help => self.over = Some(Over::Help(0)),
            Act::Delivery => self.over = Some(Over::Delivery(0)),
            Act::Aside => self.aside = !self.aside,
            Act::Question => self.ask(model),
            Act::Search => self.search(String::new(), deeds),
            Act::Goto => {
                self.focus = Focus::List;
                self.list.filter = Some(Line::default());
                self.list.at = list::subjects(model, None).into_iter().next();
            }
            Act::Above => self.neighbour(model, true, deeds),
            Act::Below => self.neighbour(model, false, deeds),
            Act::Unread => self.next_unread(model, deeds),
            Act::PageUp => self.scroll(model, page, true, deeds),
            Act::PageDown => self.scroll(model, page, false, deeds),
            Act::Bottom => self.newest(),
            Act::Choose => self.choose(model, true),
            Act::Redraw => deeds.push(Do::Redraw),
            Act::Quit => deeds.push(Do::Quit),
            Act::Interrupt => {
                if !self.line.is_empty() {
                    self.drop_line();
                } else if self.now - self.interrupted < TWICE {
                    deeds.push(Do::Quit);
                } else {
                    self.interrupted = self.now;
                    self.tell(Severity::Info, "Ctrl-C again leaves".to_owned());
                }
            }
        }
    }

    fn drop_line(&mut self) {
        self.line.take();
        self.correcting = None;
        self.completing.over();
        self.sent.over();
    }

    fn over_key(&mut self, model: &Model, key: KeyEvent, deeds: &mut Vec<Do>) {
        let leaves = key.code == KeyCode::Esc || keys::act(key) == Some(Act::Interrupt);
        let page = usize::from(self.size.1.saturating_sub(6).max(1));
        let last_help = help::last(self.theme, self.size);
        match &mut self.over {
            Some(Over::Help(top) | Over::Delivery(top)) => {
                match (key.code, keys::act(key)) {
                    _ if leaves => self.over = None,
                    (KeyCode::Char('q' | '?') | KeyCode::Enter, _)
                    | (_, Some(Act::Help | Act::Delivery)) => self.over = None,
                    (KeyCode::Up | KeyCode::Char('k'), _) => *top = top.saturating_sub(1),
                    (KeyCode::Down | KeyCode::Char('j'), _) => *top += 1,
                    (KeyCode::PageUp, _) => *top = top.saturating_sub(page),
                    (KeyCode::PageDown | KeyCode::Char(' '), _) => *top += page,
                    (KeyCode::Home, _) => *top = 0,
                    (KeyCode::End, _) => *top = usize::MAX / 2,
                    _ => {}
                }
                if let Some(Over::Help(top)) = &mut self.over {
                    *top = (*top).min(last_help);
                } else if let Some(Over::Delivery(top)) = &mut self.over {
                    *top = (*top).min(3 * (model.link.turns.len() + model.notices.len()));
                }
            }
            Some(Over::Search(_)) if leaves => self.over = None,
            Some(Over::Search(search)) => match search.key(model, key) {
                search::Came::Nothing => {}
                search::Came::Over => self.over = None,
                search::Came::Ask(order) => deeds.push(Do::Order(order)),
                search::Came::Jump(with, place) => {
                    self.over = None;
                    self.open(Subject::Talk(with.clone()), deeds);
                    self.jump = Some((with, place, 0));
                }
            },
            Some(Over::Question(question)) => {
                let came = match leaves {
                    true => dialog::Came::Over(Vec::new()),
                    false => question.key(key),
                };
                self.came(came, deeds);
            }
            Some(Over::Setting(setting)) => {
                let came = match leaves {
                    true => dialog::Came::Over(Vec::new()),
                    false => setting.key(key),
                };
                self.came(came, deeds);
            }
            None => {}
        }
    }

    pub(super) fn came(&mut self, came: dialog::Came, deeds: &mut Vec<Do>) {
        if let dialog::Came::Over(done) = came {
            self.over = None;
            deeds.extend(done.into_iter().map(Do::Order));
        }
    }

    fn list_key(&mut self, model: &Model, key: KeyEvent, deeds: &mut Vec<Do>) {
        let all = list::subjects(model, self.list.filter.as_ref());
        let at = self.list.at.as_ref();
        let at = at.and_then(|at| all.iter().position(|one| one == at));
        let page = usize::from(self.size.1.saturating_sub(4).max(1));
        let to = |at: usize| all.get(at.min(all.len().saturating_sub(1))).cloned();
        let writes = self.list.filter.is_some();
        match key.code {
            KeyCode::Up => self.list.at = to(at.unwrap_or(0).saturating_sub(1)),
            KeyCode::Char('k') if !writes => self.list.at = to(at.unwrap_or(0).saturating_sub(1)),
            KeyCode::Down => self.list.at = to(at.map_or(0, |at| at + 1)),
            KeyCode::Char('j') if !writes => self.list.at = to(at.map_or(0, |at| at + 1)),
            KeyCode::Home => self.list.at = to(0),
            KeyCode::End => self.list.at = to(all.len()),
            KeyCode::Left => self.list.at = to(at.unwrap_or(0).saturating_sub(page)),
            KeyCode::Right if !writes => {
                self.list.at = to(at.unwrap_or(0).saturating_add(page));
            }
            KeyCode::Enter => {
                let chosen = self.list.at.clone().filter(|at| all.contains(at));
                if let Some(subject) = chosen.or_else(|| all.first().cloned()) {
                    self.open(subject, deeds);
                    self.enter();
                }
            }
            KeyCode::Esc => {
                if self.list.filter.take().is_none() {
                    self.enter();
                }
            }
            KeyCode::Tab => {
                self.list.filter = None;
                self.enter();
            }
            KeyCode::BackTab => {
                self.list.filter = None;
                self.focus = Focus::Input;
            }
            KeyCode::Char('/') if !writes => self.list.filter = Some(Line::default()),
            KeyCode::Char('?') if !writes => self.over = Some(Over::Help(0)),
            _ => {
                let Some(filter) = &mut self.list.filter else {
                    return;
                };
                if let Some(letter) = keys::letter(key) {
                    filter.insert(letter.encode_utf8(&mut [0; 4]));
                } else if let Some(edit) = keys::edit(key) {
                    filter.edit(edit);
                }
                let fit = list::subjects(model, self.list.filter.as_ref());
                self.list.at = fit.into_iter().next();
            }
        }
    }

    fn body_key(&mut self, model: &Model, key: KeyEvent, deeds: &mut Vec<Do>) {
        match key.code {
            KeyCode::Esc => {
                self.unchoose();
                self.focus = Focus::Input;
                return;
            }
            KeyCode::Tab => {
                self.unchoose();
                self.focus = Focus::Input;
                return;
            }
            KeyCode::BackTab => {
                self.unchoose();
                return self.list_has_keys();
            }
            KeyCode::Char('?') => {
                self.over = Some(Over::Help(0));
                return;
            }
            _ => {}
        }
        match self.open.clone() {
            Some(Subject::Talk(_)) => self.talk_key(model, key, deeds),
            Some(Subject::Thing(of)) => self.thing_key(model, &of, key, deeds),
            None => self.focus = Focus::Input,
        }
    }

    fn unchoose(&mut self) {
        if let Some(Subject::Talk(with)) = &self.open
            && let Some(look) = self.looks.get_mut(with)
        {
            look.chosen = None;
            look.bottom = None;
        }
    }

    fn list_has_keys(&mut self) {
        self.focus = Focus::List;
        self.list.at.clone_from(&self.open);
    }

    /// Another message is chosen; the last one if none was.
    fn choose(&mut self, model: &Model, up: bool) {
        let Some(talk) = self.talk(model) else { return };
        let with = talk.with.clone();
        let look = self.looks.entry(with.clone()).or_default();
        let at = look.chosen;
        let at = at.and_then(|at| talk.entries.binary_search_by(|e| e.place.cmp(&at)).ok());
        let next = match (at, up) {
            (None, _) => talk.entries.len().checked_sub(1),
            (Some(at), true) => Some(at.saturating_sub(1)),
            (Some(at), false) => Some((at + 1).min(talk.entries.len() - 1)),
        };
        let Some(entry) = next.and_then(|at| talk.entries.get(at)) else {
            return;
        };
        look.chosen = Some(entry.place);
        self.focus = Focus::Body;
        self.show_chosen(model);
    }

    fn talk_key(&mut self, model: &Model, key: KeyEvent, deeds: &mut Vec<Do>) {
        match key.code {
            KeyCode::Up | KeyCode::Char('k') => {
                let was = self.chosen_entry(model).map(|entry| entry.place);
                self.choose(model, true);
                let is = self.chosen_entry(model).map(|entry| entry.place);
                if was == is
                    && let Some(Subject::Talk(with)) = self.open.clone()
                {
                    self.older(model, with, deeds);
                }
            }
            KeyCode::Down | KeyCode::Char('j') => {
                let last = self.talk(model).and_then(|talk| talk.entries.last());
                let last = last.map(|entry| entry.place);
                if self.chosen_entry(model).map(|entry| entry.place) == last {
                    self.unchoose();
                    self.focus = Focus::Input;
                } else {
                    self.choose(model, false);
                }
            }
            KeyCode::Char(letter @ ('r' | 'c' | 'e' | 'q')) => {
                if let Some(entry) = self.chosen_entry(model).cloned() {
                    self.with_message(model, letter, &entry, deeds);
                }
            }
            _ => {}
        }
    }

    fn with_message(&mut self, model: &Model, letter: char, entry: &Entry, deeds: &mut Vec<Do>) {
        let Some(talk) = self.talk(model) else { return };
        let stage = Stage::of(entry);
        let (with, place) = (entry.conversation.clone(), entry.place);
        match letter {
            'r' => match stage {
                Some(Stage::Failed) => deeds.push(Do::Order(Order::Again { with, place })),
                Some(Stage::InDoubt) => {
                    let text = "Nobody can say whether this message is there. If it is said \
                                again, it may be there twice.";
                    let order = Order::Again { with, place };
                    let question = Question::sure(text.to_owned(), "Say it again", order);
                    self.over = Some(Over::Question(question));
                }
                _ => self.tell(
                    Severity::Info,
                    "only what failed or is in doubt can be said again".to_owned(),
                ),
            },
            'c' => match (stage, &entry.id) {
                (Some(stage), Some(id)) if stage.can_be_cancelled() => {
                    deeds.push(Do::Order(Order::Cancel { id: id.clone() }));
                }
                _ => self.tell(
                    Severity::Info,
                    "only what is not settled yet can be taken back".to_owned(),
                ),
            },
            'e' if talk::is_our_last(talk, entry) => {
                self.line = Line::of(&entry.body);
                self.unchoose();
                self.correcting = Some(place);
                self.focus = Focus::Input;
            }
            'e' => self.tell(
                Severity::Info,
                "only what we said last can be corrected".to_owned(),
            ),
            _ => {
                let quoted: Vec<_> = entry.body.lines().map(|line| format!("> {line}")).collect();
                self.line.insert(&format!("{}\n", quoted.join("\n")));
                self.unchoose();
                self.focus = Focus::Input;
            }
        }
    }

    fn thing_key(&mut self, model: &Model, of: &ThingKey, key: KeyEvent, deeds: &mut Vec<Do>) {
        let Some(thing) = model.things.get(of) else {
            return;
        };
        let controls = thing.controls.as_deref().unwrap_or_default();
        let look = self.things.entry(of.clone()).or_default();
        let last = controls.len().saturating_sub(1);
        match key.code {
            KeyCode::Up | KeyCode::Char('k') => look.chosen = look.chosen.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => look.chosen = (look.chosen + 1).min(last),
            KeyCode::Char('r') => deeds.push(Do::Order(Order::Controls(of.clone()))),
            KeyCode::Enter | KeyCode::Char(' ') => {
                if let Some(control) = controls.get(look.chosen.min(last)) {
                    let now = things::current(thing, control);
                    let setting = Setting::new(of.clone(), control.clone(), now);
                    self.over = Some(Over::Setting(setting));
                }
            }
            KeyCode::Char('/') => {
                self.focus = Focus::Input;
                self.line.insert("/");
            }
            _ => {}
        }
    }

    fn input_key(&mut self, model: &Model, key: KeyEvent, deeds: &mut Vec<Do>) {
        let newline = key
            .modifiers
            .intersects(KeyModifiers::ALT | KeyModifiers::SHIFT);
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if !matches!(key.code, KeyCode::Tab | KeyCode::BackTab) {
            self.completing.over();
        }
        match key.code {
            KeyCode::Enter if newline => self.line.insert("\n"),
            KeyCode::Char('j') if control => self.line.insert("\n"),
            KeyCode::Enter => self.send(model, deeds),
            KeyCode::Tab | KeyCode::BackTab => {
                let back = key.code == KeyCode::BackTab;
                let open = self.open.as_ref();
                let completed = !self.line.is_empty()
                    && self.completing.next(&mut self.line, open, model, back);
                if !completed && self.line.is_empty() {
                    match (back, &self.open) {
                        (true, Some(Subject::Talk(_))) => self.choose(model, true),
                        (true, Some(Subject::Thing(_))) => self.focus = Focus::Body,
                        _ => self.list_has_keys(),
                    }
                }
            }
            KeyCode::Esc => {
                if self.correcting.is_some() {
                    self.drop_line();
                } else {
                    self.told = None;
                    self.newest();
                }
            }
            KeyCode::Up => {
                if !self.line.edit(Edit::Up) {
                    self.sent.back(&mut self.line);
                }
            }
            KeyCode::Down => {
                if !self.line.edit(Edit::Down) {
                    self.sent.forth(&mut self.line);
                }
            }
            KeyCode::Char('?') if self.line.is_empty() => self.over = Some(Over::Help(0)),
            _ => {
                if let Some(letter) = keys::letter(key) {
                    self.line.insert(letter.encode_utf8(&mut [0; 4]));
                    self.writes(deeds);
                } else if let Some(edit) = keys::edit(key)
                    && self.line.edit(edit)
                {
                    self.writes(deeds);
                }
            }
        }
    }

    /// The other side may know that a person writes.
    fn writes(&mut self, deeds: &mut Vec<Do>) {
        let command = self.line.text().starts_with('/');
        if let Some(Subject::Talk(with)) = &self.open
            && !self.line.is_empty()
            && !command
            && self.now - self.writing >= WRITING
        {
            self.writing = self.now;
            deeds.push(Do::Order(Order::Writing(with.clone())));
        }
    }

    pub(super) fn paste(&mut self, model: &Model, text: &str, deeds: &mut Vec<Do>) {
        match &mut self.over {
            Some(Over::Search(search)) => {
                let line = text.lines().next().unwrap_or_default();
                search.line.insert(line);
            }
            Some(Over::Setting(setting)) => setting.paste(text),
            Some(_) => {}
            None => {
                if let (Focus::List, Some(filter)) = (self.focus, &mut self.list.filter) {
                    filter.insert(text.lines().next().unwrap_or_default());
                    self.list.at = list::subjects(model, self.list.filter.as_ref())
                        .into_iter()
                        .next();
                    return;
                }
                self.focus = Focus::Input;
                self.completing.over();
                self.line.insert(text);
                self.writes(deeds);
            }
        }
    }
}
