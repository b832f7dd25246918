//! The measuring: which clients, against which server, how often.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::proxy::Proxy;

/// Half a round trip while round trips are counted: longer than any pause in which one
/// side thinks, so that nothing that travels at the same time looks like an answer.
const LATE: Duration = Duration::from_millis(25);

/// A client that does not end by then is ended.
const LIMIT: Duration = Duration::from_secs(120);

/// What to measure.
#[derive(Debug, Args)]
pub struct Plan {
    /// A server's description, as `cargo xtask servers start --json` prints it
    #[arg(long)]
    server: PathBuf,
    /// What the server is called in the report
    #[arg(long)]
    name: String,
    /// The libstrophe client, compiled; left out if it is not given
    #[arg(long)]
    strophe: Option<PathBuf>,
    /// Also the logins that need SASL2
    #[arg(long)]
    sasl2: bool,
    /// Logins that are timed, for each client
    #[arg(long, default_value_t = 30)]
    count: usize,
}

#[derive(Debug, Deserialize)]
struct Server {
    domain: String,
    ports: Ports,
    ca: PathBuf,
    users: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Ports {
    starttls: u16,
    direct_tls: u16,
}

/// One client's figures.
#[derive(Debug, Serialize)]
struct Figures<'a> {
    server: &'a str,
    client: &'static str,
    tls: &'static str,
    /// Round trips to a session, TCP and TLS with them; of the last login.
    round_trips: usize,
    /// Microseconds from the beginning to a session, no delay added; the median.
    micros: u64,
    /// CPU microseconds a login, the first left out.
    cpu_micros: u64,
}

/// Prints the figures of each client.
pub async fn run(plan: &Plan) -> Result<(), String> {
    let text = std::fs::read_to_string(&plan.server)
        .map_err(|e| format!("{}: {e}", plan.server.display()))?;
    let server: Server =
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", plan.server.display()))?;
    let ours: &[_] = if plan.sasl2 {
        &["ours-new", "ours", "ours-fast"]
    } else {
        &["ours-new", "ours"]
    };
    for (tls, port) in [
        ("starttls", server.ports.starttls),
        ("direct", server.ports.direct_tls),
    ] {
        for client in ours.iter().copied().chain(["tokio-xmpp", "libstrophe"]) {
            if client == "libstrophe" && plan.strophe.is_none() {
                continue;
            }
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let far = Proxy::start(address, LATE)
                .await
                .map_err(|e| e.to_string())?;
            // The first login learns what the third may use.
            let place = (far.address.port(), Some(&far));
            let (round_trips, ..) = logins(plan, &server, client, tls, place, 3).await?;
            // Timed without the relay, which acknowledges as it pleases.
            let (_, mut micros, cpu) =
                logins(plan, &server, client, tls, (port, None), plan.count + 1).await?;
            // Without the first, which may derive keys.
            micros.remove(0);
            micros.sort_unstable();
            let figures = Figures {
                server: &plan.name,
                client,
                tls,
                round_trips,
                micros: micros[micros.len() / 2],
                cpu_micros: cpu / plan.count as u64,
            };
            println!("{}", serde_json::json!(figures));
        }
    }
    Ok(())
}

/// Runs one client: round trips of its last login, time of each, CPU time.
async fn logins(
    plan: &Plan,
    server: &Server,
    client: &str,
    tls: &str,
    (port, proxy): (u16, Option<&Proxy>),
    count: usize,
) -> Result<(usize, Vec<u64>, u64), String> {
    let (user, password) = server
        .users
        .first_key_value()
        .ok_or("the server has no user")?;
    let jid = format!("{user}@{}", server.domain);
    let mut command = match (client, &plan.strophe) {
        ("libstrophe", Some(strophe)) => {
            let mut command = Command::new(strophe);
            command.args([&jid, password, "127.0.0.1", &port.to_string(), tls]);
            command.arg(&server.ca).arg(count.to_string());
            command
        }
        _ => own(client, &jid, password, tls, &server.ca, port, count)?,
    };
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = spawned.map_err(|e| format!("{client}: {e}"))?;
    let out = child.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(out).lines();
    let (mut round_trips, mut micros, mut cpu) = (0, Vec::new(), 0);
    let reading = async {
        while let Ok(Some(line)) = lines.next_line().await {
            let number = |text: &str| text.parse().unwrap_or(0);
            if let Some(text) = line.strip_prefix("ready ") {
                micros.push(number(text));
                let answers = proxy.and_then(|p| p.answers_of_the_last(Instant::now()));
                round_trips = answers.unwrap_or(0);
            } else if let Some(text) = line.strip_prefix("cpu ") {
                cpu = number(text);
            }
        }
        child.wait().await
    };
    let status = timeout(LIMIT, reading)
        .await
        .map_err(|_| format!("{client} did not end"))?
        .map_err(|e| format!("{client}: {e}"))?;
    if !status.success() || micros.len() != count {
        return Err(format!(
            "{client}, {tls}: {} of {count} logins, {status}",
            micros.len()
        ));
    }
    Ok((round_trips, micros, cpu))
}

/// This program, as a client.
fn own(
    client: &str,
    jid: &str,
    password: &str,
    tls: &str,
    ca: &Path,
    port: u16,
    count: usize,
) -> Result<Command, String> {
    let mut command = Command::new(std::env::current_exe().map_err(|e| e.to_string())?);
    command.args([
        "client",
        "--way",
        client,
        "--jid",
        jid,
        "--password",
        password,
    ]);
    command.arg("--ca").arg(ca).env("SSL_CERT_FILE", ca);
    command.args(["--port", &port.to_string()]);
    command.args(["--count", &count.to_string()]);
    if tls == "direct" {
        command.arg("--direct");
    }
    Ok(command)
}
