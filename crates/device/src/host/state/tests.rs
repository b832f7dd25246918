//! The laws of read-outs and control, on inputs fed by hand.

use std::sync::{Arc, Mutex};

use stanchion_reliability::session::Up;
use stanchion_stanza::codec::parse_element;
use stanchion_stanza::payload::sensordata::{Fields, Value};
use stanchion_stanza::stream::StreamFeatures;
use stanchion_stanza::{Encoder, Limits, Scope};

use super::*;
use crate::host::{Access, Grant, Names};
use crate::model::{Categories, FieldSpec, Kind, ParameterKind, ParameterSpec, ThingSpec};
use stanchion_services::allowed::Allowed;

const SD: &str = "xmlns='urn:xmpp:iot:sensordata'";
const CTR: &str = "xmlns='urn:xmpp:iot:control'";
const WALL: i64 = 1_795_644_000_000;

struct Bench {
    state: State,
    jobs: Arc<Mutex<Vec<Job>>>,
    seconds: u64,
}

fn text(s: &'static str) -> Text {
    Text::from_static(s)
}

fn lamp() -> ThingSpec {
    let level = FieldSpec::new(text("level"), Kind::Int);
    let serial = FieldSpec::new(text("serial"), Kind::String).of(Categories::IDENTITY);
    let mut toggle = ParameterSpec::new(text("toggle"), ParameterKind::Boolean);
    toggle.idempotent = false;
    ThingSpec::new(text("lamp"))
        .with_field(level)
        .with_field(serial)
        .with_parameter(ParameterSpec::new(
            text("level"),
            ParameterKind::Int(0..=100),
        ))
        .with_parameter(toggle)
}

fn event(report: Report) -> AdapterEvent {
    AdapterEvent {
        adapter: Arc::from("a"),
        report,
    }
}

impl Bench {
    fn new(config: HostConfig) -> Self {
        let jobs = Arc::<Mutex<Vec<Job>>>::default();
        let put = Arc::clone(&jobs);
        let put = Box::new(move |job| {
            put.lock().unwrap().push(job);
            Ok(())
        });
        let mut bench = Self {
            state: State::new(config, put),
            jobs,
            seconds: 0,
        };
        let up = Up::new(
            "me@home.example/here".parse().unwrap(),
            false,
            StreamFeatures::default(),
            None,
        );
        let now = bench.now();
        bench.state.handle(now, Input::Up(&up));
        bench.take(Report::Things(vec![lamp()]));
        bench
    }

    fn now(&self) -> Now {
        Now {
            monotonic: Duration::from_secs(self.seconds),
            wall: WallTime::from_unix_ms(WALL + 1000 * i64::try_from(self.seconds).unwrap()),
        }
    }

    fn take(&mut self, report: Report) {
        let now = self.now();
        self.state.take(now, event(report));
        self.said();
    }

    fn level(&mut self, value: i32) {
        let at = self.now().wall;
        let value = Value::Int(value);
        self.take(Report::Sample(Sample::one(
            text("lamp"),
            at,
            text("level"),
            value,
        )));
    }

    /// Everything that goes out now.
    fn said(&mut self) -> Vec<Element> {
        let mut said = Vec::new();
        loop {
            match self.state.poll_output() {
                Output::Transmit(stanza) => said.push(stanza.to_element()),
                Output::Wait(_) => return said,
                _ => {}
            }
        }
    }

    fn iq(&mut self, from: &str, kind: &str, id: &str, what: &str) -> Vec<Element> {
        let xml = format!("<iq from='{from}' type='{kind}' id='{id}'>{what}</iq>");
        self.stanza(&xml)
    }

    fn stanza(&mut self, xml: &str) -> Vec<Element> {
        let element = parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).unwrap();
        let stanza = Stanza::from_element(element).unwrap();
        let now = self.now();
        assert_eq!(self.state.handle(now, Input::Stanza(&stanza)), Taken::Yes);
        self.said()
    }

    fn tick(&mut self, seconds: u64) -> Vec<Element> {
        self.seconds += seconds;
        let now = self.now();
        self.state.handle(now, Input::Tick);
        self.said()
    }

    fn read(&mut self, what: &str) -> Vec<Element> {
        self.iq(MINE, "get", "r", &format!("<req {SD} seqnr='7' {what}"))
    }

    fn set(&mut self, from: &str, id: &str, what: &str) -> Vec<Element> {
        self.iq(from, "set", id, &format!("<set {CTR}>{what}</set>"))
    }

    fn jobs(&self) -> Vec<Job> {
        std::mem::take(&mut self.jobs.lock().unwrap())
    }
}

