//! The doctor's report for people, as wide as the terminal.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use stanchion::connect::Endpoint;
use stanchion::connect::negotiation::FeatureStage;
use stanchion::connect::probe::{Inspection, ServerReport};
use stanchion::connect::timeline::{Step, What};
use stanchion::transport::TlsMode;
use stanchion::transport::security::{Handshake, TlsInfo};
use stanchion_sasl::policy::SaslProfile;

use super::{Looked, advice, names};
use crate::exit::one_line;
use crate::terminal::harmless;

/// Columns in front of a value.
const INDENT: usize = 15;

/// What was found, in at most `columns` columns.
pub(super) fn text(looked: &Looked, columns: usize) -> String {
    let mut out = Report {
        text: String::new(),
        // The last column stays free: some terminals wrap there.
        width: columns - 1,
    };
    out.candidates(&looked.first);
    out.race(&looked.first);
    for server in &looked.first.servers {
        out.server(server);
    }
    if let Some(again) = &looked.again {
        out.again(&looked.first, again);
    }
    out.advice(&advice::all(looked, SystemTime::now()));
    out.text.trim_end().to_owned()
}

struct Report {
    text: String,
    width: usize,
}

impl Report {
    /// The hosts to try, in their order.
    fn candidates(&mut self, inspection: &Inspection) {
        if inspection.candidates.is_empty() {
            self.line("candidates", "none");
        }
        let widest = inspection.candidates.iter().map(|e| e.to_string().len());
        let widest = widest.max().unwrap_or_default();
        for (index, endpoint) in inspection.candidates.iter().enumerate() {
            let name = if index == 0 { "candidates" } else { "" };
            let place = endpoint.to_string();
            let (number, mode) = (index + 1, mode(endpoint));
            let record = inspection
                .discovered
                .iter()
                .find(|c| c.endpoint == *endpoint);
            let record = record.and_then(|c| {
                let weight = c.weight?;
                Some(format!(", priority {}, weight {weight}", c.priority))
            });
            let record = record.unwrap_or_default();
            let line = format!("{number}. {place:<widest$}  {mode}{record}");
            self.words(name, &line, INDENT + 3);
        }
    }

    /// Who began when, who was secured first, and how each ended.
    fn race(&mut self, inspection: &Inspection) {
        let first = inspection.timeline.first_secured();
        let steps = inspection.timeline.steps();
        let widest = steps.iter().map(|s| s.endpoint.to_string().len()).max();
        let widest = widest.unwrap_or_default().min(self.width / 2);
        for (index, step) in steps.iter().enumerate() {
            let name = if index == 0 { "race" } else { "" };
            let is_first = first.is_some_and(|first| std::ptr::eq(first, step));
            let place = step.endpoint.to_string();
            let head = format!("{:>7.1} ms  {place:<widest$}  ", ms(step.at));
            let room = self.width.saturating_sub(INDENT + head.chars().count());
            let what = happened(step, is_first);
            // The last words in the next line, rather than none.
            let parts = fold(what.split(' ').map(str::to_owned), " ", room.max(12));
            for (number, part) in parts.iter().enumerate() {
                if number == 0 {
                    self.line(name, &format!("{head}{part}"));
                } else {
                    self.line("", &format!("{:>12}{part}", ""));
                }
            }
        }
    }

