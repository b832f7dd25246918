//! What was missed in a room, read from its archive page by page (XEP-0313): each page is
//! kept before the next one is asked for.

use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::datetime;
use stanchion_stanza::payload::mam::{ArchiveResult, Fin};
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::{Payload as _, Text};

use super::super::super::event::RoomEvent;
use super::super::Out;
use super::super::archive::{self, From};
use super::{MARGIN, Next, Phase, Room, What};
use crate::request::{Request, RequestError};
use crate::service::Output;

/// Between two tries at an inbox that is full, or an archive that does not answer.
const PAUSE: Duration = Duration::from_millis(500);
/// Silent archives in a row after which we do without.
const SILENT: u32 = 5;

impl Room {
    /// From when something was heard last, by our clock.
    pub(super) fn since_heard(&self) -> From {
        let margin = i64::try_from(MARGIN.as_millis()).unwrap_or(0);
        From::Time(datetime::utc(self.heard_wall.saturating_sub(margin)))
    }

    /// Where the archive ends: what comes later is read when it was missed.
    pub(super) fn ask_for_end(&self, out: &mut Out) {
        let query = archive::ask_for_end().to_element();
        self.request(What::End, Request::set(Some(self.jid()), query), out);
    }

    pub(super) fn read(&mut self, out: &mut Out) {
        self.phase = Phase::Reading;
        self.until = None;
        // Nobody else is asked under that number.
        let tag = out.next + 1;
        let queryid = Text::new(format!("r{tag}")).unwrap_or_default();
        let query = self.page.ask(queryid, &self.from).to_element();
        self.request(What::Page, Request::set(Some(self.jid()), query), out);
    }

    /// A message of the archive, from the room itself.
    pub(in super::super) fn page_has(&mut self, result: &ArchiveResult) {
        if self.phase == Phase::Reading {
            self.page.take(&self.jid, result);
        }
    }

    pub(super) fn page_ends(&mut self, fin: &Fin, out: &mut Out) {
        self.page.ends(fin);
        self.silent = 0;
        self.give(out);
    }

    pub(super) fn give(&mut self, out: &mut Out) {
        if self.page.rest().is_empty() {
            return self.page_is_kept(out);
        }
        self.phase = Phase::Giving;
        self.until = None;
        let tag = out.tag(&self.jid, self.asks(What::Give));
        out.put(Output::Archived {
            tag,
            messages: self.page.rest().to_vec(),
        });
    }

    /// The engine has kept so many.
    pub(in super::super) fn archived(&mut self, now: Now, taken: usize, out: &mut Out) -> bool {
        if self.phase == Phase::Giving {
            self.page.kept(taken);
            if taken == 0 {
                self.pause(now, Next::Give);
            } else {
                self.give(out);
            }
        }
        false
    }

    fn page_is_kept(&mut self, out: &mut Out) {
        if let Some(last) = self.page.last().cloned() {
            self.from = From::After(last.clone());
            self.position = Some(last);
            self.keep(out);
        }
        if self.page.is_complete() {
            self.settled = true;
            self.open(out);
        } else {
            self.read(out);
        }
    }

    /// The archive does not answer, or not that.
    pub(super) fn page_fails(&mut self, now: Now, error: &RequestError, out: &mut Out) {
        let condition = error.refusal().map(|error| error.condition);
        match (condition, &self.from) {
            (None, _) if self.silent < SILENT => {
                self.silent += 1;
                self.pause(now, Next::Read);
            }
            // It does not go back so far, or not by that id.
            (Some(DefinedCondition::ItemNotFound), From::After(_)) => {
                let room = self.jid.clone();
                out.event(RoomEvent::Gap { room });
                self.from = self.since_heard();
                self.read(out);
            }
            _ => {
                let room = self.jid.clone();
                out.event(RoomEvent::Gap { room });
                self.settled = false;
                self.open(out);
            }
        }
    }

    pub(super) fn pause(&mut self, now: Now, next: Next) {
        self.phase = Phase::Waiting(next);
        self.until = Some(now.monotonic + PAUSE);
    }
}
