//! What a client for people asks of the settings: whose they are, where everything is kept,
//! and what is missing at a first start.

use std::path::PathBuf;

#[cfg(any(feature = "dashboard", feature = "tui"))]
use stanchion::BareJid;

#[cfg(feature = "tui")]
use super::{ConnectionArgs, account, password, read_file};
use super::{Settings, default_store};
use crate::exit::Failure;

impl Settings {
    /// Whose client it is; of registered servers, the first one's account.
    #[cfg(any(feature = "dashboard", feature = "tui"))]
    pub(crate) const fn account(&self) -> &BareJid {
        &self.server.account.jid
    }

    /// The file that messages are kept in.
    ///
    /// # Errors
    /// There is no folder for it.
    pub(crate) fn store_file(&self) -> Result<PathBuf, Failure> {
        match &self.store {
            Some(store) => Ok(store.clone()),
            None => default_store(&self.server.account.jid),
        }
    }
}

/// What a person must be asked for.
#[cfg(feature = "tui")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Which account.
    Account,
    /// The password of that one.
    Password(BareJid),
}

#[cfg(feature = "tui")]
impl Settings {
    /// The settings, or what a person must be asked for.
    ///
    /// # Errors
    /// As [`Self::load`], of what no answer would mend.
    pub(crate) async fn or_missing(
        args: &ConnectionArgs,
    ) -> Result<Result<Self, Missing>, Failure> {
        let failure = match Self::load(args).await {
            Ok(settings) => return Ok(Ok(settings)),
            Err(failure) => failure,
        };
        let file = read_file(args.config.as_deref())?;
        let named = account(args.jid.as_ref(), file.jid.as_deref())?;
        let (flag, in_file) = (args.password_file.as_deref(), file.password_file.as_deref());
        match named {
            None if !args.names_a_server() => {
                match Self::registered(args, file.store.as_deref()).await {
                    Ok(None) => Ok(Err(Missing::Account)),
                    _ => Err(failure),
                }
            }
            // What else is said of the server is not asked for, and would be lost.
            Some(_) if !args.ca.is_empty() || args.native_roots || args.insecure_plaintext => {
                Err(failure)
            }
            Some(jid) if password(flag, in_file)?.is_none() && jid.local().is_some() => {
                match Self::entry(&jid, args.store.as_deref().or(file.store.as_deref())).await? {
                    None => Ok(Err(Missing::Password(jid))),
                    Some(_) => Err(failure),
                }
            }
            _ => Err(failure),
        }
    }
}
