//! Who may read and set the things of a connection, as the configuration says.

use stanchion::BareJid;
use stanchion::services::allowed::Allowed;
use stanchion_device::host::{Access, Grant};

use super::config::Connection;
use crate::exit::Failure;

/// The connection's own account may all; who is listed, what the list is for; nobody else
/// anything.
///
/// # Errors
/// A word in a list that is no account.
pub(super) fn of(connection: &Connection) -> Result<Access, Failure> {
    let readers = connection.accounts(&connection.readers)?;
    let controllers = connection.accounts(&connection.controllers)?;
    let mut access = Access::default();
    if !readers.is_empty() {
        access = access.with(Grant::to_read(Allowed::accounts(readers)));
    }
    if !controllers.is_empty() {
        access = access.with(Grant::to_all(Allowed::accounts(controllers)));
    }
    Ok(access)
}

/// The accounts that are listed: who may see which device there is. A domain would stand for
/// all accounts at it.
///
/// # Errors
/// A word in a list that is no account.
pub(super) fn listed(connection: &Connection) -> Result<Vec<BareJid>, Failure> {
    let mut all = connection.accounts(&connection.readers)?;
    all.extend(connection.accounts(&connection.controllers)?);
    all.retain(|account| account.local().is_some());
    Ok(all)
}
