//! The laws of the provider, by inputs fed by hand.

use super::*;
use stanchion_reliability::session::Up;
use stanchion_reliability::store::WallTime;
use stanchion_stanza::payload::forms::{Field, FieldType, FormType};
use stanchion_stanza::stream::StreamFeatures;
use stanchion_stanza::{Element, Presence};

use crate::allowed::Allowed;

const ME: &str = "me@here.example/phone";
const FOE: &str = "foe@there.example/x";

fn at(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        wall: WallTime::from_unix_ms(0),
    }
}

fn text(s: &'static str) -> Text {
    Text::from_static(s)
}

fn up(resumed: bool) -> Up {
    let jid = "me@here.example/lamp".parse().unwrap();
    Up::new(jid, resumed, StreamFeatures::default(), None)
}

fn provider() -> Provider {
    let mut provider = Provider::new(7);
    provider
        .offer(Offer::new(text("set"), text("Set")))
        .unwrap();
    let open = Offer::new(text("open"), text("Open")).allowed(Allowed::Anybody);
    provider.offer(open).unwrap();
    provider.handle(at(0), Input::Up(&up(false)));
    told(&mut provider);
    provider
}

/// What is transmitted.
fn told(provider: &mut Provider) -> Vec<Iq> {
    let mut told = Vec::new();
    loop {
        match provider.poll_output() {
            Output::Transmit(Stanza::Iq(iq)) => told.push(iq),
            Output::Wait(_) => return told,
            Output::Announce | Output::Event(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn request(from: &str, command: Element) -> Iq {
    let mut iq = Iq::get(None, text("1"), &DiscoInfo::default());
    iq.kind = IqKind::Set(command);
    iq.header.from = Some(from.parse().unwrap());
    iq.header.to = Some("me@here.example/lamp".parse().unwrap());
    iq
}

fn ask(provider: &mut Provider, from: &str, command: &Command) -> Option<Iq> {
    let iq = request(from, command.to_element());
    let taken = provider.handle(at(1), Input::Stanza(&Stanza::Iq(iq)));
    assert_eq!(taken, Taken::Yes);
    let mut told = told(provider);
    assert!(told.len() < 2, "{told:?}");
    told.pop()
}

/// The execution that begins, with the requester at its first stage.
fn at_stage(provider: &mut Provider, stage: Stage) -> Command {
    assert_eq!(ask(provider, ME, &Command::new(text("set"))), None);
    let begun = provider.take_begun(&text("set")).unwrap();
    assert_eq!(begun.requester.as_ref().map(Jid::as_str), Some(ME));
    provider.ask(at(1), &begun.session, stage).unwrap();
    let answer = told(provider).pop().unwrap();
    assert_eq!(answer.header.to.as_ref().map(Jid::as_str), Some(ME));
    let IqKind::Result(Some(command)) = answer.kind else {
        panic!("{answer:?}")
    };
    Command::from_element(&command).unwrap()
}

fn lamp_form() -> Form {
    let mut field = Field::default().with_kind(FieldType::Boolean);
    field.var = Some(text("on"));
    field.required = true;
    Form::new(FormType::Form).with(field)
}

/// The stanza error, and the condition of commands beside it.
fn refused(iq: Option<Iq>) -> (DefinedCondition, Option<Condition>) {
    match iq.map(|iq| iq.kind) {
        Some(IqKind::Error(error, _)) => {
            let beside = error.application.as_deref();
            (error.condition, beside.and_then(Condition::from_element))
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn only_who_may_sees_and_runs_a_command() {
    let mut provider = provider();
    let command = Command::new(text("set"));
    let (condition, _) = refused(ask(&mut provider, FOE, &command));
    assert_eq!(condition, DefinedCondition::Forbidden);
    assert_eq!(provider.take_begun(&text("set")), None);
    let mut query = |from: &str, kind: &str, node| {
        let namespace = if kind == "info" {
            ns::DISCO_INFO
        } else {
            ns::DISCO_ITEMS
        };
        let mut iq = request(
            from,
            Element::new("query", namespace).with_attr("node", text(node)),
        );
        let IqKind::Set(query) = iq.kind else {
            panic!()
        };
        iq.kind = IqKind::Get(query);
        provider.handle(at(1), Input::Stanza(&Stanza::Iq(iq)));
        told(&mut provider).pop()
    };
    let items = |answer: Option<Iq>| {
        let Some(IqKind::Result(Some(items))) = answer.map(|a| a.kind) else {
            panic!()
        };
        let items = DiscoItems::from_element(&items).unwrap().items;
        let nodes = items.into_iter().filter_map(|i| i.node);
        nodes.map(Text::into_string).collect::<Vec<_>>()
    };
    assert_eq!(items(query(FOE, "items", ns::COMMANDS)), ["open"]);
    assert_eq!(items(query(ME, "items", ns::COMMANDS)), ["open", "set"]);
    assert_eq!(items(query(ME, "items", "set")), [""; 0]);
    let (condition, _) = refused(query(FOE, "info", "set"));
    assert_eq!(condition, DefinedCondition::Forbidden);
    let info = |answer: Option<Iq>| {
        let Some(IqKind::Result(Some(info))) = answer.map(|a| a.kind) else {
            panic!()
        };
        let info = DiscoInfo::from_element(&info).unwrap();
        assert!(info.has(ns::COMMANDS) && info.has(ns::FORMS));
        (
            info.identities[0].category.to_string(),
            info.identities[0].kind.to_string(),
        )
    };
    let automation = |kind: &str| ("automation".to_owned(), kind.to_owned());
    assert_eq!(info(query(ME, "info", "set")), automation("command-node"));
    assert_eq!(
        info(query(FOE, "info", ns::COMMANDS)),
        automation("command-list")
    );
    assert_eq!(query(ME, "info", "none"), None, "somebody else's");
}

#[test]
fn a_command_goes_on_by_what_its_stage_allows() {
    let mut provider = provider();
    let stage = Stage::form(lamp_form()).with_more().with_a_way_back();
    let answer = at_stage(&mut provider, stage);
    assert_eq!(answer.status, Some(Status::Executing));
    let actions = answer.actions.unwrap();
    assert!(actions.next && actions.prev && !actions.complete);
    assert_eq!(actions.default_action(), Some(Action::Next));

    let mut next = answer.follow_up(Action::Complete);
    let refusal = (DefinedCondition::BadRequest, Some(Condition::BadAction));
    assert_eq!(refused(ask(&mut provider, ME, &next)), refusal);
    next.action = Action::Next;
    let refusal = (DefinedCondition::BadRequest, Some(Condition::BadPayload));
    assert_eq!(refused(ask(&mut provider, ME, &next)), refusal, "no form");
    let on = |value: &'static str| {
        let field = Field::new(text("on"), text(value));
        Form::new(FormType::Submit).with(field).to_element()
    };
    next.payload = vec![on("perhaps")];
    assert_eq!(
        refused(ask(&mut provider, ME, &next)),
        refusal,
        "not a boolean"
    );
    next.payload = vec![on("1")];
    // What no action at all means.
    next.action = Action::Execute;
    assert_eq!(
        ask(&mut provider, ME, &next),
        None,
        "the application's turn"
    );
    let session = answer.session.clone().unwrap();
    let step = provider.take_step(&session).unwrap().unwrap();
    assert_eq!(step.action, Action::Next);
    assert_eq!(step.form.unwrap().value("on"), Some(&text("1")));
    assert_eq!(provider.take_step(&session), Ok(None), "once");
    let impatient = refused(ask(&mut provider, ME, &next));
    assert_eq!(impatient.0, DefinedCondition::UnexpectedRequest);

    provider.conclude(&session, Conclusion::done()).unwrap();
    let answer = told(&mut provider).pop().unwrap();
    let IqKind::Result(Some(end)) = answer.kind else {
        panic!()
    };
    assert!(Command::from_element(&end).unwrap().succeeded());
    let refusal = (DefinedCondition::BadRequest, Some(Condition::BadSessionid));
    assert_eq!(
        refused(ask(&mut provider, ME, &next)),
        refusal,
        "it is over"
    );
}

#[test]
fn an_execution_is_its_requesters_alone() {
    let mut provider = provider();
    let answer = at_stage(&mut provider, Stage::question(text("Sure?")));
    let refusal = (DefinedCondition::BadRequest, Some(Condition::BadSessionid));
    for other in [FOE, "me@here.example/tablet", "me@here.example"] {
        for action in [Action::Complete, Action::Cancel] {
            let follow_up = answer.follow_up(action);
            assert_eq!(refused(ask(&mut provider, other, &follow_up)), refusal);
        }
    }
    let mut other_node = answer.follow_up(Action::Complete);
    other_node.node = text("open");
    assert_eq!(refused(ask(&mut provider, ME, &other_node)), refusal);
    assert_eq!(
        ask(&mut provider, ME, &answer.follow_up(Action::Complete)),
        None
    );
}

#[test]
fn a_cancelled_execution_ends_on_both_sides() {
    let mut provider = provider();
    let answer = at_stage(&mut provider, Stage::question(text("Sure?")));
    let told = ask(&mut provider, ME, &answer.follow_up(Action::Cancel)).unwrap();
    let IqKind::Result(Some(end)) = told.kind else {
        panic!()
    };
    let end = Command::from_element(&end).unwrap();
    assert_eq!(
        (end.status, &end.session),
        (Some(Status::Canceled), &answer.session)
    );
    assert_eq!(end.node, "set");
    let session = answer.session.clone().unwrap();
    assert_eq!(provider.take_step(&session), Err(Over::Cancelled));
    assert_eq!(provider.take_step(&session), Err(Over::Gone));
}

#[test]
fn who_takes_too_long_hears_that_the_session_has_expired() {
    let mut provider = provider();
    let answer = at_stage(&mut provider, Stage::question(text("Sure?")));
    let due = Duration::from_secs(1) + Offer::IDLE;
    assert!(matches!(provider.poll_output(), Output::Wait(Some(at)) if at == due));
    provider.handle(at(due.as_secs()), Input::Tick);
    assert_eq!(told(&mut provider), []);
    let refusal = (
        DefinedCondition::NotAllowed,
        Some(Condition::SessionExpired),
    );
    let late = answer.follow_up(Action::Complete);
    assert_eq!(refused(ask(&mut provider, ME, &late)), refusal);
    let session = answer.session.clone().unwrap();
    assert_eq!(provider.take_step(&session), Err(Over::Expired));
    assert_eq!(refused(ask(&mut provider, ME, &late)), refusal, "still");
}

#[test]
fn an_application_that_takes_too_long_does_not_keep_its_requester_waiting() {
    let mut provider = provider();
    ask(&mut provider, ME, &Command::new(text("set")));
    let begun = provider.take_begun(&text("set")).unwrap();
    provider.handle(at(1 + Offer::PATIENCE.as_secs()), Input::Tick);
    let (condition, _) = refused(told(&mut provider).pop());
    assert_eq!(condition, DefinedCondition::InternalServerError);
    let too_late = provider.conclude(&begun.session, Conclusion::done());
    assert_eq!(too_late, Err(Over::TooLate));
    // One that nobody has even looked at.
    ask(&mut provider, ME, &Command::new(text("set")));
    provider.handle(at(1000), Input::Tick);
    assert_eq!(told(&mut provider).len(), 1);
    assert_eq!(provider.take_begun(&text("set")), None);
    // One that is dropped.
    ask(&mut provider, ME, &Command::new(text("set")));
    let begun = provider.take_begun(&text("set")).unwrap();
    provider.abandon(&begun.session);
    assert_eq!(told(&mut provider).len(), 1);
}

#[test]
fn a_new_session_and_a_requester_that_leaves_end_what_was_under_way() {
    let mut provider = provider();
    let session = |answer: Command| answer.session.unwrap();
    let one = session(at_stage(&mut provider, Stage::question(text("Sure?"))));
    provider.handle(at(2), Input::Down);
    provider.handle(at(2), Input::Up(&up(true)));
    assert_eq!(provider.take_step(&one), Ok(None), "nothing was lost");
    provider.handle(at(2), Input::Up(&up(false)));
    assert_eq!(provider.take_step(&one), Err(Over::Gone));
    let two = session(at_stage(&mut provider, Stage::question(text("Sure?"))));
    let mut presence = Presence::of(PresenceType::Unavailable);
    presence.header.from = Some("me@here.example/tablet".parse().unwrap());
    provider.handle(at(2), Input::Stanza(&Stanza::Presence(presence.clone())));
    assert_eq!(provider.take_step(&two), Ok(None), "another one left");
    presence.header.from = Some(ME.parse().unwrap());
    provider.handle(at(2), Input::Stanza(&Stanza::Presence(presence)));
    assert_eq!(provider.take_step(&two), Err(Over::Gone));
    assert_eq!(told(&mut provider), []);
}

#[test]
fn what_cannot_be_followed_is_named() {
    let mut provider = provider();
    let mut odd = |command: Element| {
        let iq = request(ME, command);
        provider.handle(at(1), Input::Stanza(&Stanza::Iq(iq)));
        refused(told(&mut provider).pop())
    };
    let command = || Element::new("command", ns::COMMANDS).with_attr("node", text("set"));
    let bad = |condition| (DefinedCondition::BadRequest, Some(condition));
    let shout = command().with_attr("action", text("shout"));
    assert_eq!(odd(shout), bad(Condition::MalformedAction));
    let nameless = command().with_attr("sessionid", text(""));
    assert_eq!(odd(nameless), bad(Condition::BadSessionid));
    let unknown = command().with_attr("sessionid", text("x"));
    assert_eq!(odd(unknown), bad(Condition::BadSessionid));
    let early = command().with_attr("action", text("next"));
    assert_eq!(odd(early), bad(Condition::BadAction));
    let none = Element::new("command", ns::COMMANDS).with_attr("node", text("none"));
    assert_eq!(odd(none).0, DefinedCondition::ItemNotFound);
}

#[test]
fn executions_are_bounded_for_each_and_for_all() {
    let mut provider = provider();
    let command = Command::new(text("open"));
    for n in 0..MOST_OF_ONE_ACCOUNT {
        let from = format!("foe@there.example/{n}");
        assert_eq!(ask(&mut provider, &from, &command), None);
    }
    let (condition, _) = refused(ask(&mut provider, FOE, &command));
    assert_eq!(condition, DefinedCondition::ResourceConstraint);
    for n in MOST_OF_ONE_ACCOUNT..MOST_EXECUTIONS {
        assert_eq!(
            ask(&mut provider, &format!("a{n}@b.example/c"), &command),
            None
        );
    }
    let (condition, _) = refused(ask(&mut provider, ME, &command));
    assert_eq!(condition, DefinedCondition::ResourceConstraint);
    provider.withdraw(&text("open"));
    assert_eq!(told(&mut provider).len(), MOST_EXECUTIONS, "all are told");
    assert_eq!(provider.take_begun(&text("open")), None);
    assert_eq!(ask(&mut provider, ME, &Command::new(text("set"))), None);
}

#[test]
fn a_node_is_offered_once_and_their_number_is_bounded() {
    let mut provider = provider();
    let again = Offer::new(text("set"), text("Set"));
    assert_eq!(provider.offer(again), Err(OfferError::Offered(text("set"))));
    for n in 2..MOST_COMMANDS {
        let node = Text::new(format!("c{n}")).unwrap();
        provider.offer(Offer::new(node, text("C"))).unwrap();
    }
    let more = Offer::new(text("more"), text("More"));
    assert_eq!(provider.offer(more), Err(OfferError::TooMany));
    assert_eq!(provider.features(), [ns::COMMANDS]);
    assert_eq!(Provider::new(7).features(), [""; 0]);
}
