//! What follows from an error: whether to try again, whom to blame, whether another
//! candidate may be tried. The errors are in `super`, their words in `text`.

use stanchion_sasl::{AuthError, SaslCondition};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType};
use stanchion_stanza::stream::StreamCondition;
use stanchion_transport::tls::TlsError;
use stanchion_transport::websocket::UpgradeError;

use super::{ConnectError, Kind, Misuse, Retry};
use crate::phase::Phase;
use crate::resolve::ResolveError;

impl ConnectError {
    /// Whether another attempt makes sense.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Resolve(ResolveError::Failed { .. })
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::Deadline { .. }
            | Self::Lost { .. }
            | Self::ResumeUnanswered
            | Self::ShortCutRefused { .. } => Retry::Later,
            Self::Resolve(_) | Self::TooManyRedirects { .. } | Self::NotXmpp { .. } => {
                Retry::AfterUser
            }
            Self::WebSocket { source, .. } => match source {
                UpgradeError::Unprotected => Retry::Never,
                fault if fault.is_transient() => Retry::Later,
                _ => Retry::AfterUser,
            },
            Self::Stream { error, .. } => stream_retry(error.condition),
            Self::TlsNotOffered
            | Self::TlsVanished
            | Self::TlsDemanded
            | Self::TlsRefused
            | Self::Certificate { .. }
            | Self::NoMechanism(..)
            | Self::TasksDemanded { .. } => Retry::AfterUser,
            Self::Tls { source, .. } => match source {
                TlsError::Io(_) | TlsError::Closed => Retry::Later,
                TlsError::PeerMisbehaved(_) | TlsError::Domain(_) => Retry::Never,
                _ => Retry::AfterUser,
            },
            Self::Login(error) => match error {
                AuthError::Refused(_)
                | AuthError::Credentials(_)
                | AuthError::TooFewIterations { .. }
                | AuthError::TooManyIterations { .. }
                | AuthError::SaltLength { .. }
                | AuthError::ServerSignatureWrong
                | AuthError::ServerSignatureMissing
                | AuthError::OfferTampered => Retry::AfterUser,
                _ => Retry::Never,
            },
            Self::AuthRefused { condition, .. } => match condition {
                SaslCondition::TemporaryAuthFailure => Retry::Later,
                _ => Retry::AfterUser,
            },
            Self::BindRefused(error) => match (error.kind, error.condition) {
                (ErrorType::Wait, _) | (_, DefinedCondition::ResourceConstraint) => Retry::Later,
                _ => Retry::AfterUser,
            },
            Self::PeerMisbehaved { .. } => Retry::Never,
            Self::Misuse(Misuse::ForeignToken | Misuse::Config(_) | Misuse::NoServer)
            | Self::StillRefused(_) => Retry::AfterUser,
            Self::Misuse(_) => Retry::Never,
            Self::Registry(_) => Retry::Later,
            Self::AllFailed(_) | Self::AllServersFailed(_) => {
                let retries = self.parts().map(Self::retry);
                retries.min().unwrap_or(Retry::Later)
            }
            Self::GaveUp { last, .. } => last.as_ref().map_or(Retry::Later, |e| e.retry()),
        }
    }

    /// Whether a device that nobody watches should go on trying by itself, with growing
    /// intervals: all but a refusal of the account, and a mistake of the caller, may
    /// pass. A captive portal shows a wrong certificate and breaks the protocol, a new
    /// domain has no address yet, a server is repaired; and nobody on the way may stop a
    /// device for good. Of several servers one is enough.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::AllFailed(_) | Self::AllServersFailed(_) => self.parts().any(Self::may_pass),
            Self::GaveUp { last, .. } => last.as_ref().is_none_or(|e| e.may_pass()),
            // Before the exchange of SASL anybody may have said it, in the clear.
            Self::Stream { phase, .. } if *phase < Phase::Authentication => true,
            _ => {
                let passing = matches!(self.kind(), Kind::Network | Kind::Security | Kind::Peer);
                self.retry() == Retry::Later || passing
            }
        }
    }

    /// The errors that this one is put together from.
    fn parts(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match self {
            Self::AllFailed(attempts) => Box::new(attempts.iter().map(|a| &a.error)),
            Self::AllServersFailed(servers) => Box::new(servers.iter().map(|s| &s.error)),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Whether a server refused the account for good: to try the same credentials there
    /// again is of no use, and may lock the account.
    #[must_use]
    pub fn is_a_refusal(&self) -> bool {
        self.refusal().is_some()
    }

    /// The refusal in it, if there is one.
    pub(crate) fn refusal(&self) -> Option<Self> {
        match self {
            Self::AuthRefused { condition, text }
                if !matches!(condition, SaslCondition::TemporaryAuthFailure) =>
            {
                Some(Self::AuthRefused {
                    condition: *condition,
                    text: text.clone(),
                })
            }
            Self::AllFailed(_) => self.parts().find_map(Self::refusal),
            _ => None,
        }
    }

    /// Whether the endpoint is to blame, and not the account, the caller, the name server
    /// or this machine's own network.
    pub(crate) fn blames_the_endpoint(&self) -> bool {
        use std::io::ErrorKind;
        match self {
            Self::Unreachable { source, .. } => !matches!(
                source.kind(),
                ErrorKind::NetworkUnreachable
                    | ErrorKind::NetworkDown
                    | ErrorKind::AddrNotAvailable
                    | ErrorKind::PermissionDenied
            ),
            Self::Resolve(ResolveError::Failed { .. })
            | Self::Login(_)
            | Self::BindRefused(_)
            | Self::Misuse(_)
            | Self::TasksDemanded { .. }
            | Self::ShortCutRefused { .. }
            | Self::ResumeUnanswered => false,
            error => !error.is_a_refusal(),
        }
    }

    /// Whom to blame. Of several attempts, the refusal that is hardest to overcome by
    /// waiting counts.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Resolve(_)
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::Deadline { .. }
            | Self::Lost { .. }
            | Self::ResumeUnanswered
            | Self::NotXmpp { .. }
            | Self::WebSocket { .. }
            | Self::Registry(_)
            | Self::ShortCutRefused { .. }
            | Self::TooManyRedirects { .. } => Kind::Network,
            Self::Stream { error, .. } => match error.condition {
                StreamCondition::NotAuthorized | StreamCondition::Conflict => Kind::Authentication,
                c if stream_retry(c) == Retry::Never => Kind::Peer,
                _ => Kind::Network,
            },
            Self::TlsNotOffered
            | Self::TlsVanished
            | Self::TlsDemanded
            | Self::TlsRefused
            | Self::Certificate { .. }
            | Self::NoMechanism(..) => Kind::Security,
            Self::Tls { source, .. } => match source {
                TlsError::Io(_) | TlsError::Closed => Kind::Network,
                TlsError::PeerMisbehaved(_) => Kind::Peer,
                TlsError::Domain(_) => Kind::Misuse,
                _ => Kind::Security,
            },
            Self::Login(error) => match error {
                AuthError::Refused(_) | AuthError::Credentials(_) => Kind::Authentication,
                AuthError::Malformed(_) | AuthError::UnexpectedData => Kind::Peer,
                AuthError::Misuse | AuthError::Framework => Kind::Misuse,
                _ => Kind::Security,
            },
            Self::AuthRefused { .. } | Self::TasksDemanded { .. } | Self::BindRefused(_) => {
                Kind::Authentication
            }
            Self::PeerMisbehaved { .. } => Kind::Peer,
            Self::Misuse(_) => Kind::Misuse,
            Self::StillRefused(error) => error.kind(),
            Self::GaveUp { last, .. } => last.as_ref().map_or(Kind::Network, |e| e.kind()),
            Self::AllFailed(_) | Self::AllServersFailed(_) => {
                let kinds: Vec<Kind> = self.parts().map(Self::kind).collect();
                [
                    Kind::Misuse,
                    Kind::Authentication,
                    Kind::Security,
                    Kind::Peer,
                ]
                .into_iter()
                .find(|k| kinds.contains(k))
                .unwrap_or(Kind::Network)
            }
        }
    }

    /// Whether there was no connection to anybody: each host that was tried said at once
    /// that nothing listens. It costs a host next to nothing to say so, and it says no more
    /// once the server is back.
    #[must_use]
    pub fn nobody_listens(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::AllFailed(attempts) => attempts.iter().all(|a| a.error.nobody_listens()),
            Self::AllServersFailed(servers) => servers.iter().all(|s| s.error.nobody_listens()),
            _ => false,
        }
    }

    /// Whether no other candidate may be tried: the account was refused, or what the
    /// caller gave is wrong, or somebody poses as the server.
    pub(crate) const fn ends_the_walk(&self) -> bool {
        match self {
            Self::AuthRefused { condition, .. } => {
                !matches!(condition, SaslCondition::TemporaryAuthFailure)
            }
            Self::Login(_)
            | Self::TasksDemanded { .. }
            | Self::BindRefused(_)
            | Self::Misuse(_)
            | Self::ResumeUnanswered
            | Self::ShortCutRefused { .. } => true,
            _ => false,
        }
    }
}

