//! This project's logins.

use std::time::Duration;

use stanchion_connect::{Account, Connect as _, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion_transport::tls::Roots;
use stanchion_transport::{TlsMode, TlsPolicy, XmppStream};
use tokio::time::timeout;

use crate::task::{Task, Way};

/// The connector, if it is kept.
pub struct Logins(Option<Connector>);

impl Logins {
    /// Nothing happens before the first login.
    pub fn new(task: &Task) -> Result<Self, String> {
        Ok(match task.way {
            Way::Ours | Way::OursFast => Self(Some(connector(task)?)),
            _ => Self(None),
        })
    }

    /// One login, up to a managed session.
    pub async fn login(&mut self, task: &Task) -> Result<XmppStream, String> {
        let new = match &self.0 {
            Some(_) => None,
            None => Some(connector(task)?),
        };
        let connector = new.as_ref().or(self.0.as_ref()).ok_or("no connector")?;
        let connection = connector.connect(None).await.map_err(|e| told(&e))?;
        if connection.established.stream_management.is_none() {
            return Err("the session is not managed".to_owned());
        }
        Ok(connection.stream)
    }
}

/// Closes the stream.
pub async fn leave(mut stream: XmppStream, limit: Duration) {
    // What the server says to it is not measured.
    let _ = timeout(limit, stream.close()).await;
}

fn connector(task: &Task) -> Result<Connector, String> {
    let jid = task.jid.parse().map_err(|e| format!("{e}"))?;
    let mode = if task.direct {
        TlsMode::Direct
    } else {
        TlsMode::StartTls
    };
    let place = Endpoint::at(([127, 0, 0, 1], task.port).into(), mode);
    let config = ConnectConfig {
        endpoints: Endpoints::Explicit(vec![place]),
        tls: TlsPolicy::with_roots(vec![Roots::PemFile(task.ca.clone())]),
        fast: task.way == Way::OursFast,
        ..ConnectConfig::default()
    };
    Connector::new(Account::with_password(jid, &task.password), config).map_err(|e| told(&e))
}

fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
