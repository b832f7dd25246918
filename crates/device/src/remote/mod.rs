//! The things of others: read, watched and set (XEP-0323, XEP-0325). This file is the
//! application's face; what is asked and believed is decided in `state`.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use stanchion_device::remote::Things;
//! # use stanchion_device::model::SettingValue;
//! use stanchion_device::remote::{Command, Readout};
//! # async fn example(things: Things) -> Result<(), Box<dyn std::error::Error>> {
//! let lamp = "lamp@example.org".parse()?;
//! let readings = things.read(&lamp, Readout::momentary()).await?;
//! println!("{} values", readings.values.len());
//! let on = Command::set("on".parse()?, SettingValue::Boolean(true));
//! things.set(&lamp, on.within(Duration::from_secs(10))).await?;
//! # Ok(()) }
//! ```

mod command;
mod discovered;
mod given;
mod peer;
mod reading;
mod readout;
mod set_error;
pub(crate) mod state;
mod watch;

use std::sync::Arc;

use stanchion_reliability::session::Sender;
use stanchion_services::disco::Discovery;
use stanchion_services::presence::Presences;
use stanchion_services::{Handle, HostBuilder, Incoming, Requests, Standard};
use tokio::task::JoinHandle;

pub use command::{Command, Done, How};
pub use discovered::{Discovered, DiscoveredThing};
pub use given::Given;
pub use reading::Reading;
pub use readout::{Measured, Part, ReadError, Readings, Readout};
pub use set_error::SetError;
pub use state::State;
pub use watch::{Watch, WatchEvent, Watching};

/// The things of others. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Things {
    handle: Handle<State>,
    requests: Requests,
    discovery: Discovery,
    presences: Presences,
    sender: Sender,
    // Ends with the last of them.
    _follower: Arc<Follower>,
}

/// What was added to the services of a session, before they run.
#[derive(Debug)]
pub struct Added {
    handle: Handle<State>,
    messages: Incoming,
}

/// Adds what it needs to the services of a session, before they run.
pub fn add(builder: &mut HostBuilder) -> Added {
    let secret = getrandom::u32().unwrap_or_default();
    let (handle, messages) = builder.add_claiming(State::new(secret));
    Added { handle, messages }
}

impl Added {
    /// Runs it over the services that it was added to. Must be called inside a tokio
    /// runtime.
    #[must_use]
    pub fn start(self, services: &Standard, sender: Sender) -> Things {
        let parts = (services.requests(), services.discovery().clone());
        self.start_on(parts.0, parts.1, services.presences().clone(), sender)
    }

    /// The same, with what it needs of them.
    #[must_use]
    pub fn start_on(
        self,
        requests: Requests,
        discovery: Discovery,
        presences: Presences,
        sender: Sender,
    ) -> Things {
        let following = follow(self.handle.clone(), self.messages);
        Things {
            handle: self.handle,
            requests,
            discovery,
            presences,
            sender,
            _follower: Arc::new(Follower(tokio::spawn(following))),
        }
    }
}

/// Takes the messages that are kept for us, one after the other.
#[derive(Debug)]
struct Follower(JoinHandle<()>);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Each is committed once what it says is durable: after a crash it comes again.
async fn follow(handle: Handle<State>, mut messages: Incoming) {
    while let Some(received) = messages.recv().await {
        let message = received.message().clone();
        let noted = handle.ask(move |state, now, waiter| state.received(now, &message, waiter));
        if noted.await.is_err() {
            return;
        }
        if let Err(error) = received.commit().await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "an outcome is committed when it comes again"
            );
        }
    }
}