    fn server(&mut self, server: &ServerReport) {
        let _ = writeln!(self.text, "\n{}", harmless(&server.endpoint.to_string()));
        match server.security.as_ref().map(|s| (s, &s.tls)) {
            Some((security, Some(tls))) => {
                self.words(
                    "TLS",
                    &format!("{}, {}, {}", tls.version, tls.cipher, tls.handshake),
                    INDENT,
                );
                self.certificate(tls);
                self.list("can bind to", names::bindings(security));
            }
            Some((_, None)) => self.line("TLS", "none: everything is in the clear"),
            None => {}
        }
        for (stage, features) in &server.features {
            self.list(names::stage(*stage), names::features(features));
        }
        let before_login = server.features_at(FeatureStage::BeforeLogin);
        if let Some(features) = before_login {
            match names::short_cuts(features) {
                Some(names) => self.list("short cuts", names),
                None => self.line("short cuts", "no SASL2, so no Bind 2 and no tokens (FAST)"),
            }
        }
        if let Some(login) = &server.login {
            let profile = match login.profile {
                SaslProfile::Sasl2 => " by SASL2",
                _ => "",
            };
            self.line("login", &format!("{}{profile}", login.mechanism));
            self.words("", names::bound_for_people(login.binding), INDENT);
            self.words(
                "",
                if login.server_proved {
                    "the server proved that it knows the account"
                } else {
                    "the server proved nothing itself: its certificate alone speaks for it"
                },
                INDENT,
            );
        }
        if let Some(jid) = &server.jid {
            self.words("address", jid.as_str(), INDENT);
        }
        let resumption = match &server.stream_management {
            Some(sm) if sm.resumable => Some(sm.max_seconds.map_or_else(
                || "yes, for an unknown time".to_owned(),
                |s| format!("yes, for {s} s"),
            )),
            Some(_) => Some("no; only acknowledgements".to_owned()),
            None if server.is_established() => {
                Some("no; without stream management, losses are noticed late".to_owned())
            }
            None => None,
        };
        if let Some(resumption) = resumption {
            self.line("resumption", &resumption);
        }
        for (index, (phase, time)) in server.timings.iter().enumerate() {
            let name = if index == 0 { "time" } else { "" };
            self.line(name, &format!("{:>7.1} ms  {phase}", ms(time)));
        }
        if server.is_established() {
            let total = ms(server.timings.total());
            self.line("", &format!("{total:>7.1} ms  all together"));
        }
        self.round_trips(server);
        if let Some(error) = &server.error {
            let after = server.elapsed.unwrap_or_default();
            self.words("failed", &one_line(error), INDENT);
            self.line("", &format!("after {:.1} ms", ms(after)));
        } else if server.overtaken {
            self.words("closed", "another address was secured first", INDENT);
        } else if server.is_established() {
            self.line("result", "a session can be established");
        }
    }

    /// As the transport counted them.
    fn round_trips(&mut self, server: &ServerReport) {
        let Some(traffic) = &server.traffic else {
            return;
        };
        let of_stream = server.round_trips.unwrap_or_default();
        let all = traffic.turns;
        self.words(
            "round trips",
            &format!("{all}, TCP and TLS among them; {of_stream} of the login"),
            INDENT,
        );
        let (sent, received) = (traffic.bytes_out, traffic.bytes_in);
        self.line("bytes", &format!("{sent} sent, {received} received"));
    }

    fn certificate(&mut self, tls: &TlsInfo) {
        self.line("certificate", names::trust(tls.trust));
        if let Some(certificate) = &tls.peer_certificate {
            let or_none = |text: &str| match text {
                "" => "(none)".to_owned(),
                text => text.to_owned(),
            };
            self.words("subject", &or_none(&certificate.subject), INDENT);
            self.list("names", certificate.names.iter().map(String::as_str));
            self.words(
                "issuer",
                &if certificate.is_self_signed() {
                    "itself".to_owned()
                } else {
                    or_none(&certificate.issuer)
                },
                INDENT,
            );
            self.line("expires", &expiry(certificate.not_after, SystemTime::now()));
        }
        if let Some(sha256) = tls.peer_sha256 {
            // For --pin, which takes it with or without colons.
            self.words("sha256", &sha256.to_string().replace(':', ""), INDENT);
        }
    }

