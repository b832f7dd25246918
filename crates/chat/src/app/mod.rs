//! A person's client, as both faces show it: the terminal (`tui`) and the browser
//! (`dashboard`).
//!
//! [`Model`] is what can be seen, without I/O, clock or task: it changes by [`Event`]s and by
//! nothing else, so a face is a function of it. [`Desk`] is its driver: it owns the client,
//! turns what happens there into events, and carries [`Order`]s out. What a face alone
//! knows, as which window is open, is the face's.

mod desk;
mod event;
mod flow;
mod link;
mod model;
mod order;
mod person;
mod room;
mod talk;
#[cfg(test)]
mod tests;
mod thing;

pub(crate) use desk::{Desk, DeskConfig};
pub(crate) use event::{Event, Notice, Severity};
pub(crate) use flow::Gauge;
pub(crate) use link::{Link, LinkState, Secured};
pub(crate) use model::Model;
pub(crate) use order::{Answer, Order};
pub(crate) use person::Person;
#[cfg(test)]
pub(crate) use person::Whereabouts;
#[cfg(test)]
pub(crate) use room::Member;
pub(crate) use room::{Room, RoomChange};
pub(crate) use talk::{Stage, Talk, TalkKind};
pub(crate) use thing::{Control, ControlKind, Field, Point, Thing, ThingKey, as_number};
