//! The password of an account and its end, in band, at servers that allow it.

use std::time::Duration;

use stanchion_connect::Connect as _;
use stanchion_connect::registration::RegisterError;
use stanchion_services::HostBuilder;
use stanchion_services::registration::{asked, cancel, change_password};
use tokio::time::timeout;

use crate::foreign::Foreign;
use crate::server::{Device, Real};
use crate::soon;

#[tokio::test]
async fn an_account_is_made_in_band_and_its_name_is_then_taken() {
    for server in Real::both("make") {
        let user = server.name("lamp");
        let connector = server.connector(&user);
        assert!(server.refuses(&user, &user).await, "not there yet");
        let password = user.clone().into();
        soon(connector.register(&password)).await.unwrap();
        let connection = soon(connector.connect(None)).await.unwrap();
        assert_eq!(connection.established.jid.local(), Some(user.as_str()));
        drop(connection);
        let again = soon(connector.register(&password)).await.unwrap_err();
        assert!(matches!(again, RegisterError::Taken(_)), "{again}");
        let Err(error) = soon(connector.register(&String::new().into())).await else {
            panic!("an empty password")
        };
        assert!(
            matches!(
                error,
                RegisterError::Taken(_) | RegisterError::NotAcceptable(_)
            ),
            "{error}"
        );
    }
}

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
