//! Commands, both ways: slixmpp's are run by us, and ours by slixmpp.

use stanchion_services::HostBuilder;
use stanchion_services::allowed::Allowed;
use stanchion_services::commands::{
    CommandError, Commands, Conclusion, Execution, Offer, Over, Provider, Stage,
};
use stanchion_services::disco::Disco;
use stanchion_stanza::Text;
use stanchion_stanza::payload::commands::{Action, Condition, Severity};
use stanchion_stanza::payload::forms::{Field, FieldType, Form, FormType};

use crate::foreign::Foreign;
use crate::server::{Device, Real};
use crate::soon;

fn text(s: &'static str) -> Text {
    Text::from_static(s)
}

/// A device with commands.
async fn device(server: &Real, name: &str) -> (Device, Commands) {
    let mut services = HostBuilder::new();
    let provider = services.add(Provider::new(7));
    services.add(Disco::default());
    let device = Device::start(server, name, services).await;
    let commands = Commands::new(provider, device.host.requests());
    (device, commands)
}

#[tokio::test]
async fn we_run_commands_of_slixmpp_stage_by_stage() {
    for server in Real::both("run") {
        let (lamp, commands) = device(&server, "lamp").await;
        let mut other = Foreign::start("commands.py", &server, &server.add("other")).await;
        let with: stanchion_stanza::Jid = other.jid.parse().unwrap();
        let list = soon(commands.list(with.clone())).await.unwrap();
        let found = list.iter().find(|c| c.node == "greet").unwrap();
        assert_eq!(found.name.as_deref(), Some("Greet somebody"));

        let begun = commands.execute(with.clone(), text("greet"));
        let mut greet = soon(begun).await.unwrap();
        assert!(greet.is_executing() && greet.actions().next);
        let mut filling = greet.fill().unwrap();
        assert!(filling.submit().is_err(), "a name is wanted");
        filling.set("name", "Ada").unwrap();
        let form = filling.submit().unwrap();
        soon(greet.next(Some(form))).await.unwrap();
        assert!(greet.actions().complete && !greet.actions().next);
        let refused = greet.next(None).await.unwrap_err();
        assert_eq!(refused, CommandError::NotAllowed(Action::Next));
        let mut filling = greet.fill().unwrap();
        filling.set_bool("loud", true).unwrap();
        let form = filling.submit().unwrap();
        soon(greet.complete(Some(form))).await.unwrap();
        assert!(greet.has_succeeded(), "{greet:?}");
        assert_eq!(greet.notes()[0].text, "Hello Ada");
        other.says("greeted HELLO ADA").await;
        assert_eq!(greet.complete(None).await, Err(CommandError::Over));

        let greet = soon(commands.execute(with.clone(), text("greet"))).await;
        soon(greet.unwrap().cancel()).await.unwrap();
        let none = soon(commands.execute(with, text("none")))
            .await
            .unwrap_err();
        assert!(matches!(none, CommandError::Refused { .. }), "{none}");
        other.end().await;
        lamp.stop().await;
    }
}

/// Asks for a mode, then whether it is meant, and sets it.
async fn mode(mut execution: Execution) -> Result<(), Over> {
    let mut field = Field::default().with_kind(FieldType::ListSingle);
    field.var = Some(text("mode"));
    field.required = true;
    for value in ["day", "night"] {
        field
            .options
            .push(stanchion_stanza::payload::forms::FieldOption {
                label: None,
                value: text(value),
            });
    }
    let form = Form::new(FormType::Form).with(field);
    loop {
        let first = Stage::form(form.clone()).with_more();
        let step = execution.ask(first).await?;
        let mode = step.form.and_then(|f| f.value("mode").cloned());
        let sure = Stage::question(text("Sure?")).with_a_way_back();
        if execution.ask(sure).await?.action == Action::Prev {
            continue;
        }
        let note = Text::new(format!("it is {}", mode.unwrap_or_default())).unwrap();
        let end = Conclusion::done().with_note(Severity::Info, note);
        return execution.conclude(end).await;
    }
}

#[tokio::test]
async fn slixmpp_runs_ours_and_is_held_to_the_rules() {
    for server in Real::both("offer") {
        let (lamp, commands) = device(&server, "lamp").await;
        let open = Offer::new(text("mode"), text("Mode")).allowed(Allowed::Anybody);
        let open = commands.offer(open).await.unwrap();
        let own = Offer::new(text("reset"), text("Reset"));
        let _own = commands.offer(own).await.unwrap();
        let serving = tokio::spawn(open.serve(mode));

        let mut other = Foreign::start("commands.py", &server, &server.add("other")).await;
        let jid = lamp.jid();
        other.tell(&format!("list {jid}")).await;
        assert_eq!(
            other.says("nodes").await,
            "nodes mode",
            "the other is not for it"
        );
        other.tell(&format!("run {jid} reset")).await;
        assert_eq!(other.says("refused").await, "refused run forbidden");
        other.tell(&format!("run {jid} mode")).await;
        assert_eq!(other.says("at").await, "at executing next mode");
        other.tell("step next mode=noon").await;
        assert_eq!(other.says("refused").await, "refused step bad-request");
        other.tell("step complete mode=day").await;
        assert_eq!(other.says("refused").await, "refused step bad-request");
        other.tell("step next mode=day").await;
        assert_eq!(
            other.says("at").await,
            "at executing complete,prev  info:Sure?"
        );
        other.tell("step prev").await;
        assert_eq!(other.says("at").await, "at executing next mode");
        other.tell("step next mode=night").await;
        other.says("at executing").await;
        other.tell("step complete").await;
        assert_eq!(other.says("at").await, "at completed   info:it is night");
        other.tell("step complete").await;
        assert_eq!(other.says("refused").await, "refused step bad-request");
        other.tell(&format!("run {jid} mode")).await;
        other.says("at executing").await;
        other.tell("step cancel").await;
        assert_eq!(other.says("at").await, "at canceled  ");
        other.end().await;
        lamp.stop().await;
        soon(serving).await.unwrap();
    }
}

#[tokio::test]
async fn our_own_devices_run_what_is_not_for_others() {
    for server in Real::both("own") {
        let (lamp, at_lamp) = device(&server, "lamp").await;
        let offered = at_lamp.offer(Offer::new(text("mode"), text("Mode")));
        let serving = tokio::spawn(offered.await.unwrap().serve(mode));
        // Another device of the same account.
        let user = lamp.jid().to_bare().local().unwrap().to_owned();
        let mut services = HostBuilder::new();
        let provider = services.add(Provider::new(8));
        let phone = Device::login(&server, &user, services).await;
        let commands = Commands::new(provider, phone.host.requests());
        let mut run = soon(commands.execute(lamp.jid(), text("mode")))
            .await
            .unwrap();
        let mut filling = run.fill().unwrap();
        // Past the check of our own side.
        let odd = Form::new(FormType::Submit).with(Field::new(text("mode"), text("noon")));
        let refused = soon(run.next(Some(odd))).await.unwrap_err();
        let CommandError::Refused { condition, .. } = refused else {
            panic!("{refused}")
        };
        assert_eq!(condition, Some(Condition::BadPayload));
        filling.set("mode", "day").unwrap();
        soon(run.next(Some(filling.submit().unwrap())))
            .await
            .unwrap();
        soon(run.prev()).await.unwrap();
        soon(run.next(Some(filling.submit().unwrap())))
            .await
            .unwrap();
        soon(run.complete(None)).await.unwrap();
        assert_eq!(run.notes()[0].text, "it is day");
        phone.stop().await;
        lamp.stop().await;
        soon(serving).await.unwrap();
    }
}
