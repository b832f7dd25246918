//! What a server carries at best: messages written beforehand, put on one stream, counted
//! on another. No stream management, no answers, nothing kept. Of a server that is busy all
//! the time it tells the price of each stanza, so the stanzas are those of a delivery, or
//! bodies with nothing beside.

use std::time::Duration;

use stanchion::BareJid;
use stanchion::connect::{Account, Connect as _, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion::stanza::payload::delivery::{
    Boot, Channel, Deliver, Device, Epoch, IdPrefix, Place, StoreTag,
};
use stanchion::stanza::payload::sid::OriginId;
use stanchion::stanza::{
    Encoder, Limits, Message, Payload as _, Presence, Scope, StreamEvent, Text,
};
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

/// What is written beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// What a delivery sends: an origin id and `<d/>` beside the body.
    Delivery,
    /// A body.
    Body,
}

/// The nth stanza, and its id.
fn stanza(form: Form, to: &BareJid, n: usize) -> Result<(String, Vec<u8>), String> {
    let id_of = |n: usize| format!("{n:08x}-0000-7000-8000-{n:012x}");
    let id = id_of(n);
    let text = |s: String| Text::new(s).map_err(|e| told(&e));
    let mut message = Message::chat(to.clone().into())
        .with_id(text(id.clone())?)
        .with_body(text(body(n))?);
    if form == Form::Delivery {
        let seq = n as u64 + 1;
        let name = |s| Device::new(s).map_err(|e| told(&e));
        let deliver = Deliver {
            from: name("bench-sender-0000")?,
            to: Some(Place {
                device: name("bench-receiver-00")?,
                store: StoreTag(7),
            }),
            epoch: Epoch {
                index: 1,
                random: 0x1234_5678,
            },
            channel: Channel::new("c").map_err(|e| told(&e))?,
            seq,
            low: seq.saturating_sub(90).max(1),
            id: IdPrefix::of(&id),
            prev: n.checked_sub(1).map(|before| IdPrefix::of(&id_of(before))),
            boot: Boot(0x1234_5678),
            deadline: None,
            unordered: false,
            knows: 0,
            jids: None,
        };
        let origin = OriginId {
            id: text(id.clone())?,
        };
        message = message
            .with_payload(origin.to_element())
            .with_payload(deliver.to_element());
    }
    let encoder = Encoder::new(Scope::client(), Limits::default());
    let bytes = encoder.to_bytes(&message.to_element());
    Ok((id, bytes.map_err(|e| told(&e))?))
}

/// Messages a second.
pub async fn run(server: &Server, form: Form, count: usize) -> Result<f64, String> {
    let mut incoming = log_in(server, TO).await?;
    let mut outgoing = log_in(server, FROM).await?;
    let to = jid(TO, &server.domain)?;
    let stanzas: Result<Vec<_>, _> = (0..count).map(|n| stanza(form, &to, n)).collect();
    let (ids, stanzas): (Vec<String>, Vec<Vec<u8>>) = stanzas?.into_iter().unzip();
    let start = Instant::now();
    let sending = async {
        for some in stanzas.chunks(AT_ONCE) {
            outgoing.send_bytes(&some.concat());
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
            if element.attr("id") != ids.get(next).map(String::as_str) {
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