const MINE: &str = "me@home.example/phone";
const STRANGER: &str = "mallory@there.example/x";

fn condition(iq: &Element) -> String {
    assert_eq!(iq.attr("type"), Some("error"), "{iq:?}");
    let error = iq
        .children()
        .find(|c| c.name() == "error" && c.ns() == ns::CLIENT);
    let error = StanzaError::from_element(error.unwrap()).unwrap();
    error.condition.to_string()
}

fn fields(message: &Element) -> Fields {
    let payload = message.children().next().unwrap();
    Fields::find_any([payload]).unwrap().unwrap().1
}

fn names(message: &Element) -> Vec<String> {
    fields(message)
        .iter()
        .map(|(_, _, f)| f.name.to_string())
        .collect()
}

#[test]
fn a_read_out_is_accepted_and_answered_in_one_message_that_says_it_is_the_last() {
    let mut bench = Bench::new(HostConfig::default());
    bench.level(40);
    let said = bench.read("momentary='true'/>");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0]
            .child("accepted", "urn:xmpp:iot:sensordata")
            .is_some()
    );
    let fields = fields(&said[1]);
    let (node, at, field) = fields.iter().next().unwrap();
    assert!(fields.done && fields.iter().count() == 1);
    assert_eq!(
        (&*node.id, &*at.clone()),
        ("lamp", "2026-11-25T22:00:00.000Z")
    );
    assert_eq!(field.value, Value::Int(40));
    assert_eq!(said[1].attr("to"), Some(MINE));
}

#[test]
fn the_answer_is_in_the_profile_of_the_request() {
    let mut bench = Bench::new(HostConfig::default());
    bench.level(40);
    for profile in Profile::ALL {
        let request = Request::momentary(3).to_element_in(profile);
        let iq = Iq {
            header: stanchion_stanza::stanza::Header {
                from: Some(MINE.parse().unwrap()),
                id: Some(text("1")),
                ..Default::default()
            },
            kind: IqKind::Get(request),
        };
        let now = bench.now();
        bench.state.handle(now, Input::Stanza(&Stanza::Iq(iq)));
        for said in bench.said() {
            let payload = said.children().next().unwrap();
            assert_eq!(payload.ns(), profile.sensor_data());
        }
    }
}

#[test]
fn kinds_names_and_times_say_what_is_wanted() {
    let mut bench = Bench::new(HostConfig::default());
    bench.level(40);
    let mut told = |what: &str| names(&bench.read(what)[1]);
    assert_eq!(told("momentary='true'/>"), ["level"]);
    assert_eq!(told("identity='true'/>"), ["serial"]);
    assert_eq!(
        told("momentary='true' identity='1' when='2026-11-25T21:00:00'/>").len(),
        2
    );
    assert_eq!(told("/>"), ["level", "serial"]);
    assert_eq!(told("><field name='serial'/></req>"), ["serial"]);
    assert_eq!(
        told("momentary='true' from='2026-11-25T23:00:00Z'/>"),
        [""; 0]
    );
    assert_eq!(
        told("momentary='true' from='2026-11-25T21:00:00'/>"),
        ["level"]
    );
    let said = bench.read("from='soon'/>");
    assert_eq!(condition(&said[0]), "bad-request");
}

#[test]
fn a_thing_that_is_not_there_is_not_found() {
    let mut bench = Bench::new(HostConfig::default());
    let said = bench.read("><node nodeId='door'/></req>");
    assert_eq!(condition(&said[0]), "item-not-found");
    assert_eq!(said.len(), 1);
}

#[test]
fn a_stranger_is_refused_whether_the_thing_is_there_or_not() {
    let mut bench = Bench::new(HostConfig::default());
    bench.level(40);
    for what in [
        "/>",
        "><node nodeId='lamp'/></req>",
        "><node nodeId='door'/></req>",
    ] {
        let what = format!("<req {SD} seqnr='7' {what}");
        let said = bench.iq(STRANGER, "get", "r", &what);
        assert_eq!(
            (said.len(), condition(&said[0])),
            (1, "forbidden".to_owned())
        );
        // What those hear that know only the words of before.
        assert!(
            said[0]
                .child("rejected", "urn:xmpp:iot:sensordata")
                .is_some()
        );
    }
    for what in ["<int name='level' value='1'/>", "<node nodeId='door'/>"] {
        assert_eq!(condition(&bench.set(STRANGER, "s", what)[0]), "forbidden");
    }
    let form = bench.iq(STRANGER, "get", "f", &format!("<getForm {CTR}/>"));
    assert_eq!(condition(&form[0]), "forbidden");
    assert!(bench.jobs().is_empty());
}

