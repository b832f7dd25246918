//! Commands, version, time and last activity between two of ours, over the embedded hub.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]

mod support;

use stanchion_services::allowed::Allowed;
use stanchion_services::commands::{
    CommandError, Commands, Conclusion, Execution, Offer, OfferError, Over, Provider, Stage,
};
use stanchion_services::disco::{self, Disco};
use stanchion_services::last_activity::{Activity, LastActivities, last_activity};
use stanchion_services::time::{Times, time};
use stanchion_services::version::{Software, Versions, version};
use stanchion_services::{HostBuilder, RequestError};
use stanchion_stanza::payload::commands::{Condition, Severity};
use stanchion_stanza::payload::forms::{Field, FieldType, Form, FormType};
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::{Text, ns};
use support::{Device, Server, soon};
use tokio::sync::oneshot;

fn text(s: &'static str) -> Text {
    Text::from_static(s)
}

/// A device that offers commands, and runs those of others.
async fn device(server: &Server, name: &str, folder: &tempfile::TempDir) -> (Device, Commands) {
    let mut services = HostBuilder::new();
    let provider = services.add(Provider::new(7));
    services.add(Disco::default());
    let device = Device::start(server, name, &folder.path().join(name), services).await;
    let commands = Commands::new(provider, device.host.requests());
    (device, commands)
}

/// Asks for a brightness, and sets it.
async fn dim(mut execution: Execution) -> Result<(), Over> {
    let mut field = Field::default().with_kind(FieldType::TextSingle);
    field.var = Some(text("brightness"));
    field.required = true;
    let form = Form::new(FormType::Form).with(field);
    let step = execution.ask(Stage::form(form)).await?;
    let value = step.form.and_then(|f| f.value("brightness").cloned());
    let value: Option<u8> = value.and_then(|v| v.parse().ok());
    let end = match value {
        Some(value) => {
            let note = Text::new(format!("{value} %")).unwrap();
            Conclusion::done().with_note(Severity::Info, note)
        }
        None => Conclusion::failed(text("that is no number")),
    };
    execution.conclude(end).await
}

