//! What the client says, in the words of who looks at it. Pure functions.

use stanchion::services::presence::{Availability, Status as How};
use stanchion::services::rooms::{Departure, Occupant, RoomEvent};
use stanchion::session::{Status, StreamReport, Warning};
use stanchion::stanza::Jid;
use stanchion_sasl::binding::Binding;

use super::super::event::{Event, Notice, Severity};
use super::super::link::{LinkState, Secured};
use super::super::person::Whereabouts;
use super::super::room::{Member, RoomChange};
use crate::exit::one_line;
use crate::kept::now;

/// The connection.
pub(super) fn link(status: &Status) -> LinkState {
    match status {
        Status::Connecting => LinkState::Connecting,
        Status::Connected {
            jid,
            endpoint,
            resumed,
            report,
            ..
        } => LinkState::Up {
            jid: jid.to_string(),
            server: endpoint.to_string(),
            resumed: *resumed,
            secured: secured(report),
        },
        Status::Waiting { retry_in, cause } => LinkState::Waiting {
            retry_in: u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX),
            why: one_line(cause),
        },
        Status::Refused(cause) => LinkState::Refused {
            why: one_line(cause),
        },
        _ => LinkState::Closed,
    }
}

fn secured(report: &StreamReport) -> Secured {
    let tls = report.tls.as_ref();
    Secured {
        tls: tls.map(|tls| tls.version.to_string()),
        cipher: tls.map(|tls| tls.cipher.clone()),
        mechanism: report.login.mechanism.to_owned(),
        binding: match report.login.binding {
            Binding::Bound(kind) => Some(kind.as_str().to_owned()),
            _ => None,
        },
        proved: report.login.server_proved,
    }
}

/// A device of somebody's.
pub(super) fn whereabouts((jid, how): (Jid, How)) -> Whereabouts {
    Whereabouts {
        resource: jid.resource().unwrap_or_default().to_owned(),
        availability: how.availability,
        text: how.text.map(|text| text.to_string()).unwrap_or_default(),
        priority: how.priority,
    }
}

/// How we are.
pub(super) fn own(how: &How) -> Event {
    let text = how.text.as_ref().map(ToString::to_string);
    Event::Own {
        availability: how.availability,
        text: text.unwrap_or_default(),
    }
}

/// How we are to be.
pub(super) fn status(availability: Availability, text: &str) -> How {
    let how = How::of(availability);
    match stanchion::stanza::Text::new(text) {
        Ok(text) => how.with_text(text),
        Err(_) => how,
    }
}

/// Somebody in a room.
pub(super) fn member(occupant: Occupant) -> Member {
    Member {
        nick: occupant.nick,
        role: occupant.role.as_str().to_owned(),
        affiliation: occupant.affiliation.as_str().to_owned(),
        jid: occupant.jid.map(|jid| jid.to_string()),
    }
}

/// What happened in a room; none if nobody needs to know, or more must be asked first.
pub(super) fn room(event: RoomEvent) -> Option<RoomChange> {
    Some(match event {
        RoomEvent::Lost { .. } => RoomChange::Lost,
        RoomEvent::Gap { .. } => RoomChange::Gap,
        RoomEvent::Refused { error, .. } => RoomChange::Out {
            why: Some(one_line(&error)),
        },
        RoomEvent::Left { why, .. } => RoomChange::Out { why: left(&why) },
        RoomEvent::Arrived { occupant, .. } | RoomEvent::Changed { occupant, .. } => {
            RoomChange::Member(member(occupant))
        }
        RoomEvent::Gone { nick, .. } => RoomChange::Gone { nick },
        RoomEvent::Renamed { from, to, .. } => RoomChange::Renamed { from, to },
        RoomEvent::Subject { subject, .. } => RoomChange::Topic(subject.to_string()),
        _ => return None,
    })
}

fn left(why: &Departure) -> Option<String> {
    let by = |what: &str, by: &Option<String>, reason: &Option<String>| {
        let by = by.as_ref().map(|by| format!(" by {by}"));
        let reason = reason.as_ref().map(|reason| format!(": {reason}"));
        format!(
            "{what}{}{}",
            by.unwrap_or_default(),
            reason.unwrap_or_default()
        )
    };
    Some(match why {
        Departure::Left => return None,
        Departure::Kicked { by: who, reason } => by("kicked", who, reason),
        Departure::Banned { by: who, reason } => by("banned", who, reason),
        Departure::NotMember => "only members may be there".to_owned(),
        Departure::Error => "an error put us out".to_owned(),
        Departure::Shutdown => "the service went down".to_owned(),
        Departure::Destroyed { reason, .. } => by("the room is gone", &None, reason),
        _ => "we are out".to_owned(),
    })
}

/// A warning of the session.
pub(super) fn warning(warning: &Warning) -> Event {
    let severity = match warning {
        Warning::StoreBack => Severity::Info,
        _ => Severity::Warning,
    };
    notice(severity, warning.to_string())
}

/// Something that was asked for was not done.
pub(super) fn failure(text: String) -> Event {
    notice(Severity::Failure, text)
}

/// Something that is good to know.
pub(super) fn info(text: String) -> Event {
    notice(Severity::Info, text)
}

fn notice(severity: Severity, text: String) -> Event {
    let at = now().as_unix_ms();
    Event::Notice(Notice { at, severity, text })
}
