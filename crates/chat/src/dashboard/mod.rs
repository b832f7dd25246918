//! `stanchion dashboard`: things, conversations and delivery in the browser. This file owns
//! the command and the life of a [`Dashboard`]; the pages are files of this program.

mod board;
mod changes;
mod feed;
mod guard;
mod http;
mod orders;
mod pages;
mod series;
mod server;
mod site;
#[cfg(test)]
mod tests;
mod wire;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use secrecy::ExposeSecret as _;
use serde_json::json;
use stanchion::{BareJid, ClientBuilder};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::app::{Desk, DeskConfig, Event, Order};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::settings::{ConnectionArgs, Settings, read_password};
use crate::terminal::{harmless, print};
use board::{Ask, Board};
use guard::Guard;
use site::{Parts, Site};

/// Nobody looks once no page was open for so long: one that is loaded again is back sooner.
const AWAY: Duration = Duration::from_secs(10);

/// See things, conversations and delivery in the browser
#[derive(Debug, Args)]
#[command(after_help = "\
On loopback there is no login: whoever has an account on this machine can open the \
dashboard, unless --token-file gives a token. Beyond loopback there always is one; without \
--token-file a token is made, and printed once, as a link. The connection is plain HTTP: \
beyond loopback, put a proxy with TLS before it.

Examples:
  stanchion dashboard --jid anna@example.org
  stanchion dashboard --jid anna@example.org --open
  stanchion dashboard --jid anna@example.org --listen 0.0.0.0:5290

Exit codes: 0 interrupted, 1 a fault of this machine (as an address that is in use), 2 the \
command line or the configuration is wrong. What a server does ends nothing: the dashboard \
shows it.

