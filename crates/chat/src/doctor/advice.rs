//! What would go wrong at this server, drawn from what was found. Only what a device
//! would suffer from: not every feature that is missing.

use std::time::{Duration, SystemTime};

use stanchion::connect::negotiation::FeatureStage;
use stanchion::connect::probe::ServerReport;
use stanchion::transport::security::{TlsInfo, TlsVersion, Trust};
use stanchion_sasl::binding::Binding;
use stanchion_sasl::mechanism::{Mechanism, ScramHash};

use super::Looked;

/// A certificate that expires so soon is worth a word.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// A session that can be resumed for a shorter time does not outlive a bad link.
const SHORT: u64 = 60;

/// A sentence for each thing that goes wrong, or will.
pub(super) fn all(looked: &Looked, now: SystemTime) -> Vec<String> {
    let mut advice = Vec::new();
    let first = &looked.first;
    let failed = first.servers.iter().filter(|s| s.error.is_some()).count();
    match (first.is_established(), failed) {
        (false, _) => advice.push(
            "no session can be established: see what failed above, at each address".to_owned(),
        ),
        (true, 0) => {}
        (true, n) => advice.push(format!(
            "{n} of {} addresses gave no session: clients lose time there",
            first.servers.len()
        )),
    }
    if first.candidates.len() == 1 {
        advice.push(
            if first.discovered.is_empty() {
                "one endpoint only is configured: while it is down, there is no other"
            } else {
                "there is one server only: while it is down, there is no other"
            }
            .to_owned(),
        );
    }
    for server in &first.servers {
        of_server(server, now, &mut advice);
    }
    if looked
        .again
        .as_ref()
        .is_some_and(|again| !again.is_established())
    {
        advice.push(
            "a second login right after the first failed: reconnecting may fail, too".to_owned(),
        );
    }
    // Several addresses of one server say the same.
    let mut seen = std::collections::HashSet::new();
    advice.retain(|sentence| seen.insert(sentence.clone()));
    advice
}

fn of_server(server: &ServerReport, now: SystemTime, advice: &mut Vec<String>) {
    if let Some(security) = &server.security {
        match &security.tls {
            Some(tls) => of_tls(tls, now, advice),
            None => advice.push(
                "nothing is encrypted: anybody on the way reads and changes all of it".to_owned(),
            ),
        }
    }
    if let Some(login) = &server.login {
        match login.binding {
            Binding::Bound(_) | Binding::NotApplicable => {}
            _ => advice.push(
                "the login is not bound to TLS: who has a certificate for the domain can stand \
                 in between"
                    .to_owned(),
            ),
        }
        match Mechanism::parse(login.mechanism) {
            Some(Mechanism::Plain) => advice.push(
                "the login hands the password itself to the server: have it offer SCRAM".to_owned(),
            ),
            Some(Mechanism::Scram(ScramHash::Sha1)) => {
                advice.push("the login uses SHA-1: have the server offer SCRAM-SHA-256".to_owned())
            }
            _ => {}
        }
    }
    if server.is_established() {
        let before_login = server.features_at(FeatureStage::BeforeLogin);
        if before_login.is_some_and(|features| features.sasl2.is_none()) {
            advice.push(
                "the server offers no SASL2: each login takes up to three round trips more, \
                 which slow links feel"
                    .to_owned(),
            );
        }
        match &server.stream_management {
            None => advice.push(
                "there is no stream management: a lost connection is noticed late, and what was \
                 under way is sent again or in doubt"
                    .to_owned(),
            ),
            Some(sm) if !sm.resumable => advice.push(
                "sessions cannot be resumed: after each lost connection, what was under way is \
                 sent again"
                    .to_owned(),
            ),
            Some(sm) => {
                if let Some(seconds) = sm.max_seconds.map(u64::from)
                    && seconds < SHORT
                {
                    advice.push(format!(
                        "sessions can be resumed for {seconds} s only: a link that is away for \
                         longer costs a new login"
                    ));
                }
            }
        }
    }
}

fn of_tls(tls: &TlsInfo, now: SystemTime, advice: &mut Vec<String>) {
    if tls.version < TlsVersion::Tls13 {
        advice.push(format!(
            "the server speaks {} at most: one round trip more for each login",
            tls.version
        ));
    }
    let Some(certificate) = &tls.peer_certificate else {
        return;
    };
    if tls.trust == Trust::Pin {
        advice.push(
            "the certificate is pinned: once the server has another one, clients refuse it until \
             they are told the new SHA-256"
                .to_owned(),
        );
        return;
    }
    match certificate.not_after.duration_since(now) {
        Ok(left) if left < SOON => advice.push(format!(
            "the certificate expires in {} days: from then on, no client connects",
            days(left)
        )),
        Ok(_) => {}
        Err(_) => advice.push("the certificate has expired".to_owned()),
    }
}
/// Whole days.
pub(super) const fn days(time: Duration) -> u64 {
    time.as_secs() / 86_400
}