    /// What a second login of the same process was like.
    fn again(&mut self, first: &Inspection, again: &Inspection) {
        let _ = writeln!(self.text, "\na second login");
        match session(again) {
            Some(server) => {
                self.words("at", &server.endpoint.to_string(), INDENT);
                self.line(
                    "TLS",
                    match resumed(server) {
                        Some(true) => "resumed: no certificates were exchanged",
                        Some(false) => "not resumed: a full handshake each time",
                        None => "none",
                    },
                );
                self.round_trips(server);
                // Of the same address; the first may have been at several.
                let mut firsts = first.servers.iter().filter(|s| s.is_established());
                let before = firsts.find(|s| s.endpoint == server.endpoint);
                let before =
                    before.map(|s| format!(", the first took {:.1} ms", ms(s.timings.total())));
                let time = ms(server.timings.total());
                let before = before.unwrap_or_default();
                self.line("time", &format!("{time:>7.1} ms{before}"));
            }
            None => {
                let mut errors = again.servers.iter().filter_map(|s| s.error.as_ref());
                let why = errors
                    .next_back()
                    .map_or("no server answered".to_owned(), |e| one_line(e));
                self.words("failed", &why, INDENT);
            }
        }
    }

    fn advice(&mut self, advice: &[String]) {
        let _ = writeln!(self.text, "\nwhat would go wrong");
        if advice.is_empty() {
            self.text.push_str("  nothing that shows from here\n");
        }
        for advice in advice {
            let words = advice.split(' ').map(str::to_owned);
            for (number, line) in fold(words, " ", self.width - 4).iter().enumerate() {
                let mark = if number == 0 { "-" } else { " " };
                let _ = writeln!(self.text, "  {mark} {line}");
            }
        }
    }

    fn list(&mut self, name: &str, values: impl IntoIterator<Item = impl Into<String>>) {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        if values.is_empty() {
            self.line(name, "nothing");
        }
        self.lines(
            name,
            &fold(values.into_iter(), ", ", self.width - INDENT),
            0,
        );
    }

    /// A sentence, or what is one: what does not fit goes on `indent` columns in.
    fn words(&mut self, name: &str, sentence: &str, indent: usize) {
        let lines = fold(
            sentence.split(' ').map(str::to_owned),
            " ",
            self.width - indent,
        );
        self.lines(name, &lines, indent - INDENT);
    }

    fn lines(&mut self, name: &str, lines: &[String], hang: usize) {
        for (number, line) in lines.iter().enumerate() {
            let (name, hang) = if number == 0 { (name, 0) } else { ("", hang) };
            self.line(name, &format!("{:hang$}{line}", ""));
        }
    }

    fn line(&mut self, name: &str, value: &str) {
        // What a server says must not control the terminal.
        let _ = writeln!(self.text, "  {name:<12} {}", harmless(value));
    }
}

