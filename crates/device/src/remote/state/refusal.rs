//! What a refusal means: a stanza error, or what some devices send in its place.

use stanchion_stanza::payload::control::SetResponse;
use stanchion_stanza::payload::sensordata::{Profiled as _, Rejected};
use stanchion_stanza::stanza::{DefinedCondition, StanzaError};
use stanchion_stanza::{Element, Payload as _};

/// What kind of no it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::remote) enum No {
    /// There is no such thing.
    Unknown,
    /// We may not.
    Forbidden,
    /// There is nobody.
    Nobody,
    /// Some other no.
    Refused,
}

/// What was said, and in which words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::remote) struct Refusal {
    pub(in crate::remote) no: No,
    pub(in crate::remote) why: String,
}

/// Words of one refusal that are kept.
const WORDS: usize = 1024;

/// Reads it. Until version 0.3 of XEP-0323 and XEP-0325, and with some devices to this day,
/// the reason stands beside the stanza error or in place of it.
pub(in crate::remote) fn refusal(error: &StanzaError, beside: Option<&Element>) -> Refusal {
    use DefinedCondition as C;
    let mut no = match error.condition {
        C::ItemNotFound => No::Unknown,
        C::Forbidden
        | C::NotAllowed
        | C::NotAuthorized
        | C::SubscriptionRequired
        | C::RegistrationRequired => No::Forbidden,
        C::ServiceUnavailable
        | C::RecipientUnavailable
        | C::RemoteServerNotFound
        | C::RemoteServerTimeout
        | C::Gone => No::Nobody,
        _ => No::Refused,
    };
    let mut words: Vec<String> = Vec::new();
    if let Some(beside) = beside {
        if Rejected::matches(beside)
            && let Ok(rejected) = Rejected::from_element(beside)
        {
            words.extend(rejected.errors.iter().map(ToString::to_string));
            no = if no == No::Nobody { No::Refused } else { no };
        }
        if let Ok(Some((_, response))) = SetResponse::find_any([beside]) {
            use stanchion_stanza::payload::control::ResponseCode as R;
            words.extend(
                response
                    .errors
                    .iter()
                    .map(|e| format!("{}: {}", e.name, e.text)),
            );
            match response.code {
                Some(R::NotFound) => no = No::Unknown,
                Some(R::InsufficientPrivileges) => no = No::Forbidden,
                _ if no == No::Nobody => no = No::Refused,
                _ => {}
            }
            if let (true, Some(code)) = (words.is_empty(), response.code) {
                words.push(code.as_str().to_owned());
            }
        }
    }
    if words.is_empty() {
        words.push(error.to_string());
    }
    let mut why = words.join("; ");
    if let Some((end, _)) = why.char_indices().nth(WORDS) {
        why.truncate(end);
    }
    Refusal { no, why }
}
