//! Devices that send to each other through servers that fail in every way they know, over
//! links that break, from processes that crash: random runs, each from a seed, checked at
//! every step against the laws of delivery.
//!
//! The engine under test is the product's, and so are its ops and its stanzas. Time is a
//! number, the servers are the test kit's, and the same seed gives the same run. What may
//! go wrong is in [`Switch`], what must hold in [`Law`].
//!
//! ```
//! use stanchion_simulator::{Plan, Selection, run};
//!
//! let plan = Plan { from: 1, seeds: 1, messages: 10, selection: Selection::default(), mutant: None };
//! let summary = run::run(1, &plan)?;
//! assert_eq!(summary.messages, 10);
//! # Ok::<(), stanchion_simulator::Violation>(())
//! ```

mod device;
mod law;
mod ledger;
mod message;
pub mod mutant;
mod plan;
pub mod report;
pub mod run;
mod setup;
mod summary;
mod switch;
mod world;

pub use law::{Law, Violation};
pub use run::{Failure, Plan, Report};
pub use summary::{Summary, Traffic};
pub use switch::{Selection, Switch, Switches};
