//! The laws of discovery and of capabilities, by hand-fed inputs.

use super::*;
use crate::disco::capabilities::Asker;
use crate::fixture::{element, now, stanza, up};
use crate::request::{RequestError, RequestKind};
use crate::service::Change;
use crate::waiter::Waiter;
use stanchion_stanza::payload::disco::Identity;
use std::sync::Arc;

type Answer = tokio::sync::oneshot::Receiver<Result<Arc<DiscoInfo>, RequestError>>;

fn info(features: &[&'static str]) -> DiscoInfo {
    DiscoInfo {
        identities: vec![Identity {
            category: Text::from_static("client"),
            kind: Text::from_static("bot"),
            name: None,
            lang: None,
        }],
        features: features.iter().copied().map(Text::from_static).collect(),
        ..DiscoInfo::default()
    }
}

fn wants(disco: &mut Disco) -> Vec<Output<()>> {
    let mut wants = Vec::new();
    loop {
        match disco.poll_output() {
            Output::Wait(_) => return wants,
            output => wants.push(output),
        }
    }
}

/// Who is asked, with the tag and the node.
fn asked(wants: &[Output<()>]) -> Vec<(String, u64, Option<String>)> {
    let asked = wants.iter().filter_map(|output| match output {
        Output::Request { tag, request } => match &request.kind {
            RequestKind::Get(query) => Some((
                request.to.as_ref()?.to_string(),
                *tag,
                query.attr("node").map(str::to_owned),
            )),
            RequestKind::Set(_) => None,
        },
        _ => None,
    });
    asked.collect()
}

fn ask(disco: &mut Disco, query: &str) -> Iq {
    let iq = format!("<iq type='get' id='q' from='a@x.example/r'>{query}</iq>");
    assert_eq!(
        disco.handle(now(0), Input::Stanza(&stanza(&iq))),
        Taken::Yes
    );
    match wants(disco).pop() {
        Some(Output::Transmit(Stanza::Iq(iq))) => iq,
        other => panic!("{other:?}"),
    }
}

fn info_of(node: &str) -> String {
    format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>")
}

fn ver(info: &DiscoInfo) -> Text {
    Caps::of(Text::from_static("urn:x"), info).unwrap().ver
}

/// A presence that claims that hash.
fn claim(disco: &mut Disco, from: &str, hash: &str, ver: &str) {
    let presence = format!(
        "<presence from='{from}'><c xmlns='http://jabber.org/protocol/caps' hash='{hash}' \
         node='urn:x' ver='{ver}'/></presence>"
    );
    let taken = disco.handle(now(0), Input::Stanza(&stanza(&presence)));
    assert_eq!(taken, Taken::No, "others want to see presence, too");
}

fn look_up(disco: &mut Disco, jid: &str) -> Answer {
    let (asker, answer): (Asker, _) = Waiter::new();
    disco.look_up(jid.parse().unwrap(), asker);
    answer
}

fn answer(disco: &mut Disco, tag: u64, info: &DiscoInfo) {
    let answer = Ok(Some(info.to_element()));
    disco.handle(now(1), Input::Answer { tag, answer });
}

#[test]
fn what_we_are_is_told_at_the_node_of_our_capabilities_and_of_the_last_ones() {
    let mut disco = Disco::default();
    let (old, new) = (info(&["urn:example:a"]), info(&["urn:example:b"]));
    disco.handle(now(0), Input::Info(&old));
    disco.handle(now(0), Input::Info(&new));
    for expected in [&old, &new] {
        let node = format!("{NODE}#{}", ver(expected));
        let IqKind::Result(Some(answer)) = ask(&mut disco, &info_of(&node)).kind else {
            panic!("refused")
        };
        let mut answer = DiscoInfo::from_element(&answer).unwrap();
        assert_eq!(answer.node.take().as_deref(), Some(&*node));
        assert_eq!(&answer, expected);
    }
    let unknown = ask(&mut disco, &info_of(&format!("{NODE}#nothing")));
    assert!(matches!(unknown.kind, IqKind::Error(..)));
    // The node is no item (XEP-0115 §6.2).
    let items = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
    let IqKind::Result(Some(items)) = ask(&mut disco, items).kind else {
        panic!("refused")
    };
    assert_eq!(DiscoItems::from_element(&items).unwrap().items, []);
}

#[test]
fn nodes_of_services_and_of_the_application_are_told() {
    let mut disco = Disco::default();
    disco.handle(now(0), Input::Up(&up(false, [])));
    let node = |name: &'static str, listed| Node {
        name: Text::from_static(name),
        info: info(&["urn:example:node"]),
        items: vec![Item {
            jid: "lamp@home.example".parse().unwrap(),
            node: None,
            name: None,
        }],
        listed,
    };
    disco.handle(now(0), Input::Nodes(&[node("commands", true)]));
    disco.put_node(node("own", false));
    let items = |disco: &mut Disco, node: &str| {
        let query = format!("<query xmlns='http://jabber.org/protocol/disco#items' {node}/>");
        match ask(disco, &query).kind {
            IqKind::Result(Some(items)) => Some(DiscoItems::from_element(&items).unwrap()),
            _ => None,
        }
    };
    let own = items(&mut disco, "").unwrap().items;
    assert_eq!(own.len(), 1);
    assert_eq!(own[0].jid, "me@home.example/here".parse().unwrap());
    assert_eq!(own[0].node.as_deref(), Some("commands"));
    for name in ["commands", "own"] {
        let node = format!("node='{name}'");
        assert_eq!(items(&mut disco, &node).unwrap().items.len(), 1);
        let told = ask(&mut disco, &info_of(name));
        assert!(matches!(told.kind, IqKind::Result(Some(_))));
    }
    disco.remove_node(&Text::from_static("own"));
    assert_eq!(items(&mut disco, "node='own'"), None);
}

