//! Service discovery (XEP-0030): what we are, told to whoever asks, and what others are.

mod state;

use stanchion_stanza::payload::disco::{DiscoInfo, DiscoItems};
use stanchion_stanza::{Jid, Payload as _, Text};

pub use state::Disco;

use crate::host::Requests;
use crate::request::RequestError;
use crate::service::Request;

/// What `of` is, or its node (XEP-0030 §3.1).
///
/// # Errors
/// [`RequestError`].
pub async fn info(
    requests: &Requests,
    of: Jid,
    node: Option<Text>,
) -> Result<DiscoInfo, RequestError> {
    let query = DiscoInfo {
        node,
        ..DiscoInfo::default()
    };
    requests
        .ask_for(Request::get(Some(of), query.to_element()))
        .await
}

/// What `of` has, or its node (XEP-0030 §4.1).
///
/// # Errors
/// [`RequestError`].
pub async fn items(
    requests: &Requests,
    of: Jid,
    node: Option<Text>,
) -> Result<DiscoItems, RequestError> {
    let query = DiscoItems {
        node,
        ..DiscoItems::default()
    };
    requests
        .ask_for(Request::get(Some(of), query.to_element()))
        .await
}