#[tokio::test]
async fn a_command_is_found_run_and_withdrawn() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let (lamp, at_lamp) = device(&server, "lamp", &folder).await;
    let (phone, at_phone) = device(&server, "phone", &folder).await;
    let ask = phone.host.requests();
    let info = soon(disco::info(&ask, lamp.jid(), None)).await.unwrap();
    assert!(!info.has(ns::COMMANDS), "there are none yet");

    let offer = Offer::new(text("dim"), text("Dim the lamp"))
        .allowed(Allowed::accounts([phone.jid().to_bare()]));
    let offered = at_lamp.offer(offer.clone()).await.unwrap();
    let again = at_lamp.offer(offer.clone()).await.unwrap_err();
    assert_eq!(again, OfferError::Offered(text("dim")));
    let info = soon(disco::info(&ask, lamp.jid(), None)).await.unwrap();
    assert!(info.has(ns::COMMANDS));
    let list = soon(at_phone.list(lamp.jid())).await.unwrap();
    assert_eq!(
        (list.len(), list[0].name.as_deref()),
        (1, Some("Dim the lamp"))
    );

    let serving = tokio::spawn(offered.serve(dim));
    for (value, succeeds, note) in [("80", true, "80 %"), ("much", false, "that is no number")] {
        let mut run = soon(at_phone.execute(lamp.jid(), text("dim")))
            .await
            .unwrap();
        let mut filling = run.fill().unwrap();
        filling.set("brightness", value).unwrap();
        let form = filling.submit().unwrap();
        soon(run.complete(Some(form))).await.unwrap();
        assert_eq!((run.has_succeeded(), run.is_executing()), (succeeds, false));
        assert_eq!(run.notes()[0].text, note);
        assert_eq!(run.complete(None).await, Err(CommandError::Over));
    }
    // Whoever is in the middle of it hears that it is no more.
    let mut run = soon(at_phone.execute(lamp.jid(), text("dim")))
        .await
        .unwrap();
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    let mut filling = run.fill().unwrap();
    filling.set("brightness", "1").unwrap();
    let error = soon(run.complete(Some(filling.submit().unwrap()))).await;
    let CommandError::Refused { condition, .. } = error.unwrap_err() else {
        panic!("not refused")
    };
    assert_eq!(condition, Some(Condition::SessionExpired));
    let none = soon(at_phone.execute(lamp.jid(), text("dim"))).await;
    let CommandError::Refused { error, .. } = none.unwrap_err() else {
        panic!("not refused")
    };
    assert_eq!(error.condition, DefinedCondition::ItemNotFound);
    assert!(
        at_lamp.offer(offer).await.is_ok(),
        "it may be offered again"
    );

    lamp.stop().await;
    phone.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn both_sides_hear_when_the_other_gives_up() {
    let server = Server::start(&["lamp"]).await;
    let folder = tempfile::tempdir().unwrap();
    let (lamp, at_lamp) = device(&server, "lamp", &folder).await;
    let mut services = HostBuilder::new();
    let provider = services.add(Provider::new(8));
    let path = folder.path().join("phone");
    let phone = Device::start(&server, "lamp", &path, services).await;
    let at_phone = Commands::new(provider, phone.host.requests());

    let mut offered = at_lamp
        .offer(Offer::new(text("dim"), text("Dim")))
        .await
        .unwrap();
    // The requester cancels.
    let (told, ended) = oneshot::channel();
    let application = async {
        let mut execution = soon(offered.next()).await.unwrap();
        let sure = Stage::question(text("Sure?"));
        told.send(execution.ask(sure).await).unwrap();
        // The application drops the next one, unanswered.
        drop(soon(offered.next()).await.unwrap());
    };
    let requester = async {
        let run = soon(at_phone.execute(lamp.jid(), text("dim")))
            .await
            .unwrap();
        soon(run.cancel()).await.unwrap();
        assert_eq!(soon(ended).await.unwrap(), Err(Over::Cancelled));
        let error = soon(at_phone.execute(lamp.jid(), text("dim")))
            .await
            .unwrap_err();
        let CommandError::Refused { error, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(error.condition, DefinedCondition::InternalServerError);
    };
    tokio::join!(application, requester);
    // The requester leaves: nobody is left to tell, and the application hears it.
    let began = async {
        let run = soon(at_phone.execute(lamp.jid(), text("dim")))
            .await
            .unwrap();
        phone.stop().await;
        drop(run);
    };
    let waits = async {
        let mut execution = soon(offered.next()).await.unwrap();
        execution.ask(Stage::question(text("Sure?"))).await
    };
    let (over, ()) = tokio::join!(soon(waits), began);
    assert_eq!(over.unwrap_err(), Over::Gone);
    lamp.stop().await;
    assert!(soon(offered.next()).await.is_none(), "the client has ended");
    server.stop().await;
}

#[tokio::test]
async fn what_is_asked_of_us_is_told_to_whom_it_may_be_told() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut services = HostBuilder::new();
    services.add(Disco::default());
    let activity = services.add(LastActivities::new(Allowed::OwnAccount));
    services.add(Times::in_zone(-30));
    services.add(Versions::new(Software::hidden()));
    let activity = Activity::new(activity);
    let lamp = Device::start(&server, "lamp", &folder.path().join("l"), services).await;
    let mut services = HostBuilder::new();
    services.add(Versions::default());
    let phone = Device::start(&server, "phone", &folder.path().join("p"), services).await;
    let ask = phone.host.requests();
    let own = lamp.host.requests();

    assert_eq!(
        soon(time(&ask, lamp.jid())).await.unwrap().offset_minutes,
        -30
    );
    let hidden = soon(version(&ask, lamp.jid())).await.unwrap_err();
    let condition = hidden.refusal().unwrap().condition;
    assert_eq!(condition, DefinedCondition::ServiceUnavailable);
    let told = soon(version(&own, phone.jid())).await.unwrap();
    assert_eq!(told.name.as_deref(), Some("Stanchion"));
    let refused = soon(last_activity(&ask, lamp.jid())).await.unwrap_err();
    assert!(matches!(refused, RequestError::Refused { .. }), "{refused}");
    activity.now().await.unwrap();
    let told = soon(last_activity(&own, lamp.jid())).await.unwrap();
    assert!(told.seconds.is_some_and(|s| s < 30), "{told:?}");
    lamp.stop().await;
    phone.stop().await;
    server.stop().await;
}