#[test]
fn one_answer_stands_for_all_who_claim_it_and_outlives_the_process() {
    let mut disco = Disco::default();
    let what = info(&["urn:example:a"]);
    let ver = ver(&what);
    for from in ["a@x.example/r", "b@x.example/r", "c@x.example/r"] {
        claim(&mut disco, from, "sha-1", &ver);
    }
    let mut first = look_up(&mut disco, "a@x.example/r");
    let mut second = look_up(&mut disco, "b@x.example/r");
    let requests = asked(&wants(&mut disco));
    assert_eq!(requests.len(), 1, "one is asked for both");
    assert_eq!(requests[0].2.as_deref(), Some(&*format!("urn:x#{ver}")));
    answer(&mut disco, requests[0].1, &what);
    for answer in [&mut first, &mut second] {
        assert_eq!(*answer.try_recv().unwrap().unwrap(), what);
    }
    let kept = wants(&mut disco);
    let [Output::Keep { changes, .. }] = &kept[..] else {
        panic!("{kept:?}")
    };
    let [Change::Put { key, value }] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert!(look_up(&mut disco, "c@x.example/r").try_recv().is_ok());
    assert!(wants(&mut disco).is_empty());

    let mut next = Disco::default();
    next.restore(key, value);
    claim(&mut next, "d@x.example/r", "sha-1", &ver);
    assert!(look_up(&mut next, "d@x.example/r").try_recv().is_ok());
    // A row under another name is not believed.
    let mut forged = Disco::default();
    forged.restore("sha-1 AAAA", value);
    claim(&mut forged, "d@x.example/r", "sha-1", "AAAA");
    assert!(look_up(&mut forged, "d@x.example/r").try_recv().is_err());
}

#[test]
fn an_answer_that_does_not_fit_counts_for_who_gave_it_and_the_next_one_is_asked() {
    let mut disco = Disco::default();
    let (right, wrong) = (info(&["urn:example:a"]), info(&["urn:example:evil"]));
    let ver = ver(&right);
    for from in ["liar@x.example/r", "b@x.example/r"] {
        claim(&mut disco, from, "sha-1", &ver);
    }
    let mut liar = look_up(&mut disco, "liar@x.example/r");
    let mut other = look_up(&mut disco, "b@x.example/r");
    let (_, tag, _) = asked(&wants(&mut disco)).pop().unwrap();
    answer(&mut disco, tag, &wrong);
    assert_eq!(*liar.try_recv().unwrap().unwrap(), wrong);
    assert!(other.try_recv().is_err());
    let (to, tag, _) = asked(&wants(&mut disco)).pop().unwrap();
    assert_eq!(to, "b@x.example/r");
    answer(&mut disco, tag, &right);
    assert_eq!(*other.try_recv().unwrap().unwrap(), right);
    wants(&mut disco);
    // It is remembered of the liar as long as its presence stands.
    let again = look_up(&mut disco, "liar@x.example/r").try_recv();
    assert_eq!(*again.unwrap().unwrap(), wrong);
    disco.handle(
        now(2),
        Input::Stanza(&stanza(
            "<presence type='unavailable' from='liar@x.example/r'/>",
        )),
    );
    assert!(look_up(&mut disco, "liar@x.example/r").try_recv().is_err());
}

