//! HTTP file upload (XEP-0363): finds the service, asks it for a slot, and puts the file
//! there (feature `upload`). What is sent to whom afterwards is the application's affair: a
//! slot's `get` is a URL like any other.

mod error;
#[cfg(feature = "upload")]
mod put;
mod url;

use stanchion_stanza::payload::disco::{DiscoInfo, DiscoItems};
use stanchion_stanza::payload::upload::{Request as SlotRequest, Slot, max_file_size};
use stanchion_stanza::{Jid, Payload as _, ns};

pub use error::UploadError;
#[cfg(feature = "upload")]
pub use put::{Content, HttpPut, PutError};
use url::is_acceptable;

use crate::disco;
use crate::host::Requests;
use crate::request::{Request, RequestError};

/// Items of a server that are looked at for an upload service.
const MOST_ITEMS: usize = 32;

/// A service that gives slots.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadService {
    /// Its address.
    pub jid: Jid,
    /// The most bytes that a file may have, if it says (§4).
    pub max_bytes: Option<u64>,
    /// Whether URLs without TLS are taken if they lead to this machine itself: for tests
    /// and for services on the same machine. Default false: HTTPS and nothing else.
    pub http_over_loopback: bool,
}

impl UploadService {
    fn of(jid: Jid, info: &DiscoInfo) -> Option<Self> {
        info.has(ns::UPLOAD).then(|| Self {
            jid,
            max_bytes: max_file_size(&info.extensions),
            http_over_loopback: false,
        })
    }
}

/// Finds an upload service: `server` itself, or the first of its items that is one (§4).
/// Items that do not answer are passed over.
///
/// # Errors
/// [`RequestError`], if the server itself does not answer.
pub async fn find(requests: &Requests, server: Jid) -> Result<Option<UploadService>, RequestError> {
    let info = disco::info(requests, server.clone(), None).await?;
    if let Some(found) = UploadService::of(server.clone(), &info) {
        return Ok(Some(found));
    }
    let DiscoItems { items, .. } = disco::items(requests, server, None).await?;
    let items = items.into_iter().filter(|item| item.node.is_none());
    for item in items.take(MOST_ITEMS) {
        if let Ok(info) = disco::info(requests, item.jid.clone(), None).await
            && let Some(found) = UploadService::of(item.jid, &info)
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Asks for a slot (§5). Put the file there soon: slots are good for minutes.
///
/// # Errors
/// [`UploadError`]. A file that is too large for the service is refused here, without a
/// question; a slot whose URLs are not safe is not given.
pub async fn slot(
    requests: &Requests,
    service: &UploadService,
    file: &SlotRequest,
) -> Result<Slot, UploadError> {
    if service.max_bytes.is_some_and(|most| file.size > most) {
        return Err(UploadError::TooLarge {
            max_bytes: service.max_bytes,
        });
    }
    let request = Request::get(Some(service.jid.clone()), file.to_element());
    let slot: Slot = requests.ask_for(request).await?;
    for url in [&slot.put, &slot.get] {
        if !is_acceptable(url, service.http_over_loopback) {
            return Err(UploadError::Unsafe {
                url: url.chars().take(200).collect(),
            });
        }
    }
    Ok(slot)
}
