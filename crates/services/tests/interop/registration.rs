//! The password of an account and its end, in band, at servers that allow it.

use std::time::Duration;

use stanchion_services::HostBuilder;
use stanchion_services::registration::{asked, cancel, change_password};
use tokio::time::timeout;

use crate::foreign::Foreign;
use crate::server::{Device, Real};
use crate::soon;

#[tokio::test]
async fn a_new_password_is_the_one_that_lets_in_and_a_cancelled_account_is_gone() {
    for server in Real::both("register") {
        let user = server.add("lamp");
        let lamp = Device::login(&server, &user, HostBuilder::new()).await;
        let ask = lamp.host.requests();
        let domain: stanchion_stanza::Jid = server.domain().parse().unwrap();
        let known = soon(asked(&ask, domain)).await.unwrap();
        assert!(known.is_registered(), "{known:?}");

        let account = lamp.jid().to_bare();
        let new = "another one".to_owned().into();
        soon(change_password(&ask, &account, &new)).await.unwrap();
        let other = Foreign::log_in("ping.py", &server, &user, "another one").await;
        other.end().await;

        // The server may end the session before it answers.
        let _ = timeout(Duration::from_secs(3), cancel(&ask, None)).await;
        assert!(server.refuses(&user, "another one").await);
        drop(lamp);
    }
}
