//! Why there is no slot (XEP-0363 §6).

use stanchion_stanza::Payload as _;
use stanchion_stanza::payload::datetime::unix_ms;
use stanchion_stanza::payload::upload::{FileTooLarge, Retry};
use stanchion_stanza::stanza::StanzaError;

use crate::request::RequestError;

/// Why not.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// The file is too large.
    #[error("the file is too large{}", .max_bytes.map(|m| format!("; {m} bytes at most")).unwrap_or_default())]
    TooLarge {
        /// The most bytes, if the service says.
        max_bytes: Option<u64>,
    },
    /// Not now: a quota is used up, say.
    #[error("the service gives no slot now ({error}); try later")]
    Later {
        /// When, in milliseconds since 1970, if the service says.
        at_unix_ms: Option<i64>,
        /// What it says.
        error: StanzaError,
    },
    /// A URL that is not HTTPS: whoever is on the way could read and change the file.
    #[error("the service's URL is not safe: {url}; it must begin with https://")]
    Unsafe {
        /// The URL, shortened.
        url: String,
    },
    /// No answer, or another refusal.
    #[error(transparent)]
    Request(RequestError),
}

impl From<RequestError> for UploadError {
    fn from(error: RequestError) -> Self {
        let refusal = error.refusal().cloned();
        let beside = refusal.as_ref().and_then(|r| r.application.as_deref());
        match (beside, refusal.as_ref()) {
            (Some(beside), _) if FileTooLarge::matches(beside) => Self::TooLarge {
                max_bytes: FileTooLarge::from_element(beside)
                    .ok()
                    .and_then(|too_large| too_large.max_bytes),
            },
            (Some(beside), Some(refusal)) if Retry::matches(beside) => {
                let retry = Retry::from_element(beside).ok();
                Self::Later {
                    at_unix_ms: retry.and_then(|retry| unix_ms(&retry.stamp)),
                    error: refusal.clone(),
                }
            }
            (_, Some(refusal)) if refusal.kind == stanchion_stanza::stanza::ErrorType::Wait => {
                Self::Later {
                    at_unix_ms: None,
                    error: refusal.clone(),
                }
            }
            _ => Self::Request(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_stanza::stanza::{DefinedCondition, ErrorType};
    use stanchion_stanza::{Element, Text};

    fn refused(kind: ErrorType, beside: Option<Element>) -> UploadError {
        let mut error = StanzaError::new(kind, DefinedCondition::NotAcceptable);
        error.application = beside.map(Box::new);
        RequestError::Refused {
            by: None,
            error: Box::new(error),
            beside: None,
        }
        .into()
    }

    #[test]
    fn a_refusal_says_how_large_a_file_may_be_and_when_to_try_again() {
        let too_large = |max_bytes| FileTooLarge { max_bytes }.to_element();
        for max_bytes in [None, Some(20_000)] {
            let error = refused(ErrorType::Modify, Some(too_large(max_bytes)));
            assert_eq!(error, UploadError::TooLarge { max_bytes });
        }
        let stamp = Text::from_static("1970-01-01T00:00:01Z");
        let retry = Retry { stamp }.to_element();
        let later = refused(ErrorType::Wait, Some(retry));
        let at = |error| match error {
            UploadError::Later { at_unix_ms, .. } => at_unix_ms,
            other => panic!("{other}"),
        };
        assert_eq!(at(later), Some(1000));
        assert_eq!(at(refused(ErrorType::Wait, None)), None);
        let other = refused(ErrorType::Auth, None);
        assert!(matches!(other, UploadError::Request(_)));
    }
}