#[test]
fn an_ill_formed_answer_is_refused_even_if_it_fits() {
    let mut disco = Disco::default();
    let twice = info(&["urn:example:a", "urn:example:a"]);
    claim(&mut disco, "a@x.example/r", "sha-1", "AAAA");
    let mut asker = look_up(&mut disco, "a@x.example/r");
    let (_, tag, _) = asked(&wants(&mut disco)).pop().unwrap();
    answer(&mut disco, tag, &twice);
    let error = asker.try_recv().unwrap().unwrap_err();
    assert!(error.to_string().contains("§5.4"), "{error}");
    assert!(look_up(&mut disco, "a@x.example/r").try_recv().is_err());
}

#[test]
fn another_hash_is_not_verified_and_counts_for_one_address() {
    let mut disco = Disco::default();
    let what = info(&["urn:example:a"]);
    for from in ["a@x.example/r", "b@x.example/r"] {
        claim(&mut disco, from, "sha-256", "AAAA");
    }
    let mut first = look_up(&mut disco, "a@x.example/r");
    let (_, tag, _) = asked(&wants(&mut disco)).pop().unwrap();
    answer(&mut disco, tag, &what);
    assert!(first.try_recv().unwrap().is_ok());
    assert!(wants(&mut disco).is_empty(), "nothing is kept");
    assert!(look_up(&mut disco, "a@x.example/r").try_recv().is_ok());
    assert!(look_up(&mut disco, "b@x.example/r").try_recv().is_err());
}

#[test]
fn what_the_hash_does_not_cover_is_kept_for_nobody() {
    let mut disco = Disco::default();
    let what = info(&["urn:example:a"]);
    let ver = ver(&what);
    let mut more = what.clone();
    more.extensions.push(element(
        "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE'><value>evil</value>\
         </field></x>",
    ));
    more.extensions
        .push(element("<evil xmlns='urn:example:evil'/>"));
    claim(&mut disco, "a@x.example/r", "sha-1", &ver);
    let mut asker = look_up(&mut disco, "a@x.example/r");
    let (_, tag, _) = asked(&wants(&mut disco)).pop().unwrap();
    answer(&mut disco, tag, &more);
    assert_eq!(*asker.try_recv().unwrap().unwrap(), what);
}

#[test]
fn a_claim_or_an_answer_that_is_too_long_is_not_remembered() {
    let mut disco = Disco::default();
    claim(&mut disco, "a@x.example/r", "sha-1", &"A".repeat(2000));
    let _asker = look_up(&mut disco, "a@x.example/r");
    let (_, _, node) = asked(&wants(&mut disco)).pop().unwrap();
    assert_eq!(node, None, "it is as if nothing were claimed");

    let long = "urn:example:".to_owned() + &"x".repeat(20_000);
    let mut what = info(&[]);
    what.features.push(Text::new(long).unwrap());
    claim(&mut disco, "b@x.example/r", "sha-1", &ver(&what));
    for _ in 0..2 {
        let mut asker = look_up(&mut disco, "b@x.example/r");
        let (_, tag, _) = asked(&wants(&mut disco)).pop().unwrap();
        answer(&mut disco, tag, &what);
        assert_eq!(*asker.try_recv().unwrap().unwrap(), what);
        assert!(wants(&mut disco).is_empty());
    }
}

#[test]
fn who_claims_nothing_is_asked_each_time_and_a_refusal_is_told() {
    let mut disco = Disco::default();
    for _ in 0..2 {
        let mut asker = look_up(&mut disco, "home.example");
        let (_, tag, node) = asked(&wants(&mut disco)).pop().unwrap();
        assert_eq!(node, None);
        let answer = Err(RequestError::Lost);
        disco.handle(now(1), Input::Answer { tag, answer });
        assert_eq!(asker.try_recv().unwrap(), Err(RequestError::Lost));
    }
}

#[test]
fn a_new_session_forgets_what_was_claimed() {
    let mut disco = Disco::default();
    claim(&mut disco, "a@x.example/r", "sha-1", "AAAA");
    disco.handle(now(1), Input::Up(&up(true, [])));
    let _asker = look_up(&mut disco, "a@x.example/r");
    let asked_of = |disco: &mut Disco| asked(&wants(disco)).pop().unwrap().2;
    assert_eq!(asked_of(&mut disco).as_deref(), Some("urn:x#AAAA"));
    claim(&mut disco, "b@x.example/r", "sha-1", "BBBB");
    disco.handle(now(1), Input::Up(&up(false, [])));
    let _asker = look_up(&mut disco, "b@x.example/r");
    assert_eq!(asked_of(&mut disco), None);
}