#[test]
fn a_grant_shows_no_more_than_it_says() {
    let friend: BareJid = "friend@there.example".parse().unwrap();
    let only_level = Grant {
        read: Names::these([text("level")]),
        ..Grant::to_read(Allowed::accounts([friend]))
    };
    let config = HostConfig {
        access: Access::default().with(only_level),
        ..HostConfig::default()
    };
    let mut bench = Bench::new(config);
    bench.level(40);
    let what = format!("<req {SD} seqnr='7' all='true'/>");
    let said = bench.iq("friend@there.example/x", "get", "r", &what);
    assert_eq!(names(&said[1]), ["level"]);
    let said = bench.set(
        "friend@there.example/x",
        "s",
        "<int name='level' value='1'/>",
    );
    assert_eq!(condition(&said[0]), "forbidden");
}

#[test]
fn what_was_never_read_is_missing_and_what_is_old_says_so() {
    use crate::model::Quality;
    let mut bench = Bench::new(HostConfig::default());
    let quality = |bench: &mut Bench| {
        let said = bench.read("><field name='level'/></req>");
        let fields = fields(&said[1]);
        let (_, at, field) = fields.iter().next().unwrap();
        (at.clone(), field.quality, field.value.clone())
    };
    let (_, missing, _) = quality(&mut bench);
    assert_eq!(missing, Quality::MISSING);
    bench.level(40);
    bench.seconds = 60;
    bench.take(Report::Stale(vec![text("lamp")]));
    let (at, stale, value) = quality(&mut bench);
    assert_eq!(stale, Quality::AUTOMATIC_ESTIMATE | Quality::WARNING);
    assert_eq!(
        (at.as_str(), value),
        ("2026-11-25T22:00:00.000Z", Value::Int(40))
    );
}

#[test]
fn a_large_answer_comes_in_messages_below_the_limit_and_only_the_last_is_done() {
    let config = HostConfig {
        message_bytes: 4096,
        ..HostConfig::default()
    };
    let mut bench = Bench::new(config);
    for n in 0..200 {
        let id = Text::new(format!("thing<{n}>")).unwrap();
        let name = FieldSpec::new(text("name"), Kind::String);
        bench.take(Report::Things(vec![
            ThingSpec::new(id.clone()).with_field(name),
        ]));
        let at = bench.now().wall;
        let value = Value::String(Text::new("<&'\">".repeat(n % 50)).unwrap());
        bench.take(Report::Sample(Sample::one(id, at, text("name"), value)));
    }
    let said = bench.read("/>");
    let messages = &said[1..];
    assert!(messages.len() > 10);
    let mut told = 0;
    for (n, message) in messages.iter().enumerate() {
        let encoder = Encoder::new(Scope::client(), Limits::default());
        assert!(
            encoder.to_bytes(message).unwrap().len() <= 4096 + 300,
            "message {n}"
        );
        let fields = fields(message);
        assert_eq!(fields.done, n + 1 == messages.len());
        told += fields.iter().count();
    }
    assert_eq!(told, 202);
}

#[test]
fn a_read_out_for_later_is_queued_started_in_its_time_and_can_be_cancelled() {
    let mut bench = Bench::new(HostConfig::default());
    bench.level(40);
    let later = "momentary='true' when='2026-11-25T22:01:00Z'/>";
    let said = bench.read(later);
    let accepted = said[0]
        .child("accepted", "urn:xmpp:iot:sensordata")
        .unwrap();
    assert_eq!((said.len(), accepted.attr("queued")), (1, Some("true")));
    assert_eq!(
        condition(&bench.read(later)[0]),
        "bad-request",
        "the same number"
    );
    assert!(bench.tick(59).is_empty());
    let said = bench.tick(1);
    assert!(
        said[0]
            .child("started", "urn:xmpp:iot:sensordata")
            .is_some()
    );
    assert!(fields(&said[1]).done);

    bench.read("momentary='true' when='2026-11-25T22:02:00Z'/>");
    let cancel = format!("<cancel {SD} seqnr='7'/>");
    let other = bench.iq("me@home.example/tablet", "get", "c", &cancel);
    assert_eq!(
        condition(&other[0]),
        "item-not-found",
        "not of another device"
    );
    let said = bench.iq(MINE, "get", "c", &cancel);
    assert!(
        said[0]
            .child("cancelled", "urn:xmpp:iot:sensordata")
            .is_some()
    );
    assert!(bench.tick(120).is_empty());
    let again = bench.iq(MINE, "get", "c", &cancel);
    assert_eq!(condition(&again[0]), "item-not-found");
    let far = bench.read("momentary='true' when='2027-11-25T22:02:00Z'/>");
    assert_eq!(condition(&far[0]), "bad-request");
}

