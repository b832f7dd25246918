//! The cases: the paper's first, by its numbers, then ours. A file for each subject.

mod crash;
mod foreign;
mod link;
mod reception;
mod refusal;
mod security;
mod servers;
mod time;

use super::scene::Scene;
use crate::failure::Outcome;
use std::time::Duration;

/// One case, which runs on each server.
pub(super) struct Case {
    /// Its number in the paper; ours have none.
    pub(super) paper: Option<u8>,
    pub(super) name: &'static str,
    /// What has to hold.
    pub(super) law: &'static str,
    /// The longest that it may take.
    pub(super) limit: Duration,
    pub(super) run: fn(&mut Scene<'_>) -> Outcome,
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// All of them, in the order in which they run.
pub(super) const CASES: &[Case] = &[
    Case {
        paper: Some(1),
        name: "reception verified",
        law: "the sender has the recipient's receipt for each message, and the recipient has it once",
        limit: seconds(30),
        run: reception::verified,
    },
    Case {
        paper: Some(1),
        name: "no receipt, no success",
        law: "without the recipient there is no receipt; a message that its server has lost is sent again",
        limit: seconds(60),
        run: reception::sent_again,
    },
    Case {
        paper: Some(2),
        name: "primary server absent, then back",
        law: "a message sent while the server is down arrives once it is back, within the sender's time",
        limit: seconds(60),
        run: servers::absent_then_back,
    },
    Case {
        paper: Some(2),
        name: "primary server absent, another registered",
        law: "a message goes by the second registered server",
        limit: seconds(30),
        run: servers::absent,
    },
    Case {
        paper: Some(3),
        name: "primary server lost, another registered",
        law: "a connected device is reached by the second server after the first is killed",
        limit: seconds(60),
        run: servers::lost,
    },
    Case {
        paper: Some(3),
        name: "primary server lost in mid-stream",
        law: "each of many messages arrives once, although the server is killed among them",
        limit: seconds(90),
        run: servers::lost_in_mid_stream,
    },
    Case {
        paper: Some(4),
        name: "secured and unsecured messages",
        law: "a message is unreadable on the way unless it was allowed to go in the clear; hidden TLS is refused",
        limit: seconds(60),
        run: security::levels,
    },
    Case {
        paper: None,
        name: "recipient offline, then back",
        law: "a message sent meanwhile arrives once the recipient is back",
        limit: seconds(60),
        run: time::recipient_away,
    },
    Case {
        paper: None,
        name: "recipient killed before it commits",
        law: "the message is handed over again, flagged, and acknowledged only then",
        limit: seconds(90),
        run: crash::recipient,
    },
    Case {
        paper: None,
        name: "sender killed after send returned",
        law: "the message leaves with the next start",
        limit: seconds(60),
        run: crash::sender,
    },
    Case {
        paper: None,
        name: "all servers dead",
        law: "the command says in the chosen time what happened at each server",
        limit: seconds(30),
        run: servers::all_dead,
    },
    Case {
        paper: None,
        name: "deadline kept",
        law: "the outcome is there by the deadline and 250 ms, recipient absent or server frozen",
        limit: seconds(60),
        run: time::deadline,
    },
    Case {
        paper: None,
        name: "wrong password",
        law: "it is refused at once, by name, and tried once only",
        limit: seconds(30),
        run: refusal::password,
    },
    Case {
        paper: None,
        name: "wrong certificate",
        law: "it is refused at once, by name: an unknown authority's, and another domain's",
        limit: seconds(30),
        run: refusal::certificate,
    },
    Case {
        paper: None,
        name: "half-open link",
        law: "a link that fell silent is found within 15 s, and what was on it arrives",
        limit: seconds(60),
        run: link::half_open,
    },
    Case {
        paper: None,
        name: "a client of another make",
        law: "slixmpp and the command send each other messages, and have each other's receipts",
        limit: seconds(60),
        run: foreign::both_ways,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_tell_the_cases_apart() {
        let mut names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
    }
}
