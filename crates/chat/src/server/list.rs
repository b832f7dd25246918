//! `stanchion server list`: what is registered, and how it fares. Never a secret.

use std::time::SystemTime;

use clap::Args;
use serde_json::{Value, json};
use stanchion::Roots;
use stanchion::connect::config::Plaintext;
use stanchion::connect::registry::{EndpointHealth, Server, ServerRegistry as _, write_place};
use stanchion::connect::{Endpoint, Endpoints};
use stanchion_sasl::mechanism::Mechanism;
use stanchion_sasl::policy::ChannelBindingPolicy;

use super::{Contents, RegistryArgs};
use crate::age::{ago, rfc3339, rough};
use crate::exit::{Exit, Outcome, registry_failure};
use crate::table::Table;
use crate::terminal::{Reader, columns, harmless, json_line, print};

/// Show the registered servers, the first to be tried first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stanchion server list
  stanchion server list --json | jq -r .account

Exit codes: 0 shown, 1 an entry or the registry cannot be read, 2 usage.")]
pub(super) struct Command {
    /// Print one JSON object a server
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Health of a server's endpoints.
type Health = Vec<(Endpoint, EndpointHealth)>;

/// Carries out the command.
pub(super) async fn run(command: Command) -> Outcome {
    let mut contents = Contents::default();
    let mut all: Vec<Health> = Vec::new();
    if let Some(registry) = command.registry.look().await? {
        contents = Contents::of(&registry).await?;
        for server in &contents.servers {
            let health = registry.health(&server.account.jid).await;
            all.push(health.map_err(|e| registry_failure(&e))?);
        }
    }
    let now = SystemTime::now();
    let servers = contents.servers.iter().zip(&all);
    if command.json {
        for (server, health) in servers {
            if print(&json_line(&to_json(server, health, now)))? == Reader::Gone {
                return Ok(Exit::Done);
            }
        }
    } else if contents.servers.is_empty() && contents.unreadable.is_empty() {
        let _ = print("no server is registered; add one by `stanchion server add JID`")?;
    } else {
        let _ = print(&table(servers, now, columns()))?;
    }
    contents.conclude()
}

fn table<'a>(
    servers: impl Iterator<Item = (&'a Server, &'a Health)>,
    now: SystemTime,
    columns: usize,
) -> String {
    let heading = ["ACCOUNT", "PRI", "ENDPOINTS", "TRUST", "HEALTH"];
    let mut table = Table::new(&heading);
    for (server, health) in servers {
        let cells = [
            vec![server.account.jid.to_string()],
            vec![server.priority.to_string()],
            endpoints(server),
            trust(server),
            health_in_words(health, now),
        ];
        let harmless = |cell: Vec<String>| cell.iter().map(|line| harmless(line)).collect();
        table.row(cells.into_iter().map(harmless).collect());
    }
    table.render(columns)
}

fn endpoints(server: &Server) -> Vec<String> {
    match &server.endpoints {
        Endpoints::Discover => vec!["by DNS".to_owned()],
        Endpoints::Explicit(all) => all.iter().map(place_of).collect(),
        _ => vec!["others".to_owned()],
    }
}

fn place_of(endpoint: &Endpoint) -> String {
    write_place(endpoint).unwrap_or_else(|| endpoint.to_string())
}

/// Whom to trust there, and what is demanded of a login.
fn trust(server: &Server) -> Vec<String> {
    let mut lines = Vec::new();
    match &server.tls.pin {
        // Enough to tell two of them apart.
        Some(pin) => lines.push(format!("pin {}…", short(&pin.to_string()))),
        None => lines.extend(server.tls.roots.iter().map(root)),
    }
    if server.sasl.minimum > Mechanism::Plain {
        lines.push(format!("{} or better", server.sasl.minimum));
    }
    if server.sasl.channel_binding == ChannelBindingPolicy::Require {
        lines.push("binding required".to_owned());
    }
    if server.plaintext == Plaintext::Allow {
        lines.push("WITHOUT TLS, TOO".to_owned());
    }
    lines
}

fn short(pin: &str) -> String {
    pin.chars().filter(|c| *c != ':').take(8).collect()
}

fn root(root: &Roots) -> String {
    match root {
        Roots::WebPki => "Web authorities".to_owned(),
        Roots::Native => "system's authorities".to_owned(),
        Roots::PemFile(path) => path.display().to_string(),
        Roots::Pem(pem) => {
            let text = String::from_utf8_lossy(pem);
            match text.matches("-----BEGIN CERTIFICATE-----").count() {
                1 => "own authority".to_owned(),
                n => format!("{n} own authorities"),
            }
        }
        _ => "others".to_owned(),
    }
}

fn last_good(health: &Health) -> Option<(&Endpoint, SystemTime)> {
    health
        .iter()
        .filter_map(|(place, health)| Some((place, health.succeeded_at?)))
        .max_by_key(|(_, at)| *at)
}

