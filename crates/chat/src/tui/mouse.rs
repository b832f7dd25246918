//! The mouse: a click chooses, the wheel scrolls what is under it.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::screen::{Do, Focus, Over, Screen};
use super::subject::Subject;
use super::{dialog, list};
use crate::app::Model;

/// Rows that one step of the wheel goes.
const STEP: usize = 3;

impl Screen {
    pub(super) fn mouse(&mut self, model: &Model, mouse: MouseEvent, deeds: &mut Vec<Do>) {
        let at = Position::new(mouse.column, mouse.row);
        match mouse.kind {
            MouseEventKind::ScrollUp => self.wheel(model, at, true, deeds),
            MouseEventKind::ScrollDown => self.wheel(model, at, false, deeds),
            MouseEventKind::Down(MouseButton::Left) => self.click(model, at, deeds),
            _ => {}
        }
    }

    fn wheel(&mut self, model: &Model, at: Position, up: bool, deeds: &mut Vec<Do>) {
        match &mut self.over {
            Some(Over::Help(top) | Over::Delivery(top)) => {
                *top = match up {
                    true => top.saturating_sub(STEP),
                    false => top.saturating_add(STEP).min(10_000),
                };
                return;
            }
            Some(Over::Search(search)) => {
                let last = model.found.as_ref().map_or(0, |(_, found)| found.len());
                search.at = match up {
                    true => search.at.saturating_sub(1),
                    false => (search.at + 1).min(last.saturating_sub(1)),
                };
                return;
            }
            Some(_) => return,
            None => {}
        }
        if !self.areas().list.contains(at) {
            return self.scroll(model, STEP, up, deeds);
        }
        let all = list::subjects(model, self.list.filter.as_ref());
        let here = self.list.at.as_ref().or(self.open.as_ref());
        let here = here.and_then(|here| all.iter().position(|one| one == here));
        let next = match (here, up) {
            (Some(at), true) => at.saturating_sub(STEP),
            (Some(at), false) => (at + STEP).min(all.len().saturating_sub(1)),
            (None, _) => 0,
        };
        self.focus = Focus::List;
        self.list.at = all.get(next).cloned();
    }

    fn click(&mut self, model: &Model, at: Position, deeds: &mut Vec<Do>) {
        let areas = self.areas();
        let (width, height) = self.size;
        let theme = self.theme;
        match &mut self.over {
            Some(Over::Question(question)) => {
                let all = Rect::new(0, 0, width, height);
                let came = dialog::click(question, all, theme, at.x, at.y);
                return self.came(came, deeds);
            }
            Some(_) => return,
            None => {}
        }
        if areas.list.contains(at) {
            let row = at.y - areas.list.y;
            if let Some(subject) = list::at_row(model, &self.listed(), areas.list, row) {
                self.open(subject, deeds);
                self.enter();
            } else {
                self.focus = Focus::List;
            }
        } else if areas.body.contains(at) {
            let Some(Subject::Talk(with)) = self.open.clone() else {
                self.focus = Focus::Body;
                return;
            };
            let look = self.looks.get(&with).cloned().unwrap_or_default();
            let paper = self.paper(model, &look);
            let place = paper.and_then(|paper| paper.at_row((at.y - areas.body.y).into()));
            if place.is_some() {
                self.looks.entry(with).or_default().chosen = place;
                self.focus = Focus::Body;
            }
        } else if areas.input.contains(at) {
            self.focus = Focus::Input;
        } else if areas.note.contains(at) && self.question_line(model).is_some() {
            self.ask(model);
        } else if areas.strip.contains(at) {
            self.over = Some(Over::Delivery(0));
        }
    }
}