/// As many values in a line as fit, each as it will be printed. A value that is longer
/// than a line is cut.
fn fold(values: impl Iterator<Item = String>, glue: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for value in values {
        let value = harmless(&value);
        let most = width.saturating_sub(glue.trim_end().len()).max(1);
        let characters: Vec<char> = value.chars().collect();
        for (number, part) in characters.chunks(most).enumerate() {
            let part: String = part.iter().collect();
            // The glue stands on both sides, if another value follows.
            let columns = line.chars().count() + 2 * glue.len() + part.chars().count();
            if number > 0 {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() && columns > width {
                line.push_str(glue.trim_end());
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push_str(glue);
            }
            line.push_str(&part);
        }
        if characters.is_empty() && !line.is_empty() {
            line.push_str(glue);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A step of the race in words.
fn happened(step: &Step, is_first: bool) -> String {
    match &step.what {
        What::Resolving => "its addresses are looked up".to_owned(),
        What::Started => "started".to_owned(),
        What::Secured if is_first => "secured, the first".to_owned(),
        What::Secured => "secured".to_owned(),
        What::Redirected(to) => format!("sends us to {to}"),
        What::Overtaken => "closed: another one was secured first".to_owned(),
        What::Failed(phase) => format!("closed: {phase} failed"),
        What::Established => "gave a session".to_owned(),
        // A newer kind of step.
        other => format!("{other:?}"),
    }
}

/// The server that gave the session.
fn session(inspection: &Inspection) -> Option<&ServerReport> {
    let mut servers = inspection.servers.iter().rev();
    servers.find(|s| s.is_established())
}

fn resumed(server: &ServerReport) -> Option<bool> {
    let tls = server.security.as_ref()?.tls.as_ref()?;
    Some(tls.handshake == Handshake::Resumed)
}

pub(super) fn mode(endpoint: &Endpoint) -> &'static str {
    match endpoint.mode {
        TlsMode::None if endpoint.websocket().is_some() => "WebSocket, no TLS",
        _ if endpoint.websocket().is_some() => "WebSocket over TLS",
        TlsMode::StartTls => "STARTTLS",
        TlsMode::Direct => "direct TLS",
        TlsMode::None => "no TLS",
    }
}

fn expiry(not_after: SystemTime, now: SystemTime) -> String {
    let date = date(not_after);
    match (not_after.duration_since(now), now.duration_since(not_after)) {
        (Ok(left), _) => format!("in {} days, on {date}", advice::days(left)),
        (_, Ok(ago)) => format!("{} days ago, on {date}", advice::days(ago)),
        _ => date,
    }
}

fn date(at: SystemTime) -> String {
    // The formatter knows the years 1970 to 9999.
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let at = at.clamp(SystemTime::UNIX_EPOCH, last);
    let text = humantime::format_rfc3339_seconds(at).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use stanchion::connect::registry::read_place;
    use stanchion::connect::resolve::discover::Candidate;

    use super::*;

    fn report(width: usize) -> Report {
        Report {
            text: String::new(),
            width,
        }
    }

    #[test]
    fn a_report_fits_its_columns_and_loses_nothing() {
        let features: Vec<String> = (0..40).map(|n| format!("feature-{n}")).collect();
        for width in [59, 79, 119] {
            let mut out = report(width);
            out.list("after login", features.iter().map(String::as_str));
            out.words("failed", &features.join(" "), INDENT);
            out.list("names", ["x".repeat(300)]);
            assert!(
                out.text.lines().all(|l| l.chars().count() <= width),
                "{}",
                out.text
            );
            let words: Vec<&str> = out.text.split([' ', ',', '\n']).collect();
            for name in &features {
                let found = words.iter().filter(|w| *w == name).count();
                assert_eq!(found, 2, "{name}: {}", out.text);
            }
            assert_eq!(out.text.matches('x').count(), 300);
            assert_eq!(out.text.matches("after login").count(), 1);
        }
    }

    #[test]
    fn a_candidate_is_told_with_the_priority_and_weight_of_its_record() {
        let place = |text| read_place(text).unwrap();
        let mut inspection = Inspection::default();
        inspection.candidates = vec![place("a.example:5222"), place("xmpps://b.example:443")];
        inspection.discovered = vec![Candidate {
            priority: 5,
            weight: Some(30),
            endpoint: place("a.example:5222"),
        }];
        let mut out = report(79);
        out.candidates(&inspection);
        assert!(
            out.text
                .contains("a.example:5222  STARTTLS, priority 5, weight 30\n"),
            "{}",
            out.text
        );
        assert!(out.text.contains("b.example:443   direct TLS\n"));
    }

    #[test]
    fn a_server_cannot_control_the_terminal_by_its_features() {
        let mut out = report(79);
        out.list("offers", ["\u{1b}[2J"]);
        assert!(!out.text.contains('\u{1b}'));
    }

    #[test]
    fn an_expiry_is_told_in_days_whenever_it_is() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let day = Duration::from_secs(86_400);
        assert_eq!(expiry(now + 30 * day, now), "in 30 days, on 2001-10-09");
        assert_eq!(expiry(now - 2 * day, now), "2 days ago, on 2001-09-07");
        let far = now + Duration::from_secs(400_000_000_000);
        assert!(expiry(far, now).ends_with("9999-12-31"));
    }
}
