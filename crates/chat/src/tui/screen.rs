//! What the terminal knows itself: which pane has the keys, what is open, how far it is
//! scrolled, what is being written, which window is over it. It changes by keys and by looks
//! at the model, and gives what is to be done; it has no I/O and asks no clock.

use std::collections::{HashMap, HashSet};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEvent};
use jiff::tz::TimeZone;
use stanchion::BareJid;
use stanchion::services::history::{Direction, Entry, Place};

use super::complete::Completing;
use super::dialog::{self, Question, Reply, Setting};
use super::input::{Edit, Line, Sent};
use super::keys::{self, Act};
use super::list::List;
use super::search::{self, Search};
use super::theme::Theme;
use super::{command, help, list, talk, things};
use crate::app::{Answer, LinkState, Model, Order, Severity, Talk, ThingKey};

/// Between two words to the other side that a person writes, in milliseconds.
const WRITING: i64 = 1000;
/// Within that time a second Ctrl-C leaves, in milliseconds.
const TWICE: i64 = 2000;
/// Pages that are asked for to show one message.
const JUMPS: usize = 12;

/// Something that can be open.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// A conversation.
    Talk(BareJid),
    /// A thing.
    Thing(ThingKey),
}

/// Which pane has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    List,
    Body,
    Input,
}

/// A window over the screen.
#[derive(Debug, Clone)]
pub(super) enum Over {
    Help(usize),
    Delivery(usize),
    Search(Search),
    Question(Question),
    Setting(Setting),
}

/// What comes to the screen.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// A key.
    Key(KeyEvent),
    /// The mouse.
    Mouse(MouseEvent),
    /// Text that was pasted.
    Paste(String),
    /// Whether the terminal has the keyboard.
    Focus(bool),
    /// The terminal has that many columns and rows.
    Size(u16, u16),
    /// The model is otherwise than before.
    Changed,
    /// Time passes.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub(crate) enum Do {
    /// By the desk.
    Order(Order),
    /// Ending.
    Quit,
    /// A sound: something new came, and nobody looks.
    Bell,
}

/// The terminal's own state.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    pub(super) theme: Theme,
    pub(super) zone: TimeZone,
    /// Columns and rows.
    pub(super) size: (u16, u16),
    /// In Unix milliseconds.
    pub(super) now: i64,
    pub(super) focus: Focus,
    pub(super) open: Option<Subject>,
    pub(super) list: List,
    pub(super) looks: HashMap<BareJid, talk::Look>,
    pub(super) things: HashMap<ThingKey, things::Look>,
    pub(super) line: Line,
    pub(super) aside: bool,
    pub(super) over: Option<Over>,
    /// Something of ours for the person.
    pub(super) told: Option<(i64, Severity, String)>,
    /// The message that is being corrected.
    pub(super) correcting: Option<Place>,
    pub(super) completing: Completing,
    /// Since when there is no connection.
    pub(super) waiting_since: i64,
    link: Option<LinkState>,
    attention: bool,
    drafts: HashMap<Subject, Line>,
    sent: Sent,
    /// Questions that were put off.
    later: HashSet<BareJid>,
    /// What is to be shown, and how often more was asked for.
    jump: Option<(BareJid, Place, usize)>,
    writing: i64,
    interrupted: i64,
    unread: u64,
}

impl Screen {
    /// Nothing is open.
    pub(crate) fn new(theme: Theme, zone: TimeZone, size: (u16, u16), now: i64) -> Self {
        Self {
            theme,
            zone,
            size,
            now,
            focus: Focus::Input,
            open: None,
            list: List::default(),
            looks: HashMap::new(),
            things: HashMap::new(),
            line: Line::default(),
            aside: true,
            over: None,
            told: None,
            correcting: None,
            completing: Completing::default(),
            waiting_since: now,
            link: None,
            attention: true,
            drafts: HashMap::new(),
            sent: Sent::default(),
            later: HashSet::new(),
            jump: None,
            writing: 0,
            interrupted: 0,
            unread: 0,
        }
    }