#[test]
fn no_account_has_more_read_outs_under_way_than_the_bound() {
    let mut bench = Bench::new(HostConfig::default());
    for n in 0..readouts::MOST_OF_ONE_ACCOUNT {
        let what = format!("<req {SD} seqnr='{n}' when='2026-11-25T23:00:00Z'/>");
        let said = bench.iq(MINE, "get", "q", &what);
        assert_eq!(said[0].attr("type"), Some("result"));
    }
    let said = bench.read("momentary='true'/>");
    assert_eq!(condition(&said[0]), "resource-constraint");
}

#[test]
fn what_is_remembered_is_looked_up_and_told_before_the_end() {
    let mut bench = Bench::new(HostConfig::default());
    bench.level(40);
    let said = bench.read("all='true' from='2026-11-25T21:00:00Z'/>");
    assert!(!fields(&said[1]).done, "the history is still to come");
    let Some(Job::Look {
        number,
        things,
        from,
        until,
    }) = bench.jobs().pop()
    else {
        panic!("nothing is looked up")
    };
    assert_eq!((things, from), (vec![text("lamp")], WALL - 3_600_000));
    assert_eq!(until, i64::MAX);
    let of = |value| Reading::automatic(text("level"), Value::Int(value));
    let at = WallTime::from_unix_ms(WALL - 1000);
    let found = vec![(text("lamp"), at, of(1)), (text("lamp"), at, of(2))];
    bench.state.remembered(number, found, true);
    let said = bench.said();
    let fields = fields(&said[0]);
    assert!(fields.done && fields.iter().count() == 2);
    assert!(fields.iter().all(|(_, _, f)| f.categories.are_historical()));
}

#[test]
fn whole_numbers_are_measures_for_readers_that_know_no_others() {
    let config = HostConfig {
        simple_types: true,
        ..HostConfig::default()
    };
    let mut bench = Bench::new(config);
    bench.level(40);
    let said = bench.read("momentary='true'/>");
    let fields = fields(&said[1]);
    let (_, _, field) = fields.iter().next().unwrap();
    assert!(matches!(&field.value, Value::Numeric { value, .. } if value.as_str() == "40"));
}

// ---- control --------------------------------------------------------------------------

#[test]
fn a_set_is_answered_once_the_thing_did_it_and_not_before() {
    let mut bench = Bench::new(HostConfig::default());
    assert!(
        bench
            .set(MINE, "s", "<int name='level' value='7'/>")
            .is_empty()
    );
    let Some(Job::Set {
        number,
        plan,
        within,
    }) = bench.jobs().pop()
    else {
        panic!("nothing is done")
    };
    assert_eq!((plan.things(), plan.idempotent), (vec![text("lamp")], true));
    assert_eq!(within, Duration::from_secs(10));
    let now = bench.now();
    bench.state.carried_out(now, number, &Ok(()));
    let said = bench.said();
    let response = said[0]
        .child("setResponse", "urn:xmpp:iot:control")
        .unwrap();
    assert_eq!(response.attr("responseCode"), Some("OK"));
    assert_eq!(said[0].attr("id"), Some("s"));
}

#[test]
fn all_is_checked_before_anything_acts_and_the_error_names_the_parameter() {
    let mut bench = Bench::new(HostConfig::default());
    let good = "<boolean name='toggle' value='true'/>";
    for bad in [
        "<int name='level' value='101'/>",
        "<string name='level' value='much'/>",
        "<int name='volume' value='1'/>",
    ] {
        let said = bench.set(MINE, "s", &format!("{good}{bad}"));
        assert_eq!(condition(&said[0]), "bad-request");
        let response = said[0]
            .child("setResponse", "urn:xmpp:iot:control")
            .unwrap();
        assert_eq!(response.attr("responseCode"), Some("FormError"));
        let error = StanzaError::from_element(said[0].child("error", ns::CLIENT).unwrap());
        let named = error.unwrap().application.unwrap();
        assert!(matches!(named.attr("var"), Some("level" | "volume")));
    }
    let nowhere = bench.set(MINE, "s", &format!("<node nodeId='door'/>{good}"));
    assert_eq!(condition(&nowhere[0]), "item-not-found");
    let nothing = bench.set(MINE, "s", "");
    assert_eq!(condition(&nothing[0]), "bad-request");
    assert!(bench.jobs().is_empty());
}

