//! A small world to test reliable XMPP in: virtual time, links that break, and a
//! modelled server that forgets, delays and copies. From tests only.
//!
//! Everything is plain data and follows from a seed: the same seed gives the same run.
//! Nothing here reads a clock, opens a socket or starts a thread. A test owns the loop:
//! it takes the next event from a [`Schedule`], gives it to whom it concerns, and
//! schedules what follows.
//!
//! ```
//! use std::time::Duration;
//! use stanchion_testkit::{Direction, Link, Random, Schedule};
//!
//! let mut random = Random::new(7);
//! let mut schedule = Schedule::default();
//! let mut link = Link::new(Duration::from_millis(20));
//! for word in ["first", "second"] {
//!     let arrival = link.send(schedule.now(), Direction::Up, &mut random);
//!     schedule.at(arrival.expect("the link is up"), word);
//! }
//! // A link keeps the order, whatever the jitter.
//! assert_eq!(schedule.pop(), Some("first"));
//! assert!(schedule.now() >= Duration::from_millis(20));
//! assert_eq!(schedule.pop(), Some("second"));
//! assert_eq!(schedule.pop(), None);
//! ```

mod link;
mod random;
mod schedule;
pub mod server;

pub use link::{Direction, Link};
pub use random::Random;
pub use schedule::Schedule;
pub use server::{Behaviour, Login, Server, ToClient, ToServer, Welcome};
