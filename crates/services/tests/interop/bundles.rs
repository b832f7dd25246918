//! Messages that share stanzas, on real servers: on a live stream, and kept by the server
//! for who is away.

use std::ops::Range;

use stanchion_reliability::outcome::Outcome;
use stanchion_reliability::session::{Outgoing, Sent, SessionConfig};
use stanchion_services::HostBuilder;
use tokio::task::JoinSet;

use crate::server::{Device, Real};
use crate::soon;

/// Sends these all at once, in that order.
async fn send(from: &Device, to: &str, numbers: Range<u32>) -> Vec<Sent> {
    let mut sends = JoinSet::new();
    for n in numbers {
        let sender = from.session.sender();
        let message = Outgoing::text(to.parse().unwrap(), n.to_string()).unwrap();
        sends.spawn(async move { sender.send(message).await.unwrap() });
    }
    soon(sends.join_all()).await
}

/// Commits these, which come in that order and once.
async fn take(to: &mut Device, numbers: Range<u32>) {
    for n in numbers {
        let received = soon(to.incoming.recv()).await.unwrap();
        let message = received.commit().await.unwrap();
        assert_eq!(message.body().unwrap(), n.to_string());
        assert!(message.header.id.is_some_and(|id| !id.starts_with('+')));
    }
}

async fn delivered(all: Vec<Sent>) {
    for sent in all {
        let outcome = soon(sent.outcome()).await.unwrap();
        assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn messages_that_share_stanzas_come_once_and_in_order_live_and_to_who_was_away() {
    for server in Real::both("bundles") {
        let mut config = SessionConfig::default();
        config.engine.bundle = 32;
        let none = HostBuilder::new;
        let from = Device::login_as(&server, &server.add("from"), none(), config).await;
        let user = server.add("to");
        let mut to = Device::login(&server, &user, none()).await;
        let address = to.full().to_bare().to_string();
        let bundled = || from.session.counters().bundled;

        // Whether it takes them is heard with its first answer.
        let first = send(&from, &address, 0..1).await;
        take(&mut to, 0..1).await;
        delivered(first).await;
        assert_eq!(bundled(), 0);
        let live = send(&from, &address, 1..200).await;
        take(&mut to, 1..200).await;
        delivered(live).await;
        let before = bundled();
        assert!(before > 0, "each went alone");

        let folder = to.end().await;
        let kept = send(&from, &address, 200..240).await;
        for sent in &kept {
            soon(sent.server_accepted()).await.unwrap();
        }
        assert!(bundled() > before, "each went alone");
        let mut to = Device::again(&server, &user, folder, none()).await;
        take(&mut to, 200..240).await;
        delivered(kept).await;
        from.stop().await;
        to.stop().await;
    }
}
