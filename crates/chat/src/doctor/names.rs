//! What is found on a server, in words: the same for people and for scripts unless said
//! otherwise.

use stanchion::connect::negotiation::FeatureStage;
use stanchion::stanza::stream::StreamFeatures;
use stanchion::stanza::{Text, ns};
use stanchion::transport::Security;
use stanchion::transport::security::Trust;
use stanchion_sasl::binding::Binding;

pub(super) const fn stage(stage: FeatureStage) -> &'static str {
    match stage {
        FeatureStage::BeforeTls => "before TLS",
        FeatureStage::BeforeLogin => "before login",
        FeatureStage::AfterLogin => "after login",
        _ => "offered",
    }
}

pub(super) const fn trust(trust: Trust) -> &'static str {
    match trust {
        Trust::Chain => "valid for the domain, from a trusted authority",
        Trust::Pin => "the pinned one",
        _ => "not verified",
    }
}

pub(super) fn bindings(security: &Security) -> Vec<&'static str> {
    let found = [
        ("tls-exporter", security.bindings.tls_exporter.is_some()),
        (
            "tls-server-end-point",
            security.bindings.tls_server_end_point.is_some(),
        ),
    ];
    found
        .into_iter()
        .filter(|(_, there)| *there)
        .map(|(name, _)| name)
        .collect()
}

/// For scripts: the binding's registered name, or why there is none.
pub(super) const fn bound(binding: Binding) -> &'static str {
    match binding {
        Binding::Bound(binding) => binding.as_str(),
        Binding::NotOffered => "not-offered",
        Binding::Unavailable => "unavailable",
        Binding::Disabled => "disabled",
        Binding::NoneInCommon => "none-in-common",
        Binding::RefusedByServer => "refused-by-server",
        _ => "not-applicable",
    }
}

pub(super) const fn bound_for_people(binding: Binding) -> &'static str {
    match binding {
        Binding::Bound(_) => "bound to the TLS connection: nobody is in between",
        Binding::NotOffered => "not bound to TLS: the server offers no -PLUS mechanism",
        Binding::Unavailable => "not bound to TLS: this connection gives nothing to bind to",
        Binding::Disabled => "not bound to TLS: switched off",
        Binding::NoneInCommon => "not bound to TLS: the server knows no binding of ours",
        Binding::RefusedByServer => "not bound to TLS: the server offers it, and then refuses it",
        _ => "not bound to TLS: the mechanism cannot",
    }
}

/// How a login may take fewer round trips there; `None` if that is not offered.
pub(super) fn short_cuts(features: &StreamFeatures) -> Option<Vec<String>> {
    let sasl2 = features.sasl2.as_ref()?;
    let inline = &sasl2.inline;
    let mut names = vec!["SASL2".to_owned()];
    if inline.bind2.is_some() {
        names.push("Bind 2".to_owned());
    }
    if inline.bind2.as_ref().is_some_and(|bind| bind.has(ns::SM)) {
        names.push("stream management with it".to_owned());
    }
    if inline.stream_management {
        names.push("resumption with it".to_owned());
    }
    if let Some(fast) = &inline.fast {
        let mechanisms: Vec<&str> = fast.mechanisms.iter().map(|m| m.as_str()).collect();
        names.push(format!("FAST ({})", mechanisms.join(" ")));
    }
    Some(names)
}

pub(super) fn features(features: &StreamFeatures) -> Vec<String> {
    let mut names = Vec::new();
    if features.starttls.is_some() {
        names.push("STARTTLS".to_owned());
    }
    names.extend(features.mechanisms.iter().map(ToString::to_string));
    if let Some(sasl2) = &features.sasl2 {
        let new = |name: &&Text| !features.mechanisms.contains(name);
        let more = sasl2.mechanisms.iter().filter(new);
        names.extend(more.map(|name| format!("{name} by SASL2")));
    }
    if let Some(types) = &features.channel_bindings {
        names.extend(types.iter().map(|t| format!("binding {t}")));
    }
    if features.bind {
        names.push("bind".to_owned());
    }
    if features.stream_management {
        names.push("stream management".to_owned());
    }
    if let Some(bytes) = features.max_bytes {
        names.push(format!("stanzas up to {bytes} bytes"));
    }
    names.extend(
        features
            .other
            .iter()
            .map(|e| format!("{} ({})", e.name(), e.ns())),
    );
    names
}