pub(super) const fn stream_retry(condition: StreamCondition) -> Retry {
    match condition {
        StreamCondition::Conflict
        | StreamCondition::HostGone
        | StreamCondition::HostUnknown
        | StreamCondition::NotAuthorized
        // Left over from the redirections: to a place that nobody can go to.
        | StreamCondition::SeeOtherHost => Retry::AfterUser,
        StreamCondition::BadFormat
        | StreamCondition::BadNamespacePrefix
        | StreamCondition::ImproperAddressing
        | StreamCondition::InvalidFrom
        | StreamCondition::InvalidNamespace
        | StreamCondition::InvalidXml
        | StreamCondition::NotWellFormed
        | StreamCondition::RestrictedXml
        | StreamCondition::UnsupportedEncoding
        | StreamCondition::UnsupportedFeature
        | StreamCondition::UnsupportedStanzaType
        | StreamCondition::UnsupportedVersion => Retry::Never,
        _ => Retry::Later,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use stanchion_stanza::stream::StreamError;
    use stanchion_transport::{Endpoint, TlsMode};

    use super::*;
    use crate::error::{Attempt, ServerFailure};

    fn endpoint() -> Endpoint {
        Endpoint::at(([192, 0, 2, 1], 5222).into(), TlsMode::StartTls)
    }

    fn attempt(error: ConnectError) -> Attempt {
        Attempt {
            endpoint: endpoint(),
            phase: Phase::Tcp,
            elapsed: Duration::ZERO,
            error,
        }
    }

    #[test]
    fn of_several_attempts_the_gravest_names_the_kind_and_the_mildest_the_retry() {
        let all = ConnectError::AllFailed(vec![
            attempt(ConnectError::Refused {
                endpoint: endpoint(),
            }),
            attempt(ConnectError::TlsNotOffered),
        ]);
        assert_eq!(all.kind(), Kind::Security);
        assert_eq!(all.retry(), Retry::Later);
    }

    #[test]
    fn nobody_listens_only_if_every_host_said_so() {
        let refused = || ConnectError::Refused {
            endpoint: endpoint(),
        };
        let all = |second| ConnectError::AllFailed(vec![attempt(refused()), attempt(second)]);
        assert!(refused().nobody_listens() && all(refused()).nobody_listens());
        assert!(!all(ConnectError::TlsNotOffered).nobody_listens());
    }

    #[test]
    fn one_server_that_may_come_back_is_enough_to_go_on_and_a_refusal_of_all_is_not() {
        let refused = || ConnectError::AuthRefused {
            condition: SaslCondition::NotAuthorized,
            text: None,
        };
        let server = |error| ServerFailure {
            account: "a@b.example".parse().unwrap(),
            elapsed: Duration::ZERO,
            error,
        };
        let away = || ConnectError::Refused {
            endpoint: endpoint(),
        };
        let one = ConnectError::AllServersFailed(vec![server(refused()), server(away())]);
        assert!(one.may_pass());
        assert_eq!(one.retry(), Retry::Later);
        let still = ConnectError::StillRefused(Arc::new(refused()));
        let all = ConnectError::AllServersFailed(vec![server(refused()), server(still)]);
        assert!(!all.may_pass());
        assert_eq!(all.kind(), Kind::Authentication);
        assert!(all.to_string().contains("a@b.example: refused before"));
        assert!(all.to_string().contains("check the user name"));
    }

    #[test]
    fn every_stream_condition_is_classified_and_advised() {
        for condition in StreamCondition::ALL {
            let error = ConnectError::Stream {
                endpoint: None,
                phase: Phase::Stream,
                error: StreamError::new(*condition),
            };
            assert!(error.to_string().contains(condition.as_str()));
            if *condition == StreamCondition::SystemShutdown {
                assert_eq!((error.retry(), error.kind()), (Retry::Later, Kind::Network));
            }
        }
    }

    #[test]
    fn a_stream_error_in_answer_to_the_login_still_stops_a_device() {
        for (phase, may_pass) in [
            (Phase::Stream, true),
            (Phase::StartTls, true),
            (Phase::Authentication, false),
            (Phase::Binding, false),
        ] {
            let error = ConnectError::Stream {
                endpoint: None,
                phase,
                error: StreamError::new(StreamCondition::NotAuthorized),
            };
            assert_eq!(error.may_pass(), may_pass, "{phase}");
        }
    }

    #[test]
    fn a_refused_password_ends_the_walk_and_a_temporary_failure_does_not() {
        let refused = |condition| ConnectError::AuthRefused {
            condition,
            text: None,
        };
        assert!(refused(SaslCondition::NotAuthorized).ends_the_walk());
        assert!(!refused(SaslCondition::TemporaryAuthFailure).ends_the_walk());
    }
}
