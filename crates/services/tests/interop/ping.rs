//! Pings, both ways.

use stanchion_services::HostBuilder;
use stanchion_services::disco::Disco;
use stanchion_services::ping::{Pings, ping};

use crate::foreign::Foreign;
use crate::server::{Device, Real};
use crate::soon;

#[tokio::test]
async fn slixmpp_and_we_ping_each_other() {
    for server in Real::both("ping") {
        let mut services = HostBuilder::new();
        services.add(Disco::default());
        services.add(Pings::default());
        let lamp = Device::start(&server, "lamp", services).await;
        let mut other = Foreign::start("ping.py", &server, &server.add("other")).await;
        let to = other.jid.parse().unwrap();
        soon(ping(&lamp.host.requests(), Some(to))).await.unwrap();
        soon(ping(&lamp.host.requests(), None)).await.unwrap();
        other.tell(&format!("ping {}", lamp.jid())).await;
        other.says("ponged").await;
        other.end().await;
        lamp.stop().await;
    }
}
