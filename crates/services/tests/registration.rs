//! Accounts made in band at the embedded hub, as it lets anybody or nobody do so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]

mod support;

use stanchion_connect::Connect as _;
use stanchion_connect::registration::RegisterError;
use stanchion_reliability::session::Outgoing;
use stanchion_services::disco::info;
use stanchion_services::registration::{RegistrationError, asked, cancel, change_password};
use stanchion_services::{HostBuilder, RequestError};
use stanchion_stanza::{Jid, ns};
use support::{DOMAIN, Device, Server, soon};

#[tokio::test]
async fn an_account_is_made_in_band_and_its_name_is_then_taken() {
    let server = Server::start_open(&["phone"]).await;
    let connector = server.connector("lamp");
    assert!(
        soon(connector.connect(None)).await.is_err(),
        "not there yet"
    );
    let empty = soon(connector.register(&String::new().into())).await;
    let empty = empty.unwrap_err();
    assert!(matches!(empty, RegisterError::NotAcceptable(_)), "{empty}");
    let password = "lamp".to_owned().into();
    soon(connector.register(&password)).await.unwrap();
    let again = soon(connector.register(&password)).await.unwrap_err();
    assert!(matches!(again, RegisterError::Taken(_)), "{again}");
    let phone = server.connector("phone");
    let theirs = soon(phone.register(&password)).await.unwrap_err();
    assert!(matches!(theirs, RegisterError::Taken(_)), "{theirs}");

    // It is an account as any other.
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("l"), folder.path().join("p"));
    let lamp = Device::start(&server, "lamp", &here, HostBuilder::new()).await;
    let mut phone = Device::start(&server, "phone", &there, HostBuilder::new()).await;
    let to = format!("phone@{DOMAIN}").parse().unwrap();
    let message = Outgoing::text(to, "I am new here").unwrap();
    lamp.session.sender().send(message).await.unwrap();
    let received = soon(phone.incoming.recv()).await.unwrap();
    let from = received.message().header.from.as_ref();
    assert_eq!(from.and_then(|from| from.local()), Some("lamp"));
    received.commit().await.unwrap();
    lamp.stop().await;
    phone.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_connection_asks_for_an_account_only_so_often() {
    let server = Server::start_open(&["phone"]).await;
    let mut registering = soon(server.connector("x").begin_registration())
        .await
        .unwrap();
    let filled = stanchion_stanza::payload::register::Registration::account(
        "phone".try_into().unwrap(),
        "guess".try_into().unwrap(),
    );
    for _ in 0..3 {
        let refused = soon(registering.submit(filled.clone())).await.unwrap_err();
        assert!(matches!(refused, RegisterError::Taken(_)), "{refused}");
    }
    let closed = soon(registering.submit(filled)).await.unwrap_err();
    assert!(matches!(closed, RegisterError::Connect(_)), "{closed}");
    server.stop().await;
}

#[tokio::test]
async fn a_hub_makes_no_accounts_unless_it_was_told_to() {
    let server = Server::start(&["phone"]).await;
    // It says so, and answers accordingly.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p");
    let phone = Device::start(&server, "phone", &file, HostBuilder::new()).await;
    let ask = phone.host.requests();
    let domain: Jid = DOMAIN.parse().unwrap();
    let told = soon(info(&ask, domain.clone(), None)).await.unwrap();
    assert!(!told.has(ns::REGISTER), "{told:?}");
    let refused = soon(asked(&ask, domain)).await.unwrap_err();
    assert!(
        matches!(
            refused,
            RegistrationError::Request(RequestError::Refused { .. })
        ),
        "{refused:?}"
    );
    phone.stop().await;
    let connector = server.connector("lamp");
    let refused = soon(connector.register(&"lamp".to_owned().into())).await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, RegisterError::Connect(_)),
        "the stream ends, for nobody is logged in: {refused}"
    );
    assert!(soon(connector.connect(None)).await.is_err(), "no account");
    server.stop().await;
}

#[tokio::test]
async fn who_was_made_in_band_changes_its_password_and_ends_its_account() {
    let server = Server::start_open(&["phone"]).await;
    let connector = server.connector("lamp");
    let password = "old".to_owned().into();
    soon(connector.register(&password)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("l");
    let with = |password: &str| server.connector_with("lamp", password);
    let config = || {
        let mut config = stanchion_reliability::session::SessionConfig::default();
        config.presence = None;
        config
    };
    let lamp = Device::begin_by(with("old"), &file, HostBuilder::new(), config()).await;
    lamp.connected().await;
    let ask = lamp.host.requests();
    let domain: Jid = DOMAIN.parse().unwrap();
    let info = soon(info(&ask, domain.clone(), None)).await.unwrap();
    assert!(info.has(ns::REGISTER), "{info:?}");
    let known = soon(asked(&ask, domain)).await.unwrap();
    assert!(known.is_registered(), "{known:?}");

    let account = lamp.jid().to_bare();
    let new = "new".to_owned().into();
    soon(change_password(&ask, &account, &new)).await.unwrap();
    assert!(soon(with("old").connect(None)).await.is_err());
    drop(soon(with("new").connect(None)).await.unwrap());

    // The answer, or the end of the session, whichever is first.
    match soon(cancel(&ask, None)).await {
        Ok(()) | Err(RegistrationError::Request(RequestError::Lost)) => {}
        Err(error) => panic!("{error}"),
    }
    assert!(soon(with("new").connect(None)).await.is_err());
    let taken = soon(connector.register(&password)).await.unwrap_err();
    assert!(matches!(taken, RegisterError::Taken(_)), "{taken}");
    drop(lamp);
    server.stop().await;
}

#[tokio::test]
async fn an_account_of_the_file_is_its_writers() {
    let server = Server::start_open(&["phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p");
    let phone = Device::start(&server, "phone", &file, HostBuilder::new()).await;
    let ask = phone.host.requests();
    let new = "new".to_owned().into();
    let account = phone.jid().to_bare();
    let changed = soon(change_password(&ask, &account, &new)).await;
    let ended = soon(cancel(&ask, None)).await;
    for refused in [changed, ended] {
        assert!(
            matches!(refused, Err(RegistrationError::NotAllowed(_))),
            "{refused:?}"
        );
    }
    drop(soon(server.connector("phone").connect(None)).await.unwrap());
    phone.stop().await;
    server.stop().await;
}
