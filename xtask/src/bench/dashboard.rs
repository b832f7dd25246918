//! What the dashboard takes of the machine while a thousand things behind a gateway tell
//! something each second and one page is open: all of it as processes, on the hub. What the
//! things tell comes in messages, which are kept, and each of which counts once; and, in a
//! run of its own, by a subscription.

use super::{Report, listing};
use crate::failure::{Context, Failure, Outcome};
use crate::measure::Measure;
use crate::program;
use serde_json::Value;
use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Things, each of which tells something once a second.
const THINGS: usize = 1000;
/// The most of a core that the dashboard may take, in percent.
const CORE: f64 = 15.0;
/// How long it is measured.
const MEASURED: Duration = Duration::from_secs(30);
/// Until all things are seen.
const READY: Duration = Duration::from_secs(60);
/// After that, for what is slower at the beginning.
const SETTLE: Duration = Duration::from_secs(5);
/// Ticks of a processor's time in a second, as Linux tells them to programs everywhere.
const TICKS: f64 = 100.0;
const PASSWORD: &str = "secret";

/// How what the things tell comes to the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The gateway sends it.
    Messages,
    /// The dashboard watches the gateway.
    Subscription,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Messages => "dashboard",
            Self::Subscription => "dashboard by subscription",
        }
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
struct Figures {
    way: Way,
    /// Percent of a core.
    core: f64,
    /// Resident memory, in KiB.
    resident: f64,
    /// Of the page's stream, in a second.
    events: f64,
    bytes: f64,
    /// Changes of things, and the events that they came in.
    values: f64,
    batches: f64,
}

/// Measures and judges.
pub(super) fn run() -> Outcome<Report> {
    let stanchion = program::build("stanchion-chat", "stanchion", true)?;
    let mut values = Vec::new();
    let mut goals = Vec::new();
    for way in [Way::Messages, Way::Subscription] {
        let figures = measure(&stanchion, way)?;
        values.extend(self::values(&figures));
        goals.extend(judge(&figures));
    }
    let title = format!("{THINGS} things, each with a value a second, and one page");
    Ok(Report {
        table: listing(&title, &values),
        goals,
        values,
    })
}

/// A process of ours, ended with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(stanchion: &Path, folder: &Path, words: &[String]) -> Outcome<(Process, Value)> {
    let mut command = Command::new(stanchion);
    command
        .args(words)
        .current_dir(folder)
        .env("STANCHION_PASSWORD", PASSWORD)
        .env("HOME", folder)
        .env_remove("STANCHION_CONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let line = program::line(&command);
    let spawned = command.spawn().map_err(|source| Failure::Spawn {
        program: line.clone(),
        source,
    })?;
    let mut process = Process(spawned);
    if words[0] == "gateway" {
        return Ok((process, Value::Null));
    }
    let mut ready = String::new();
    if let Some(out) = process.0.stdout.take() {
        // What cannot be read is no JSON.
        let _ = BufReader::new(out).read_line(&mut ready);
    }
    Ok((process, program::json(&ready, &line)?))
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn measure(stanchion: &Path, way: Way) -> Outcome<Figures> {
    let folder = tempfile::tempdir().doing("create a folder in", &std::env::temp_dir())?;
    let users = ["gateway", "anna"].map(|name| format!("--user={name}:{PASSWORD}"));
    let hub = words(["hub", "--json", "--starttls=127.0.0.1:0"]);
    let (_hub, ready) = start(stanchion, folder.path(), &[hub, users.to_vec()].concat())?;
    let told = |what: &str| ready[what].as_str().unwrap_or_default().to_owned();
    let (place, pin) = (told("starttls"), told("fingerprint"));
    let dashboard = words(["dashboard", "--json", "--listen=127.0.0.1:0"]);
    let account = words(["--jid=anna@localhost", "--store=anna.sqlite"]);
    let server = vec![format!("--connect={place}"), format!("--pin={pin}")];
    let all = [dashboard, account, server].concat();
    let (dashboard, ready) = start(stanchion, folder.path(), &all)?;
    let url = ready["url"].as_str().unwrap_or_default();
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let page = Page::open(address)?;
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, configuration(way, &place, &pin)).doing("write", &file)?;
    let gateway = words(["gateway", "--config", "gateway.toml"]);
    let (_gateway, _) = start(stanchion, folder.path(), &gateway)?;
    if way == Way::Subscription {
        page.watch(address)?;
    }
    page.until_all_are_seen()?;
    std::thread::sleep(SETTLE);
    let before = (page.counted(), spent(dashboard.0.id())?);
    let began = Instant::now();
    std::thread::sleep(MEASURED);
    let after = (page.counted(), spent(dashboard.0.id())?);
    let seconds = began.elapsed().as_secs_f64();
    let rate = |of: fn(&Counted) -> u64| {
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let more = (of(&after.0) - of(&before.0)) as f64;
        more / seconds
    };
    Ok(Figures {
        way,
        core: 100.0 * (after.1 - before.1) / seconds,
        resident: resident(dashboard.0.id())?,
        events: rate(|c| c.events),
        bytes: rate(|c| c.bytes),
        values: rate(|c| c.values),
        batches: rate(|c| c.batches),
    })
}

