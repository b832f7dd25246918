//! Version, time and last activity, both ways, and of the servers.

use std::time::{SystemTime, UNIX_EPOCH};

use stanchion_services::HostBuilder;
use stanchion_services::allowed::Allowed;
use stanchion_services::disco::Disco;
use stanchion_services::last_activity::{LastActivities, last_activity};
use stanchion_services::time::{Times, time};
use stanchion_services::version::{Software, Versions, version};
use stanchion_stanza::Text;
use stanchion_stanza::payload::datetime::unix_ms;

use crate::foreign::Foreign;
use crate::server::{Device, Real};
use crate::soon;

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[tokio::test]
async fn slixmpp_and_we_tell_each_other_who_we_are_and_what_time_it_is() {
    for server in Real::both("facts") {
        let mut services = HostBuilder::new();
        services.add(Disco::default());
        services.add(LastActivities::new(Allowed::Anybody));
        services.add(Times::in_zone(90));
        let named = Software::named(Text::from_static("Lamp"), Text::from_static("2.1"));
        services.add(Versions::new(named));
        let lamp = Device::start(&server, "lamp", services).await;
        let ask = lamp.host.requests();
        let mut other = Foreign::start("facts.py", &server, &server.add("other")).await;
        let to: stanchion_stanza::Jid = other.jid.parse().unwrap();

        let told = soon(version(&ask, to.clone())).await.unwrap();
        assert_eq!(told.name.as_deref(), Some("Foreign"));
        assert_eq!(told.version.as_deref(), Some("7"));
        let domain: stanchion_stanza::Jid = server.domain().parse().unwrap();
        let told = soon(version(&ask, domain.clone())).await.unwrap();
        let name = told.name.unwrap().to_lowercase();
        assert_eq!(name.contains("ejabberd"), server.is_ejabberd(), "{name}");
        let told = soon(time(&ask, domain)).await.unwrap();
        assert!((told.unix_ms / 1000 - now()).abs() < 30, "{told:?}");

        let jid = lamp.jid();
        other.tell(&format!("version {jid}")).await;
        assert_eq!(other.says("version").await, "version Lamp 2.1 os:");
        other.tell(&format!("time {jid}")).await;
        let told = other.says("time").await;
        let (utc, zone) = told["time ".len()..].split_once(' ').unwrap();
        let seconds = unix_ms(utc).unwrap() / 1000;
        assert!((seconds - now()).abs() < 30, "{told}");
        assert_eq!(zone, "+01:30");
        if server.is_ejabberd() {
            // It hands such requests on only between those who see each other's presence.
            other.tell(&format!("last {jid}")).await;
            other.says("refused last").await;
        } else {
            other.tell(&format!("last {jid}")).await;
            let told = other.says("last").await;
            let seconds: u64 = told.split(' ').nth(1).unwrap().parse().unwrap();
            assert!(seconds < 60, "{told}");
            let told = soon(last_activity(&ask, to)).await.unwrap();
            assert!(
                told.seconds.is_some_and(|s| (120..180).contains(&s)),
                "{told:?}"
            );
        }
        other.end().await;
        lamp.stop().await;
    }
}
