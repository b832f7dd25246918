//! What a server carries at best: messages written beforehand, put on one stream, counted
//! on another. No stream management, no receipts, nothing kept.

use std::time::Duration;

use stanchion::connect::{Account, Connect as _, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion::stanza::{Presence, StreamEvent};
use stanchion::transport::tls::Roots;
use stanchion::transport::{TlsMode, TlsPolicy, XmppStream};
use tokio::time::{Instant, timeout};

use crate::ends::{FROM, TO, jid};
use crate::figure::{body, told};
use crate::server::Server;

/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);
/// Messages that are written at once.
const AT_ONCE: usize = 64;

/// Messages a second.
pub async fn run(server: &Server, count: usize) -> Result<f64, String> {
    let mut incoming = log_in(server, TO).await?;
    let mut outgoing = log_in(server, FROM).await?;
    let to = jid(TO, &server.domain)?;
    let stanzas: Vec<String> = (0..count)
        .map(|n| {
            let body = body(n);
            format!("<message to='{to}' type='chat' id='b{n}'><body>{body}</body></message>")
        })
        .collect();
    let start = Instant::now();
    let sending = async {
        for some in stanzas.chunks(AT_ONCE) {
            outgoing.send_bytes(some.concat().as_bytes());
            outgoing.flush().await.map_err(|e| told(&e))?;
        }
        Ok::<(), String>(())
    };
    let receiving = async {
        let mut next = 0;
        while next < count {
            let StreamEvent::Element(element) = incoming.next().await.map_err(|e| told(&e))? else {
                return Err("the server closed the stream".to_owned());
            };
            if element.name() != "message" {
                continue;
            }
            if element.attr("id") != Some(&*format!("b{next}")) {
                return Err(format!("{next} was awaited, {:?} came", element.attr("id")));
            }
            next += 1;
        }
        Ok(start.elapsed())
    };
    let both = async { tokio::try_join!(receiving, sending) };
    let (time, ()) = timeout(LIMIT, both)
        .await
        .map_err(|_| format!("not all was received within {LIMIT:?}"))??;
    for mut stream in [outgoing, incoming] {
        // What the server says to it is not measured.
        let _ = timeout(Duration::from_secs(5), stream.close()).await;
    }
    Ok(count as f64 / time.as_secs_f64())
}

/// A stream with a session, available.
async fn log_in(server: &Server, user: &str) -> Result<XmppStream, String> {
    let account = Account::with_password(jid(user, &server.domain)?, server.password(user)?);
    let place = ([127, 0, 0, 1], server.ports.direct_tls).into();
    let config = ConnectConfig {
        endpoints: Endpoints::Explicit(vec![Endpoint::at(place, TlsMode::Direct)]),
        tls: TlsPolicy::with_roots(vec![Roots::PemFile(server.ca.clone())]),
        stream_management: false,
        ..ConnectConfig::default()
    };
    let connector = Connector::new(account, config).map_err(|e| told(&e))?;
    let connection = connector.connect(None).await.map_err(|e| told(&e))?;
    let mut stream = connection.stream;
    stream
        .send(&Presence::available().to_element())
        .map_err(|e| told(&e))?;
    // It comes back once the server counts the session as available.
    loop {
        match timeout(LIMIT, stream.next()).await {
            Ok(Ok(StreamEvent::Element(e))) if e.name() == "presence" => return Ok(stream),
            Ok(Ok(StreamEvent::Element(_))) => {}
            Ok(Ok(_)) => return Err(format!("the server closed the stream of {user}")),
            Ok(Err(error)) => return Err(told(&error)),
            Err(_) => return Err(format!("no presence of {user} came back")),
        }
    }
}