fn configuration(way: Way, place: &str, pin: &str) -> String {
    let told = match way {
        Way::Messages => {
            r#"
[[connection.recipient]]
to = "anna@localhost"
telemetry = { within = "250ms" }
"#
        }
        Way::Subscription => "readers = [\"anna@localhost\"]\n",
    };
    format!(
        r#"
[[connection]]
jid = "gateway@localhost"
connect = "{place}"
pin = "{pin}"
store = "gateway.sqlite"
{told}
[[adapter]]
name = "meters"
type = "simulated"
kind = "meter"
count = {THINGS}
interval = "1s"
"#
    )
}

/// Processor time that a process has taken, in seconds.
fn spent(process: u32) -> Outcome<f64> {
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).doing("read", Path::new(&path))?;
    // The name may have blanks, and stands in parentheses.
    let fields = text.rsplit(") ").next().unwrap_or_default();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS),
        _ => Err(Failure::Malformed {
            what: path,
            why: "it does not tell the time".to_owned(),
        }),
    }
}

/// Memory of a process, in KiB.
fn resident(process: u32) -> Outcome<f64> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).doing("read", Path::new(&path))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| Failure::Missing("the system does not tell VmRSS".to_owned()))
}

/// What a page has read so far.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    events: u64,
    bytes: u64,
    values: u64,
    batches: u64,
}

/// A page that is open: read by a thread that ends with the stream.
struct Page {
    counted: std::sync::Arc<std::sync::Mutex<Counted>>,
    /// What lets it give orders.
    token: Receiver<String>,
    all: Receiver<()>,
}