fn failures(health: &Health) -> u32 {
    let all = health.iter().map(|(_, h)| h.failures);
    all.fold(0, u32::saturating_add)
}

/// Until when all that is known is not to be tried.
fn open_until(health: &Health, now: SystemTime) -> Option<SystemTime> {
    let all: Option<Vec<SystemTime>> = health
        .iter()
        .map(|(_, h)| h.open_until.filter(|until| *until > now))
        .collect();
    all?.into_iter().min()
}

fn health_in_words(health: &Health, now: SystemTime) -> Vec<String> {
    let mut lines = match last_good(health) {
        Some((place, at)) => vec![
            format!("ok {}", ago(at, now)),
            format!("at {}", place_of(place)),
        ],
        None => vec!["never connected".to_owned()],
    };
    match failures(health) {
        0 => {}
        1 => lines.push("1 failure".to_owned()),
        n => lines.push(format!("{n} failures")),
    }
    if let Some(wait) = open_until(health, now).and_then(|until| until.duration_since(now).ok()) {
        lines.push(format!("waits for {}", rough(wait)));
    }
    lines
}

fn to_json(server: &Server, health: &Health, now: SystemTime) -> Value {
    let time = |at: Option<SystemTime>| at.map(rfc3339);
    let places: Vec<Value> = health
        .iter()
        .map(|(place, h)| {
            json!({
                "endpoint": place_of(place),
                "failures": h.failures,
                "failed_at": time(h.failed_at),
                "succeeded_at": time(h.succeeded_at),
                "open_until": time(h.open_until.filter(|until| *until > now)),
                "latency_ms": h.latency.map(|l| l.as_secs_f64() * 1000.0),
            })
        })
        .collect();
    let explicit = match &server.endpoints {
        Endpoints::Explicit(_) => Some(endpoints(server)),
        _ => None,
    };
    let roots: Vec<String> = server.tls.roots.iter().map(root).collect();
    json!({
        "account": server.account.jid.to_string(),
        "resource": server.account.resource.as_ref().map(|r| r.as_str()),
        "priority": server.priority,
        "endpoints": explicit,
        "trust": {
            "pin": server.tls.pin.map(|pin| pin.to_string()),
            "roots": server.tls.pin.is_none().then_some(roots),
        },
        "min_mechanism": server.sasl.minimum.as_str(),
        "require_binding": server.sasl.channel_binding == ChannelBindingPolicy::Require,
        "insecure_plaintext": server.plaintext == Plaintext::Allow,
        "health": {
            "last_success": time(last_good(health).map(|(_, at)| at)),
            "last_good": last_good(health).map(|(place, _)| place_of(place)),
            "failures": failures(health),
            "open_until": time(open_until(health, now)),
            "endpoints": places,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stanchion::connect::Account;
    use stanchion::connect::registry::read_place;

    use super::*;

    fn server(account: &str) -> Server {
        Server::new(Account::with_password(account.parse().unwrap(), "hunter2"))
    }

    #[test]
    fn the_list_fits_its_columns_and_shows_no_secret() {
        let mut plain = server("sensor-17@a-rather-long-name-of-a-plant.example");
        plain.plaintext = Plaintext::Allow;
        let places = [
            "xmpp-with-a-long-name.plant.example:5222",
            "xmpps://192.0.2.1:443",
        ];
        plain.endpoints = Endpoints::Explicit(places.map(|p| read_place(p).unwrap()).to_vec());
        let home = server("lamp@home.example");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let health = vec![(
            read_place("192.0.2.1:5222").unwrap(),
            EndpointHealth {
                failures: 2,
                succeeded_at: Some(now - Duration::from_secs(600)),
                open_until: Some(now + Duration::from_secs(14)),
                ..EndpointHealth::default()
            },
        )];
        for columns in [80, 120] {
            let text = table(
                [(&home, &health), (&plain, &Vec::new())].into_iter(),
                now,
                columns,
            );
            assert!(text.lines().all(|l| l.chars().count() <= columns), "{text}");
            assert!(!text.contains("hunter2"));
            for told in ["ok 10 min", "waits for", "never", "WITHOUT", "by DNS"] {
                assert!(text.contains(told), "{told}: {text}");
            }
        }
        for (server, health) in [(&home, &health), (&plain, &Vec::new())] {
            assert!(!to_json(server, health, now).to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_server_waits_only_when_all_its_endpoints_do() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let entry = |port, open: Option<u64>| {
            let place = read_place(&format!("192.0.2.1:{port}")).unwrap();
            let open_until = open.map(|s| now + Duration::from_secs(s));
            (
                place,
                EndpointHealth {
                    open_until,
                    ..EndpointHealth::default()
                },
            )
        };
        assert_eq!(
            open_until(&vec![entry(1, Some(5)), entry(2, None)], now),
            None
        );
        let both = vec![entry(1, Some(5)), entry(2, Some(3))];
        assert_eq!(open_until(&both, now), Some(now + Duration::from_secs(3)));
        assert_eq!(open_until(&Vec::new(), now), None);
    }
}