#[test]
fn a_request_that_comes_twice_acts_once() {
    let mut bench = Bench::new(HostConfig::default());
    let toggle = "<boolean name='toggle' value='true'/>";
    bench.set(MINE, "s", toggle);
    assert!(bench.set(MINE, "s", toggle).is_empty(), "it is under way");
    let jobs = bench.jobs();
    let [Job::Set { number, .. }] = &jobs[..] else {
        panic!("{jobs:?}")
    };
    let now = bench.now();
    bench.state.carried_out(now, *number, &Ok(()));
    let answer = bench.said();
    assert_eq!(bench.set(MINE, "s", toggle), answer, "answered as before");
    assert!(bench.jobs().is_empty());
    // Another device, another id, other words: another request.
    bench.set("me@home.example/tablet", "s", toggle);
    bench.set(MINE, "t", toggle);
    bench.set(MINE, "s", "<boolean name='toggle' value='false'/>");
    assert_eq!(bench.jobs().len(), 3);
    bench.seconds += 60;
    bench.set(MINE, "s", toggle);
    assert_eq!(bench.jobs().len(), 1, "ids may be used again");
}

#[test]
fn what_became_of_an_order_is_told_as_it_is() {
    for (outcome, expected) in [
        (OrderError::Refused("no".to_owned()), "not-acceptable"),
        (OrderError::Expired, "remote-server-timeout"),
        (
            OrderError::Unavailable("off".to_owned()),
            "recipient-unavailable",
        ),
        (OrderError::InDoubt("?".to_owned()), "internal-server-error"),
    ] {
        let mut bench = Bench::new(HostConfig::default());
        bench.set(MINE, "s", "<int name='level' value='7'/>");
        let Some(Job::Set { number, .. }) = bench.jobs().pop() else {
            panic!("nothing is done")
        };
        let now = bench.now();
        bench.state.carried_out(now, number, &Err(outcome));
        assert_eq!(condition(&bench.said()[0]), expected);
    }
}

#[test]
fn a_form_shows_what_may_be_set_and_sets_it_when_it_comes_back() {
    let mut bench = Bench::new(HostConfig::default());
    bench.level(40);
    let said = bench.iq(MINE, "get", "f", &format!("<getForm {CTR}/>"));
    let form = said[0].child("x", ns::FORMS).unwrap();
    let vars: Vec<_> = form.children().filter_map(|c| c.attr("var")).collect();
    assert_eq!(vars, ["level", "toggle"]);
    let submit = |value: &str| {
        format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='level'>\
             <value>{value}</value></field></x>"
        )
    };
    assert_eq!(
        condition(&bench.set(MINE, "s", &submit("much"))[0]),
        "bad-request"
    );
    assert!(bench.set(MINE, "s", &submit("9")).is_empty());
    assert_eq!(bench.jobs().len(), 1);
}

#[test]
fn no_account_has_more_orders_under_way_than_the_bound() {
    let mut bench = Bench::new(HostConfig::default());
    let level = "<int name='level' value='7'/>";
    for n in 0..MOST_SETS_OF_ONE_ACCOUNT {
        assert!(bench.set(MINE, &n.to_string(), level).is_empty());
    }
    assert_eq!(
        condition(&bench.set(MINE, "more", level)[0]),
        "resource-constraint"
    );
}

#[test]
fn a_command_in_a_message_acts_without_an_answer_and_an_old_one_does_not() {
    let mut bench = Bench::new(HostConfig::default());
    let set = format!("<set {CTR}><int name='level' value='7'/></set>");
    let delay = "<delay xmlns='urn:xmpp:delay' stamp='2026-11-25T21:00:00Z'/>";
    let of = |from: &str, more: &str| format!("<message from='{from}'>{set}{more}</message>");
    assert!(bench.stanza(&of(MINE, "")).is_empty());
    assert_eq!(bench.jobs().len(), 1);
    assert!(bench.stanza(&of(MINE, delay)).is_empty());
    assert!(bench.stanza(&of(STRANGER, "")).is_empty());
    assert!(bench.jobs().is_empty());
}

#[test]
fn what_cannot_be_read_is_refused_and_does_no_harm() {
    let mut bench = Bench::new(HostConfig::default());
    let said = bench.iq(MINE, "get", "r", &format!("<req {SD} seqnr='many'/>"));
    assert_eq!(condition(&said[0]), "bad-request");
    let said = bench.set(MINE, "s", "<int name='level' value='seven'/>");
    assert_eq!(condition(&said[0]), "bad-request");
    let said = bench.set(MINE, "s", "<elephant name='level' value='7'/>");
    assert_eq!(condition(&said[0]), "bad-request");
}