impl Page {
    fn open(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address).and_then(|mut stream| {
            write!(
                stream,
                "GET /api/events HTTP/1.1\r\nHost: {address}\r\n\r\n"
            )?;
            Ok(stream)
        });
        let stream = stream.map_err(|error| failure_of(address, &error))?;
        let counted = std::sync::Arc::<std::sync::Mutex<Counted>>::default();
        let (seen, all) = channel();
        let (given, token) = channel();
        let reader = Reader {
            counted: std::sync::Arc::clone(&counted),
            things: HashSet::new(),
            token: Some(given),
            all: Some(seen),
        };
        std::thread::spawn(move || reader.read(stream));
        Ok(Self {
            counted,
            token,
            all,
        })
    }

    /// Has the gateway watched.
    fn watch(&self, address: &str) -> Outcome {
        let token = self.token.recv_timeout(READY);
        let token = token.map_err(|_| Failure::Red("the page got no state".to_owned()))?;
        let order = r#"{"order":"watch","jid":"gateway@localhost"}"#;
        let request = format!(
            "POST /api/orders HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nX-Stanchion-Csrf: {token}\r\n\
             Content-Length: {}\r\n\r\n{order}",
            order.len()
        );
        let answer = TcpStream::connect(address).and_then(|mut stream| {
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        let answer = answer.map_err(|error| failure_of(address, &error))?;
        match answer.starts_with("HTTP/1.1 202") {
            true => Ok(()),
            false => Err(Failure::Red(format!("the order was answered: {answer}"))),
        }
    }

    fn until_all_are_seen(&self) -> Outcome {
        self.all
            .recv_timeout(READY)
            .map_err(|_| Failure::Red(format!("{THINGS} things were not seen within {READY:?}")))
    }

    fn counted(&self) -> Counted {
        *self
            .counted
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn failure_of(address: &str, error: &std::io::Error) -> Failure {
    Failure::Red(format!("the dashboard at {address}: {error}"))
}

/// Reads the stream of events.
struct Reader {
    counted: std::sync::Arc<std::sync::Mutex<Counted>>,
    things: HashSet<String>,
    token: Option<Sender<String>>,
    all: Option<Sender<()>>,
}

impl Reader {
    fn read(mut self, stream: TcpStream) {
        let mut name = String::new();
        // Lines of the head, and those with a chunk's length, are none of an event.
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut counted = Counted {
                bytes: line.len() as u64 + 1,
                ..Counted::default()
            };
            if let Some(is) = line.strip_prefix("event: ") {
                is.clone_into(&mut name);
                counted.events = 1;
            } else if let Some(data) = line.strip_prefix("data: ")
                && name == "state"
                && let Some(token) = self.token.take()
            {
                let state: Value = serde_json::from_str(data).unwrap_or_default();
                let _ = token.send(state["csrf"].as_str().unwrap_or_default().to_owned());
            } else if let Some(data) = line.strip_prefix("data: ")
                && name == "things"
            {
                counted.batches = 1;
                counted.values = self.things(data);
            }
            let mut sum = self
                .counted
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            sum.bytes += counted.bytes;
            sum.events += counted.events;
            sum.values += counted.values;
            sum.batches += counted.batches;
        }
    }

    /// How many things changed.
    fn things(&mut self, data: &str) -> u64 {
        let Ok(Value::Array(things)) = serde_json::from_str(data) else {
            return 0;
        };
        if self.all.is_some() {
            let names = things.iter().filter_map(|thing| thing["thing"].as_str());
            self.things.extend(names.map(str::to_owned));
            if self.things.len() >= THINGS
                && let Some(all) = self.all.take()
            {
                let _ = all.send(());
            }
        }
        things.len() as u64
    }
}

fn values(figures: &Figures) -> Vec<Measure> {
    let way = figures.way.name();
    let of = |what, value, unit| Measure::alone(format!("{way}/{what}"), value, unit);
    vec![
        of("of a core", figures.core, "%"),
        of("resident", figures.resident, "KiB"),
        of("events to a page", figures.events, "1/s"),
        of("bytes to a page", figures.bytes, "bytes/s"),
        of("things that changed", figures.values, "1/s"),
        of("batches of them", figures.batches, "1/s"),
    ]
}

/// Little is taken, in few batches, and yet each value is told.
fn judge(figures: &Figures) -> [Measure; 3] {
    let values = values(figures);
    #[allow(clippy::cast_precision_loss, reason = "a thousand")]
    let most = THINGS as f64 * 0.95;
    let goal = |at: usize, goal: String, pass: bool| Measure {
        goal: Some(goal),
        pass,
        ..values[at].clone()
    };
    [
        goal(0, format!("value < {CORE}"), figures.core < CORE),
        goal(5, "value <= 4.5".to_owned(), figures.batches <= 4.5),
        goal(4, format!("value >= {most}"), figures.values >= most),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashboard_that_takes_too_much_or_leaves_values_out_misses_a_goal() {
        let good = Figures {
            way: Way::Subscription,
            core: 14.9,
            resident: 1.0,
            events: 5.0,
            bytes: 1.0,
            values: 999.0,
            batches: 4.0,
        };
        let passes = |figures: &Figures| judge(figures).map(|goal| goal.pass);
        assert_eq!(passes(&good), [true; 3]);
        let busy = Figures { core: 15.0, ..good };
        assert_eq!(passes(&busy), [false, true, true]);
        let lossy = Figures {
            values: 900.0,
            ..good
        };
        assert_eq!(passes(&lossy), [true, true, false]);
        let chatty = Figures {
            batches: 10.0,
            ..good
        };
        assert_eq!(passes(&chatty), [true, false, true]);
    }

    #[test]
    fn the_time_of_this_process_can_be_read() {
        assert!(spent(std::process::id()).is_ok());
        assert!(resident(std::process::id()).is_ok_and(|kib| kib > 0.0));
    }
}
