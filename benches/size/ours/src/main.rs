//! The smallest useful client, for a device that has little: connects over TLS, logs in,
//! keeps what it sends in a file until the recipient has it. Only the crates that it needs,
//! with what can be left out left out.
//!
//!   smallest-ours JID PASSWORD PORT CA.PEM STORE TO
//!
//! Says `connected`, sends a message, says `sent` once it is durable and on its way, and
//! stays connected.

use std::error::Error;
use std::sync::Arc;

use stanchion_connect::{Account, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion_reliability::Session;
use stanchion_reliability::session::{Outgoing, SessionConfig, Status};
use stanchion_reliability::store::{Opening, Seed, SqliteStore, WallTime};
use stanchion_transport::tls::Roots;
use stanchion_transport::{Host, TlsMode};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [jid, password, port, ca, store, to] = &words[..] else {
        return Err("JID PASSWORD PORT CA.PEM STORE TO".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    runtime.block_on(run(jid, password, port, ca, store, to))
}

async fn run(
    jid: &str,
    password: &str,
    port: &str,
    ca: &str,
    store: &str,
    to: &str,
) -> Result<(), Box<dyn Error>> {
    let account = Account::with_password(jid.parse()?, password);
    let mut config = ConnectConfig::default();
    config.tls.roots = vec![Roots::Pem(std::fs::read(ca)?)];
    let here = Host::Ip([127, 0, 0, 1].into());
    let place = Endpoint::new(here, port.parse()?, TlsMode::StartTls);
    config.endpoints = Endpoints::Explicit(vec![place]);
    let connector = Arc::new(Connector::new(account, config)?);
    let since = std::time::UNIX_EPOCH.elapsed()?.as_millis();
    let now = WallTime::from_unix_ms(i64::try_from(since)?);
    let store = SqliteStore::open(store, &Opening::new(Seed::from_os()?, now))?;
    let (session, _receiver) =
        Session::start(connector, Box::new(store), SessionConfig::default()).await?;
    let mut status = session.status();
    status.wait_for(|s| matches!(s, Status::Connected { .. })).await?;
    println!("connected");
    let sent = session.sender().send(Outgoing::text(to.parse()?, "21.5")?).await?;
    sent.server_accepted().await?;
    println!("sent");
    std::future::pending().await
}
