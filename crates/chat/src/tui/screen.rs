//! What the terminal knows itself: which pane has the keys, what is open, how far it is
//! scrolled, what is being written, which window is over it. It changes by keys and by looks
//! at the model, and gives what is to be done; it has no I/O and asks no clock. The panes
//! know nothing of it: what each needs is handed to it.

use std::collections::{HashMap, HashSet};

use crossterm::event::{KeyEvent, MouseEvent};
use jiff::tz::TimeZone;
use ratatui::layout::Rect;
use stanchion::BareJid;
use stanchion::services::history::{Direction, Entry, Place};

use super::areas::{Areas, Shown, areas};
use super::complete::Completing;
use super::dialog::{Question, Setting};
use super::input::{Line, Sent};
use super::list::List;
use super::pen::Pen;
use super::search::Search;
use super::subject::Subject;
use super::theme::Theme;
use super::{list, talk, things};
use crate::app::{LinkState, Model, Order, Severity, Talk, ThingKey};

/// Pages that are asked for to show one message.
const JUMPS: usize = 12;

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
    /// Drawing everything anew: something else may have written on the terminal.
    Redraw,
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
    pub(super) drafts: HashMap<Subject, Line>,
    pub(super) sent: Sent,
    /// Questions that were put off.
    pub(super) later: HashSet<BareJid>,
    /// What is to be shown, and how often more was asked for.
    pub(super) jump: Option<(BareJid, Place, usize)>,
    pub(super) writing: i64,
    pub(super) interrupted: i64,
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
        if !attention || !follows || !talk.loaded || self.jump.is_some() {
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

    pub(super) fn paper<'a>(
        &'a self,
        model: &'a Model,
        look: &'a talk::Look,
    ) -> Option<talk::Paper<'a>> {
        let talk = self.talk(model)?;
        let body = self.areas().body;
        Some(talk::Paper {
            model,
            talk,
            look,
            pen: self.pen(),
            columns: body.width.into(),
            rows: body.height.into(),
        })
    }

    /// Where what stands.
    pub(super) fn areas(&self) -> Areas {
        let (width, height) = self.size;
        self.areas_in(Rect::new(0, 0, width, height))
    }

    /// The same, in a frame of that size.
    pub(super) fn areas_in(&self, all: Rect) -> Areas {
        let shown = Shown {
            open: self.open.as_ref(),
            list: self.focus == Focus::List,
            aside: self.aside,
            line: &self.line,
        };
        areas(shown, all)
    }

    /// The left pane, as it is to be shown.
    pub(super) fn listed(&self) -> list::Shown<'_> {
        list::Shown {
            list: &self.list,
            open: self.open.as_ref(),
            focused: self.focus == Focus::List,
        }
    }

    /// What all panes draw with.
    pub(super) const fn pen(&self) -> Pen<'_> {
        Pen {
            theme: self.theme,
            zone: &self.zone,
            now: self.now,
        }
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
        self.sent.over();
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

    pub(super) fn neighbour(&mut self, model: &Model, up: bool, deeds: &mut Vec<Do>) {
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

    pub(super) fn next_unread(&mut self, model: &Model, deeds: &mut Vec<Do>) {
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

    pub(super) fn older(&mut self, model: &Model, with: BareJid, deeds: &mut Vec<Do>) {
        let talk = model
            .talks
            .get(&with)
            .filter(|talk| talk.loaded && !talk.first);
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

    pub(super) fn newest(&mut self) {
        if let Some(Subject::Talk(with)) = &self.open
            && let Some(look) = self.looks.get_mut(with)
        {
            look.bottom = None;
        }
    }

    pub(super) fn show_chosen(&mut self, model: &Model) {
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
}
