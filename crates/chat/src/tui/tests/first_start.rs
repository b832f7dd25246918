//! The first start over the embedded hub: an account is registered once it works.

use stanchion_hub::{Accounts, Hub, HubConfig};
use tokio::sync::oneshot;

use super::super::first::Said;
use super::super::run::try_it;
use crate::server::{RegistryArgs, endpoint};
use crate::settings::{ConnectionArgs, Missing, Settings};

#[tokio::test]
async fn an_account_is_kept_once_it_gave_a_session_and_is_found_then() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::bind(HubConfig {
        domain: "home.example".to_owned(),
        starttls: Some(([127, 0, 0, 1], 0).into()),
        accounts: Accounts::open_demo([("anna", "secret")]).unwrap(),
        ..HubConfig::default()
    })
    .await
    .unwrap();
    let place = hub.addresses().starttls.unwrap().to_string();
    let pin = hub.fingerprint();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(hub.run(async { drop(stopped.await) }));
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "").unwrap();
    let args = ConnectionArgs {
        store: Some(folder.path().join("servers.sqlite")),
        config: Some(config),
        ..ConnectionArgs::default()
    };
    let missing = Settings::or_missing(&args).await.unwrap();
    assert_eq!(missing.unwrap_err(), Missing::Account);
    let said = |password: &str| Said {
        jid: "anna@home.example".parse().unwrap(),
        password: password.to_owned().into(),
        place: Some(endpoint(&place).unwrap()),
        pin: Some(pin),
    };
    let told = try_it(said("wrong"), RegistryArgs::of(&args)).await;
    let told = told.unwrap_err();
    assert!(told.wrong_password, "{told:?}");
    assert!(
        told.lines
            .iter()
            .any(|line| line.contains("not-authorized")),
        "{told:?}"
    );
    assert!(
        Settings::or_missing(&args).await.unwrap().is_err(),
        "nothing is kept"
    );
    let tried = try_it(said("secret"), RegistryArgs::of(&args)).await;
    assert!(tried.is_ok(), "{tried:?}");
    let settings = Settings::or_missing(&args).await.unwrap().unwrap();
    assert_eq!(settings.account().as_str(), "anna@home.example");
    drop(stop);
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn of_an_account_that_is_named_only_the_password_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "jid = 'anna@home.example'\n").unwrap();
    let args = ConnectionArgs {
        store: Some(folder.path().join("servers.sqlite")),
        config: Some(config),
        ..ConnectionArgs::default()
    };
    let missing = Settings::or_missing(&args).await.unwrap().unwrap_err();
    assert_eq!(
        missing,
        Missing::Password("anna@home.example".parse().unwrap())
    );
}
