//! Ad-hoc commands (XEP-0050) with data forms (XEP-0004), both roles: what others let us
//! do, and what we let others do, step by step.
//!
//! ```no_run
//! use stanchion_services::commands::{Commands, Conclusion, Offer, Stage};
//! use stanchion_stanza::Text;
//! use stanchion_stanza::payload::forms::{Field, FieldType, Form, FormType};
//! # async fn example(commands: Commands) -> Result<(), Box<dyn std::error::Error>> {
//! let restart = Offer::new(Text::from_static("restart"), Text::from_static("Restart the lamp"));
//! let offered = commands.offer(restart).await?;
//! offered
//!     .serve(|mut execution| async move {
//!         let sure = Stage::question(Text::from_static("It will be dark for a second."));
//!         execution.ask(sure).await?;
//!         execution.conclude(Conclusion::done()).await
//!     })
//!     .await;
//! # Ok(()) }
//! ```

mod dialogue;
mod offer;
mod provider;
mod state;

use stanchion_stanza::payload::commands::Command;
use stanchion_stanza::payload::forms::Form;
use stanchion_stanza::{Jid, Payload as _, Text, ns};

pub use dialogue::{Available, CommandError, Dialogue};
pub use offer::{Conclusion, Offer, Stage};
pub use provider::{Execution, Offered};
pub use state::{
    Changed, MOST_COMMANDS, MOST_EXECUTIONS, MOST_OF_ONE_ACCOUNT, OfferError, Over, Provider, Step,
};

use crate::disco;
use crate::host::Requests;
use crate::request::RequestError;
use crate::slot::Handle;

/// Runs commands of others, and offers our own. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Commands {
    provider: Handle<Provider>,
    requests: Requests,
}

impl Commands {
    /// Over a host that runs that provider.
    #[must_use]
    pub const fn new(provider: Handle<Provider>, requests: Requests) -> Self {
        Self { provider, requests }
    }

    /// Offers a command, and gives its executions.
    ///
    /// # Errors
    /// [`OfferError`].
    pub async fn offer(&self, offer: Offer) -> Result<Offered, OfferError> {
        let node = offer.node.clone();
        // Before there can be anything to miss.
        let changes = self.provider.events();
        self.provider.call(|p, _| p.offer(offer)).await??;
        Ok(Offered {
            provider: self.provider.clone(),
            changes,
            node,
        })
    }

    /// The commands that `of` offers us.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn list(&self, of: Jid) -> Result<Vec<Available>, RequestError> {
        list(&self.requests, of).await
    }

    /// Begins a command at `with`.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn execute(&self, with: Jid, node: Text) -> Result<Dialogue, CommandError> {
        execute(&self.requests, with, node, None).await
    }
}

/// The commands that `of` offers us (§2.2). Items without a node are none.
///
/// # Errors
/// [`RequestError`].
pub async fn list(requests: &Requests, of: Jid) -> Result<Vec<Available>, RequestError> {
    let node = Text::from_static(ns::COMMANDS);
    let found = disco::items(requests, of, Some(node)).await?;
    let found = found.items.into_iter().filter_map(|item| {
        Some(Available {
            jid: item.jid,
            node: item.node?,
            name: item.name,
        })
    });
    Ok(found.collect())
}

/// Begins a command at `with` (§2.4), with a form if one is known to be wanted.
///
/// # Errors
/// [`CommandError`].
pub async fn execute(
    requests: &Requests,
    with: Jid,
    node: Text,
    form: Option<&Form>,
) -> Result<Dialogue, CommandError> {
    let mut command = Command::new(node);
    command.payload.extend(form.map(Form::to_element));
    Dialogue::begin(requests.clone(), with, command).await
}
