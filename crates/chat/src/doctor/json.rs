//! The doctor's report for scripts. Keys are only added.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use stanchion::connect::negotiation::FeatureStage;
use stanchion::connect::probe::{Inspection, ServerReport};
use stanchion::connect::resolve::discover::Candidate;
use stanchion::connect::timeline::{Step, What};
use stanchion::transport::security::Handshake;
use stanchion::transport::tls::PeerCertificate;
use stanchion_sasl::policy::SaslProfile;

use super::{Looked, advice, names, report};
use crate::exit::one_line;

/// What was found, with what a second login adds and what would go wrong.
pub(super) fn whole(looked: &Looked) -> Value {
    let mut value = inspection_json(&looked.first);
    value["again"] = looked.again.as_ref().map_or(Value::Null, again);
    value["advice"] = json!(advice::all(looked, SystemTime::now()));
    value
}

/// What the second login took.
fn again(inspection: &Inspection) -> Value {
    let mut servers = inspection.servers.iter().rev();
    let session = servers.find(|s| s.is_established());
    json!({
        "established": session.is_some(),
        "tls_resumed": session.and_then(|s| Some(s.security.as_ref()?.tls.as_ref()?.handshake == Handshake::Resumed)),
        "round_trips": session.and_then(|s| s.round_trips),
        "round_trips_in_all": session.and_then(|s| s.traffic).map(|t| t.turns),
        "ms": session.map(|s| ms(s.timings.total())),
    })
}

/// One look at the servers of an account.
pub(crate) fn inspection_json(inspection: &Inspection) -> Value {
    json!({
        "established": inspection.is_established(),
        "candidates": inspection.candidates.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "discovered": inspection.discovered.iter().map(record).collect::<Vec<_>>(),
        "race": inspection.timeline.steps().iter().map(step).collect::<Vec<_>>(),
        "unresolved": inspection.unresolved.as_ref().map(|e| one_line(e)),
        "servers": inspection.servers.iter().map(server_json).collect::<Vec<_>>(),
    })
}

/// A host as DNS has it; without a weight, there was no SRV record.
fn record(candidate: &Candidate) -> Value {
    let weight = candidate.weight;
    json!({
        "endpoint": candidate.endpoint.to_string(),
        "priority": weight.map(|_| candidate.priority),
        "weight": weight,
    })
}

fn step(step: &Step) -> Value {
    let (what, phase, to) = match &step.what {
        What::Resolving => ("resolving", None, None),
        What::Started => ("started", None, None),
        What::Secured => ("secured", None, None),
        What::Redirected(to) => ("redirected", None, Some(to.to_string())),
        What::Overtaken => ("overtaken", None, None),
        What::Failed(phase) => ("failed", Some(phase.to_string()), None),
        What::Established => ("established", None, None),
        _ => ("other", None, None),
    };
    json!({
        "at_ms": ms(step.at), "endpoint": step.endpoint.to_string(),
        "what": what, "phase": phase, "to": to,
    })
}

fn certificate_json(certificate: &PeerCertificate) -> Value {
    json!({
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "names": certificate.names,
        // Below zero once it has expired.
        "days_left": match certificate.not_after.duration_since(SystemTime::now()) {
            Ok(left) => i64::try_from(advice::days(left)).unwrap_or(i64::MAX),
            Err(ago) => -i64::try_from(advice::days(ago.duration())).unwrap_or(i64::MAX) - 1,
        },
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn server_json(server: &ServerReport) -> Value {
    let tls = server
        .security
        .as_ref()
        .and_then(|s| s.tls.as_ref().map(|tls| (s, tls)));
    let features: serde_json::Map<String, Value> = server
        .features
        .iter()
        .map(|(stage, f)| (names::stage(*stage).to_owned(), json!(names::features(f))))
        .collect();
    let timings: Vec<Value> = server
        .timings
        .iter()
        .map(|(phase, time)| json!({ "phase": phase.to_string(), "ms": ms(time) }))
        .collect();
    json!({
        "endpoint": server.endpoint.to_string(),
        "mode": report::mode(&server.endpoint),
        "established": server.is_established(),
        "phase": server.phases.last().map(ToString::to_string),
        "elapsed_ms": server.elapsed.map(ms),
        "tls": tls.map(|(security, tls)| json!({
            "version": tls.version.to_string(),
            "cipher": tls.cipher,
            "trust": names::trust(tls.trust),
            "sha256": tls.peer_sha256.map(|f| f.to_string()),
            "certificate": tls.peer_certificate.as_deref().map(certificate_json),
            "handshake": tls.handshake.to_string(),
            "resumed": tls.handshake == Handshake::Resumed,
            "bindings": names::bindings(security),
        })),
        "features": features,
        "short_cuts": server
            .features_at(FeatureStage::BeforeLogin)
            .map(|f| names::short_cuts(f).unwrap_or_default()),
        "login": server.login.as_ref().map(|l| json!({
            "sasl2": l.profile == SaslProfile::Sasl2,
            "mechanism": l.mechanism, "binding": names::bound(l.binding), "server_proved": l.server_proved,
        })),
        "jid": server.jid.as_ref().map(ToString::to_string),
        "resumption_seconds": server.stream_management.as_ref().filter(|s| s.resumable).map(|s| s.max_seconds),
        "round_trips": server.round_trips,
        "round_trips_in_all": server.traffic.map(|t| t.turns),
        "bytes_sent": server.traffic.map(|t| t.bytes_out),
        "bytes_received": server.traffic.map(|t| t.bytes_in),
        "timings": timings,
        "error": server.error.as_ref().map(|e| one_line(e)),
    })
}