The password is taken from STANCHION_PASSWORD, or from --password-file.")]
pub(crate) struct Command {
    /// Listen there; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5290")]
    listen: SocketAddr,
    /// Open it in the browser of this desktop, too
    #[arg(long)]
    open: bool,
    /// Print where it is as one JSON object
    #[arg(long)]
    json: bool,
    /// Ask for the token in this file, 16 characters or more; only its owner may be able to
    /// read it
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let settings = Settings::load(&command.connection).await?;
    let mut interrupt = Interrupt::watch()?;
    let mut config = DashboardConfig::new(settings.account().clone(), settings.store_file()?);
    config.listen = command.listen;
    if let Some(path) = &command.token_file {
        config.token = Some(read_password(path)?.expose_secret().to_owned());
    }
    let dashboard = Dashboard::start(&settings, config, |client| client).await?;
    // If nobody reads that, it is there all the same.
    let _ = match command.json {
        true => {
            let (url, link) = (dashboard.url(), dashboard.link());
            print(&json!({ "url": url, "link": link }).to_string())?
        }
        false => print(&format!(
            "The dashboard of {} is at\n  {}\nCtrl-C ends it",
            harmless(settings.account().as_str()),
            dashboard.link()
        ))?,
    };
    let opening = async {
        if command.open {
            open(dashboard.link()).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = interrupt.seen() => {}
        () = opening => {}
    }
    dashboard.close().await?;
    Ok(Exit::Done)
}

/// Opens an address in the browser of the desktop. Where there is none, that is said.
async fn open(url: &str) {
    use std::io::Write as _;
    use std::process::Stdio;
    let opener = match cfg!(target_os = "macos") {
        true => "open",
        false => "xdg-open",
    };
    let mut command = tokio::process::Command::new(opener);
    command.arg(url);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let why = match command.status().await {
        Ok(status) if status.success() => return,
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let _ = writeln!(
        std::io::stderr(),
        "stanchion: {opener}: {why}; open the address by hand"
    );
}

/// Somebody who sits at the tour: what is told there, and where buttons go.
#[derive(Debug)]
pub(crate) struct Seat {
    /// The event `tour`, as it is.
    pub(crate) told: watch::Receiver<Arc<serde_json::Value>>,
    /// The names of buttons that were pressed.
    pub(crate) acts: mpsc::Sender<String>,
}

/// How a dashboard is.
#[derive(Debug)]
pub(crate) struct DashboardConfig {
    /// Whose it is.
    pub(crate) account: BareJid,
    /// The file that keeps everything.
    pub(crate) store: PathBuf,
    /// Where it listens. Default: a free port on loopback.
    pub(crate) listen: SocketAddr,
    /// What a browser must give. Default: nothing on loopback, and what nobody can guess
    /// beyond.
    pub(crate) token: Option<String>,
    /// The tour that it shows. Default: none.
    pub(crate) tour: Option<Seat>,
}

impl DashboardConfig {
    /// Of that account, on that store.
    pub(crate) const fn new(account: BareJid, store: PathBuf) -> Self {
        Self {
            account,
            store,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            token: None,
            tour: None,
        }
    }
}

/// A dashboard, at work. Dropping it ends it as a crash would: nothing that was accepted or
/// committed is lost.
#[derive(Debug)]
pub(crate) struct Dashboard {
    url: String,
    link: String,
    orders: mpsc::Sender<Order>,
    stop: watch::Sender<bool>,
    work: JoinSet<Result<(), Failure>>,
}

impl Dashboard {
    /// Listens, connects, and serves from then on. `describe` has the last word on the
    /// client.
    ///
    /// # Errors
    /// The address cannot be had; the configuration's and the store's; nothing that a server
    /// does.
    pub(crate) async fn start(
        settings: &Settings,
        config: DashboardConfig,
        describe: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, Failure> {
        let door = Door::open(config.listen, config.token).await?;
        let client = settings.start_as(None, |client| describe(client.conversations()));
        let (client, incoming) = client.await?;
        let desk = DeskConfig::new(config.account.clone(), config.store);
        let (desk, events) = Desk::start(client, incoming, desk).await?;
        let (readings, history) = (desk.readings(), desk.history());
        let orders = desk.orders();
        let mut dashboard = Self::serve(
            door,
            config.account,
            events,
            |guard, asks, acts| Parts {
                guard,
                asks,
                acts,
                orders,
                history,
                readings,
            },
            config.tour,
        );
        let (looked_at, stop) = (dashboard.1, dashboard.0.stop.subscribe());
        dashboard.0.work.spawn(keep(desk, looked_at, stop));
        Ok(dashboard.0)
    }

    /// Serves what happens, and hands on what is ordered.
    fn serve(
        door: Door,
        account: BareJid,
        events: mpsc::Receiver<Event>,
        parts: impl FnOnce(Guard, mpsc::Sender<Ask>, Option<mpsc::Sender<String>>) -> Parts,
        tour: Option<Seat>,
    ) -> (Self, watch::Receiver<bool>) {
        let Door {
            listener,
            guard,
            url,
            link,
        } = door;
        let (stop, stopped) = watch::channel(false);
        let (looks, looked_at) = watch::channel(false);
        let (told, acts) = match tour {
            Some(Seat { told, acts }) => (Some(told), Some(acts)),
            None => (None, None),
        };
        let board = Board::new(account, guard.csrf().to_owned(), told, looks);
        let (asks, asked) = Board::asks();
        let parts = parts(guard, asks, acts);
        let orders = parts.orders.clone();
        let router = server::router(Site::new(parts));
        let mut work = JoinSet::new();
        let boarding = board.run(events, asked, stopped.clone());
        work.spawn(async move {
            boarding.await;
            Ok(())
        });
        work.spawn(async move {
            http::serve(listener, router, stopped).await;
            Ok(())
        });
        let dashboard = Self {
            url,
            link,
            orders,
            stop,
            work,
        };
        (dashboard, looked_at)
    }

    /// Where it is, for a browser.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The same, with the token, if one was made.
    pub(crate) fn link(&self) -> &str {
        &self.link
    }

    /// Where orders go. Cheap to clone.
    pub(crate) fn orders(&self) -> mpsc::Sender<Order> {
        self.orders.clone()
    }

    /// Ends it cleanly: pages are closed, what was accepted is durable.
    ///
    /// # Errors
    /// The session's.
    pub(crate) async fn close(mut self) -> Result<(), Failure> {
        self.stop.send_replace(true);
        let mut ended = Ok(());
        while let Some(done) = self.work.join_next().await {
            let done = done.unwrap_or_else(|error| {
                Err(Failure::failed(format!("a part of the dashboard: {error}")))
            });
            ended = ended.and(done);
        }
        ended
    }
}

/// Where a dashboard listens, and who may come in.
#[derive(Debug)]
struct Door {
    listener: TcpListener,
    guard: Guard,
    url: String,
    link: String,
}

impl Door {
    async fn open(listen: SocketAddr, token: Option<String>) -> Result<Self, Failure> {
        let failed = |error| {
            Failure::failed(format!(
                "the dashboard cannot listen at {listen}: {error}; give another address by \
                 --listen, with port 0 for a free one"
            ))
        };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let made = match (&token, address.ip().is_loopback()) {
            (None, false) => Some(guard::secret()?),
            _ => None,
        };
        let url = match address.ip().is_unspecified() {
            // Of all addresses of this machine, one that is always there.
            true => format!("http://localhost:{}/", address.port()),
            false => format!("http://{address}/"),
        };
        let link = match &made {
            Some(token) => format!("{url}login#token={token}"),
            None => url.clone(),
        };
        Ok(Self {
            listener,
            guard: Guard::new(address.port(), token.or(made))?,
            url,
            link,
        })
    }
}

/// Has the desk, tells the server whether somebody looks, and closes the desk at the end.
async fn keep(
    desk: Desk,
    mut looked_at: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let attending = async {
        // Without pages no word is needed: nobody has looked so far.
        while looked_at.changed().await.is_ok() {
            if !*looked_at.borrow_and_update() {
                let back = looked_at.wait_for(|looks| *looks);
                if let Ok(Ok(_)) = tokio::time::timeout(AWAY, back).await {
                    continue;
                }
            }
            let looks = *looked_at.borrow_and_update();
            desk.attention(looks).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = http::stopped(&mut stop) => {}
        () = attending => {}
    }
    desk.close().await
}