    /// Something came, at that time in Unix milliseconds.
    pub(crate) fn update(&mut self, model: &Model, now: i64, input: Input) -> Vec<Do> {
        self.now = now;
        let mut deeds = Vec::new();
        match input {
            Input::Key(key) => self.key(model, key, &mut deeds),
            Input::Mouse(mouse) => self.mouse(model, mouse, &mut deeds),
            Input::Paste(text) => self.paste(model, &text, &mut deeds),
            Input::Focus(has) => {
                self.attention = has;
                deeds.push(Do::Order(Order::Attention(has)));
            }
            Input::Size(columns, rows) => self.size = (columns, rows),
            Input::Changed | Input::Tick => {}
        }
        self.look(model, &mut deeds);
        deeds
    }

    /// Tells the person something.
    pub(crate) fn tell(&mut self, severity: Severity, text: String) {
        self.told = Some((self.now, severity, text));
    }

    // ---- what is looked at ----------------------------------------------------------

    /// Takes note of the model: what is new, what is seen, what is missing.
    fn look(&mut self, model: &Model, deeds: &mut Vec<Do>) {
        if self.link.as_ref() != Some(&model.link.state) {
            self.link = Some(model.link.state.clone());
            self.waiting_since = self.now;
        }
        let unread = model.unread();
        if unread > self.unread && !self.attention {
            deeds.push(Do::Bell);
        }
        self.unread = unread;
        self.later
            .retain(|who| model.asked.contains_key(who) || model.invited.contains_key(who));
        let Some(Subject::Talk(with)) = self.open.clone() else {
            return;
        };
        let Some(talk) = model.talks.get(&with) else {
            return;
        };
        self.jump_on(model, talk, deeds);
        let attention = self.attention && self.over.is_none();
        let look = self.looks.entry(with.clone()).or_default();
        let follows = look.bottom.is_none();
        let first = talk.entries.iter().find(|entry| entry.unread);
        if look.new_from.is_none()
            && (!attention || !follows || look.seen.is_none())
            && let Some(first) = first
        {
            look.new_from = Some(first.place);
        }
        if !attention || !follows || !talk.loaded {
            return;
        }
        let last = talk.entries.iter().rfind(|e| e.direction == Direction::In);
        if let Some(last) = last.filter(|e| e.unread && look.seen < Some(e.place)) {
            look.seen = Some(last.place);
            let place = last.place;
            deeds.push(Do::Order(Order::Seen { with, place }));
        } else if look.seen.is_none() {
            look.seen = talk.entries.last().map(|e| e.place);
        }
    }

    /// Brings a message to be shown here, page by page.
    fn jump_on(&mut self, model: &Model, talk: &Talk, deeds: &mut Vec<Do>) {
        let Some((with, place, asked)) = self.jump.clone() else {
            return;
        };
        if with != talk.with || !talk.loaded {
            return;
        }
        if talk.entry(place).is_some() {
            self.jump = None;
            self.looks.entry(with.clone()).or_default().chosen = Some(place);
            self.focus = Focus::Body;
            self.show_chosen(model);
            return;
        }
        let first = talk.entries.first().map(|entry| entry.place);
        let look = self.looks.entry(with.clone()).or_default();
        match first.filter(|first| place < *first && !talk.first && asked < JUMPS) {
            Some(than) if look.older != Some(than) => {
                look.older = Some(than);
                self.jump = Some((with.clone(), place, asked + 1));
                deeds.push(Do::Order(Order::Older { with, than }));
            }
            // It comes.
            Some(_) => {}
            None => {
                self.jump = None;
                let text = "that message is further back than a conversation is shown here";
                self.tell(Severity::Failure, text.to_owned());
            }
        }
    }

    /// The conversation that is open.
    pub(super) fn talk<'a>(&self, model: &'a Model) -> Option<&'a Talk> {
        match &self.open {
            Some(Subject::Talk(with)) => model.talks.get(with),
            _ => None,
        }
    }

    /// The message that is chosen, while the conversation has the keys.
    pub(super) fn chosen_entry<'a>(&self, model: &'a Model) -> Option<&'a Entry> {
        let talk = self.talk(model).filter(|_| self.focus == Focus::Body)?;
        let look = self.looks.get(&talk.with)?;
        talk.entry(look.chosen?)
    }

    /// Whether the middle pane has the keys.
    pub(super) fn in_body(&self) -> bool {
        self.focus == Focus::Body
    }

    pub(super) fn paper<'a>(&'a self, model: &'a Model, look: &'a talk::Look) -> Option<talk::Paper<'a>> {
        let talk = self.talk(model)?;
        let body = self.areas().body;
        Some(talk::Paper {
            model,
            talk,
            look,
            theme: self.theme,
            zone: &self.zone,
            columns: body.width.into(),
            rows: body.height.into(),
        })
    }

    pub(super) fn areas(&self) -> super::view::Areas {
        let (width, height) = self.size;
        super::view::areas(self, ratatui::layout::Rect::new(0, 0, width, height))
    }

    // ---- what is open ---------------------------------------------------------------

    /// Opens it, with what was begun there.
    pub(super) fn open(&mut self, subject: Subject, deeds: &mut Vec<Do>) {
        if self.open.as_ref() == Some(&subject) {
            return;
        }
        if let Some(old) = self.open.take() {
            if let Subject::Talk(with) = &old
                && let Some(look) = self.looks.get_mut(with)
            {
                (look.chosen, look.new_from, look.seen) = (None, None, None);
                look.bottom = None;
            }
            let draft = std::mem::take(&mut self.line);
            match draft.is_empty() || self.correcting.is_some() {
                true => drop(self.drafts.remove(&old)),
                false => drop(self.drafts.insert(old, draft)),
            }
        }
        self.line = self.drafts.remove(&subject).unwrap_or_default();
        self.correcting = None;
        self.completing.over();
        self.sent.changed();
        match &subject {
            Subject::Talk(with) => deeds.push(Do::Order(Order::Open(with.clone()))),
            Subject::Thing(of) => deeds.push(Do::Order(Order::Controls(of.clone()))),
        }
        self.list.at = Some(subject.clone());
        self.open = Some(subject);
    }

    /// The line has the keys, or the thing whose controls are chosen by them.
    pub(super) fn enter(&mut self) {
        self.focus = match self.open {
            Some(Subject::Thing(_)) => Focus::Body,
            _ => Focus::Input,
        };
        self.list.filter = None;
    }

    fn neighbour(&mut self, model: &Model, up: bool, deeds: &mut Vec<Do>) {
        let all = list::subjects(model, self.list.filter.as_ref());
        let at = self.open.as_ref();
        let at = at.and_then(|open| all.iter().position(|one| one == open));
        let next = match (at, up) {
            (Some(at), true) => at.checked_sub(1),
            (Some(at), false) => Some(at + 1),
            (None, true) => all.len().checked_sub(1),
            (None, false) => Some(0),
        };
        if let Some(next) = next.and_then(|at| all.get(at)) {
            self.open(next.clone(), deeds);
            self.enter();
        }
    }

    fn next_unread(&mut self, model: &Model, deeds: &mut Vec<Do>) {
        let unread = model.talks.values().filter(|talk| talk.unread > 0);
        let latest = unread
            .filter(|talk| self.open.as_ref() != Some(&Subject::Talk(talk.with.clone())))
            .max_by_key(|talk| talk.latest);
        match latest {
            Some(talk) => {
                self.open(Subject::Talk(talk.with.clone()), deeds);
                self.enter();
            }
            None => self.tell(Severity::Info, "nothing else is new".to_owned()),
        }
    }

    // ---- scrolling ------------------------------------------------------------------

    /// Moves what is open by so many rows.
    pub(super) fn scroll(&mut self, model: &Model, rows: usize, up: bool, deeds: &mut Vec<Do>) {
        match self.open.clone() {
            Some(Subject::Talk(with)) => {
                let look = self.looks.get(&with).cloned().unwrap_or_default();
                let Some(paper) = self.paper(model, &look) else {
                    return;
                };
                let (bottom, first) = match up {
                    true => paper.up(rows),
                    false => (paper.down(rows), false),
                };
                let look = self.looks.entry(with.clone()).or_default();
                look.bottom = bottom;
                if first {
                    self.older(model, with, deeds);
                }
            }
            Some(Subject::Thing(key)) => {
                let fields = model.things.get(&key).map_or(0, |thing| thing.fields.len());
                let look = self.things.entry(key).or_default();
                look.top = match up {
                    true => look.top.saturating_sub(rows),
                    false => (look.top + rows).min(fields.saturating_sub(1)),
                };
            }
            None => {}
        }
    }

    fn older(&mut self, model: &Model, with: BareJid, deeds: &mut Vec<Do>) {
        let talk = model.talks.get(&with).filter(|talk| talk.loaded && !talk.first);
        let first = talk.and_then(|talk| talk.entries.first());
        let Some(than) = first.map(|entry| entry.place) else {
            return;
        };
        let look = self.looks.entry(with.clone()).or_default();
        if look.older == Some(than) {
            let text = "what is older is found by looking for it: Ctrl-F";
            self.tell(Severity::Info, text.to_owned());
            return;
        }
        look.older = Some(than);
        deeds.push(Do::Order(Order::Older { with, than }));
    }

    fn newest(&mut self) {
        if let Some(Subject::Talk(with)) = &self.open
            && let Some(look) = self.looks.get_mut(with)
        {
            look.bottom = None;
        }
    }

    fn show_chosen(&mut self, model: &Model) {
        let Some(Subject::Talk(with)) = self.open.clone() else {
            return;
        };
        let look = self.looks.get(&with).cloned().unwrap_or_default();
        let Some(place) = look.chosen else { return };
        let bottom = self.paper(model, &look).map(|paper| paper.showing(place));
        if let Some(bottom) = bottom {
            self.looks.entry(with).or_default().bottom = bottom;
        }
    }

    // ---- keys -----------------------------------------------------------------------

    fn key(&mut self, model: &Model, key: KeyEvent, deeds: &mut Vec<Do>) {
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
        self.sent.changed();
    }

    fn over_key(&mut self, model: &Model, key: KeyEvent, deeds: &mut Vec<Do>) {
        let leaves = key.code == KeyCode::Esc || keys::act(key) == Some(Act::Interrupt);
        let page = usize::from(self.size.1.saturating_sub(6).max(1));
        let last_help = help::last(self);
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
            deeds.extend(done);
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
                return self.to_list();
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

    fn to_list(&mut self) {
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
        use crate::app::Stage;
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
        let newline = key.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SHIFT);
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
                        _ => self.to_list(),
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
        self.sent.changed();
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

    // ---- what is said ---------------------------------------------------------------

    fn send(&mut self, model: &Model, deeds: &mut Vec<Do>) {
        let text = self.line.text().trim_end().to_owned();
        if text.trim().is_empty() {
            return;
        }
        let said = match text.strip_prefix('/') {
            Some(command) if !command.starts_with('/') && !command.starts_with("me ") => {
                match command::meaning(command, self.open.as_ref(), model) {
                    Ok(meaning) => self.mean(meaning, deeds),
                    Err(wrong) => return self.tell(Severity::Failure, wrong),
                }
                self.sent.remember(&text);
                self.line.take();
                return;
            }
            Some(rest) if rest.starts_with('/') => rest.to_owned(),
            _ => text.clone(),
        };
        let Some(Subject::Talk(with)) = self.open.clone() else {
            let text = match self.open {
                Some(_) => "a thing does not listen: /set PARAMETER VALUE sets something",
                None => "open a conversation first: Ctrl-G, or /open name@domain",
            };
            return self.tell(Severity::Failure, text.to_owned());
        };
        self.sent.remember(&text);
        self.line.take();
        deeds.push(Do::Order(match self.correcting.take() {
            Some(_) => Order::Correct { with: with.clone(), text: said },
            None => Order::Say {
                to: with.clone(),
                text: said,
            },
        }));
        let look = self.looks.entry(with).or_default();
        (look.bottom, look.new_from) = (None, None);
    }

    fn mean(&mut self, meaning: command::Meaning, deeds: &mut Vec<Do>) {
        match meaning {
            command::Meaning::Order(order) => deeds.push(Do::Order(order)),
            command::Meaning::Sure(text, order) => {
                self.over = Some(Over::Question(Question::sure(text, "Yes", order)));
            }
            command::Meaning::Open(subject, order) => {
                self.line.take();
                self.open(subject, deeds);
                self.enter();
                let opens = matches!(order, Some(Order::Open(_)));
                deeds.extend(order.filter(|_| !opens).map(Do::Order));
            }
            command::Meaning::Search(words) => self.search(words, deeds),
            command::Meaning::Help => self.over = Some(Over::Help(0)),
            command::Meaning::Quit => deeds.push(Do::Quit),
        }
    }

    fn search(&mut self, words: String, deeds: &mut Vec<Do>) {
        let open = match &self.open {
            Some(Subject::Talk(with)) => Some(with.clone()),
            _ => None,
        };
        let mut search = Search {
            line: Line::of(&words),
            with: None,
            open,
            ..Search::default()
        };
        if let search::Came::Ask(order) = search.ask() {
            deeds.push(Do::Order(order));
        }
        self.over = Some(Over::Search(search));
    }

    // ---- questions ------------------------------------------------------------------

    /// What waits for an answer, in a line.
    pub(super) fn question_line(&self, model: &Model) -> Option<String> {
        let asked = model.asked.keys().find(|who| !self.later.contains(*who));
        if let Some(who) = asked {
            return Some(format!("{who} asks to see how you are"));
        }
        let mut invited = model.invited.iter();
        let (room, (by, _)) = invited.find(|(room, _)| !self.later.contains(*room))?;
        let by = by.as_deref().unwrap_or("somebody");
        Some(format!("{by} invites you to {room}"))
    }

    /// Puts the first question; those that were put off come last.
    pub(super) fn ask(&mut self, model: &Model) {
        let asked = model.asked.iter().map(|(who, text)| (who, Some(text)));
        let invited = model.invited.keys().map(|room| (room, None));
        let mut all: Vec<_> = asked.chain(invited).collect();
        all.sort_by_key(|(who, _)| self.later.contains(*who));
        let Some((who, text)) = all.first() else {
            return self.tell(Severity::Info, "nothing is asked".to_owned());
        };
        let who = (*who).clone();
        let later = Reply {
            key: 'l',
            word: "Later",
            deeds: Vec::new(),
        };
        let reply = |key, word, order| Reply {
            key,
            word,
            deeds: vec![Do::Order(order)],
        };
        let (text, replies) = match text {
            Some(said) => {
                let said = match said.is_empty() {
                    true => String::new(),
                    false => format!("\nThey say: {said}"),
                };
                let answer = |answer| Order::Answer {
                    to: who.clone(),
                    answer,
                };
                let text = format!("May {who} see whether and how you are there?{said}");
                let accept = reply('a', "Accept, and ask for theirs", answer(Answer::Accept));
                let deny = reply('d', "Deny", answer(Answer::Deny));
                (text, vec![later, accept, deny])
            }
            None => {
                let invited = model.invited.get(&who);
                let (by, why) = invited.cloned().unwrap_or_default();
                let by = by.unwrap_or_else(|| "Somebody".to_owned());
                let why = why.filter(|why| !why.is_empty());
                let why = why.map(|why| format!("\nThey say: {why}"));
                let text = format!("{by} invites you to {who}.{}", why.unwrap_or_default());
                let join = Order::Join {
                    room: who.clone(),
                    nick: None,
                    password: None,
                };
                (text, vec![later, reply('j', "Join", join)])
            }
        };
        // Whatever is answered, it is not put again by itself.
        self.later.insert(who);
        self.over = Some(Over::Question(Question {
            text,
            replies,
            at: 0,
        }));
    }
}
