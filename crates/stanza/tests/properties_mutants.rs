//! Payloads with parts lost, doubled, moved and changed: each is read or refused, and
//! what was read comes back as it was. Nothing else may happen, whatever stands where.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod given;
mod laws;

use given::examples::element;
use laws::journey;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use stanchion_stanza::xml::Node;
use stanchion_stanza::{Element, Limits, Text};

/// One of each shape, with all that it may hold.
const SEEDS: &[&str] = &[
    "<x xmlns='jabber:x:data' type='form'><title>t</title><instructions>i</instructions>\
     <field var='FORM_TYPE' type='hidden'><value>urn:f</value></field>\
     <field var='v' type='list-multi' label='l'><desc>d</desc><required/><value>1</value>\
     <value>2</value><option label='o'><value>1</value></option><e xmlns='urn:e'/></field>\
     <field type='fixed'><value>f</value></field>\
     <reported><field var='c' type='jid-single'/></reported>\
     <item><field var='c'><value>a@example.org</value></field></item><item/></x>",
    "<x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE' type='hidden'>\
     <value>http://jabber.org/protocol/pubsub#node_config</value></field>\
     <field var='pubsub#access_model'><value>open</value></field>\
     <field var='pubsub#max_items'><value>max</value></field>\
     <field var='pubsub#contact'><value>a</value><value>b/ </value></field>\
     <field var='pubsub#persist_items'><value>1</value></field><field var='o'/></x>",
    "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
     <value>urn:xmpp:mam:2</value></field><field var='with'><value>a</value></field>\
     <field var='ids'><value>1</value><value>2</value></field></x>",
    "<set xmlns='http://jabber.org/protocol/rsm'><max>10</max><after>u</after></set>",
    "<set xmlns='http://jabber.org/protocol/rsm'><before/><index>3</index></set>",
    "<set xmlns='http://jabber.org/protocol/rsm'><first index='0'>a</first><last>b</last>\
     <count>9</count></set>",
    "<query xmlns='jabber:iq:roster' ver='7'><item jid='a@example.org/ ' name='n' \
     subscription='both' ask='subscribe' approved='true'><group>g</group><group>h</group></item>\
     <item jid='b'/></query>",
    "<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='t' from='a'>r\
     </delay><message xmlns='jabber:client' to='a'><body>b</body></message></forwarded>",
    "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
     <iq xmlns='jabber:server'/></forwarded></sent>",
    "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></received>",
    "<query xmlns='urn:xmpp:mam:2' queryid='q' node='n'><x xmlns='jabber:x:data' type='submit'/>\
     <set xmlns='http://jabber.org/protocol/rsm'><max>1</max></set><flip-page/></query>",
    "<result xmlns='urn:xmpp:mam:2' queryid='q' id='u'><forwarded xmlns='urn:xmpp:forward:0'>\
     <message xmlns='jabber:client'/></forwarded></result>",
    "<fin xmlns='urn:xmpp:mam:2' complete='true' stable='0'>\
     <set xmlns='http://jabber.org/protocol/rsm'><count>0</count></set></fin>",
    "<metadata xmlns='urn:xmpp:mam:2'><start id='a' timestamp='t'/><end id='b' timestamp='u'/>\
     </metadata>",
    "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>a@example.org</jid></always>\
     <never><jid>example.org/ </jid><jid>b</jid></never></prefs>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='n'/><configure>\
     <x xmlns='jabber:x:data' type='submit'/></configure></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='n' jid='a'/><options>\
     <x xmlns='jabber:x:data' type='submit'/></options></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><unsubscribe node='n' jid='a' subid='s'/>\
     </pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><options node='n' jid='a' subid='s'>\
     <x xmlns='jabber:x:data' type='form'/></options></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><default node='n'>\
     <x xmlns='jabber:x:data' type='form'/></default></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n' max_items='2' subid='s'>\
     <item id='i' publisher='a'><p xmlns='urn:p'/></item><item id='j'/></items>\
     <set xmlns='http://jabber.org/protocol/rsm'><first>i</first><last>j</last></set></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item id='i'>\
     <p xmlns='urn:p'/></item></publish><publish-options><x xmlns='jabber:x:data' type='submit'/>\
     </publish-options></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='n' notify='1'>\
     <item id='i'/></retract></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscriptions node='n'>\
     <subscription node='n' jid='a' subid='s' subscription='pending' expiry='t'>\
     <subscribe-options><required/></subscribe-options></subscription></subscriptions></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscription jid='a'/></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><affiliations node='n'>\
     <affiliation node='n' affiliation='publish-only'/></affiliations></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='n'>\
     <x xmlns='jabber:x:data' type='form'/></configure></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><default>\
     <x xmlns='jabber:x:data' type='form'/></default></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><delete node='n'>\
     <redirect uri='u'/></delete></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><purge node='n'/></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><subscriptions node='n'>\
     <subscription jid='a' subid='s' subscription='none'/></subscriptions></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><affiliations node='n'>\
     <affiliation jid='a' affiliation='owner'/></affiliations></pubsub>",
    "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'><item id='i' \
     publisher='a'><p xmlns='urn:p'/></item><retract id='j'/></items></event>",
    "<event xmlns='http://jabber.org/protocol/pubsub#event'><collection node='c'>\
     <associate node='n'><x xmlns='jabber:x:data' type='result'/></associate></collection></event>",
    "<event xmlns='http://jabber.org/protocol/pubsub#event'><configuration node='n'>\
     <x xmlns='jabber:x:data' type='result'/></configuration></event>",
    "<event xmlns='http://jabber.org/protocol/pubsub#event'><delete node='n'>\
     <redirect uri='u'/></delete></event>",
    "<event xmlns='http://jabber.org/protocol/pubsub#event'><subscription node='n' jid='a' \
     subid='s' subscription='subscribed' expiry='t'/></event>",
    "<unsupported xmlns='http://jabber.org/protocol/pubsub#errors' feature='f'/>",
    "<x xmlns='http://jabber.org/protocol/muc'><history maxchars='1' maxstanzas='2' seconds='3' \
     since='t'/><password>p</password></x>",
    "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='none' \
     jid='a' nick='n'><actor jid='a' nick='m'/><reason>r</reason></item>\
     <invite from='a' to='b'><reason>r</reason><continue thread='t'/></invite>\
     <decline from='a' to='b'><reason>r</reason></decline><destroy jid='c'><password>p</password>\
     <reason>r</reason></destroy><password>p</password><status code='110'/><status code='999'/></x>",
    "<query xmlns='http://jabber.org/protocol/muc#admin'><item role='visitor' nick='n'/></query>",
    "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy jid='c'><reason>r</reason>\
     </destroy></query>",
    "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='cancel'/>\
     </query>",
];

/// Values that mean something somewhere.
const VALUES: &[&str] = &[
    "",
    " ",
    "0",
    "1",
    "-1",
    "110",
    "1000",
    "4294967296",
    "true",
    "false",
    "a@example.org/ ",
    "@",
    "none",
    "owner",
    "member",
    "both",
    "form",
    "submit",
    "hidden",
    "fixed",
    "FORM_TYPE",
];

/// What becomes of one element of the tree.
#[derive(Debug, Clone)]
enum Edit {
    Lose,
    Double,
    LoseAttribute(Index),
    SetAttribute(Index, &'static str),
    SetText(&'static str),
    Adopt(Element),
}

fn edit() -> impl Strategy<Value = Edit> {
    let value = || prop::sample::select(VALUES);
    let adopted = (prop::sample::select(SEEDS), any::<Index>()).prop_map(|(seed, which)| {
        let seed = element(seed);
        let count = seed.children().count();
        match count {
            0 => seed,
            _ => seed.children().nth(which.index(count)).unwrap().clone(),
        }
    });
    prop_oneof![
        Just(Edit::Lose),
        Just(Edit::Double),
        any::<Index>().prop_map(Edit::LoseAttribute),
        (any::<Index>(), value()).prop_map(|(which, value)| Edit::SetAttribute(which, value)),
        value().prop_map(Edit::SetText),
        adopted.prop_map(Edit::Adopt),
    ]
}

fn size(element: &Element) -> usize {
    1 + element.children().map(size).sum::<usize>()
}

/// The tree with `edit` done to the element at `at`, counted from the root in document
/// order; the root itself stays where it is.
fn edited(element: &Element, at: usize, edit: &Edit) -> Element {
    let here = at == 0;
    let mut copy = Element::try_new(element.name(), element.ns()).unwrap();
    let attributes = element.attrs().count();
    for (nth, attribute) in element.attrs().enumerate() {
        let is = |which: &Index| here && which.index(attributes) == nth;
        let value = match edit {
            Edit::LoseAttribute(which) if is(which) => continue,
            Edit::SetAttribute(which, value) if is(which) => Text::from_static(value),
            _ => attribute.value().clone(),
        };
        copy.try_set_attr(attribute.ns(), attribute.name(), value)
            .unwrap();
    }
    if let (true, Edit::SetText(text)) = (here, edit) {
        return copy.with_text(Text::from_static(text));
    }
    let mut next = 1;
    for node in element.nodes() {
        let child = match node {
            Node::Text(text) => {
                copy.push_text(text.clone());
                continue;
            }
            Node::Element(child) => child,
        };
        match (at == next, edit) {
            (true, Edit::Lose) => {}
            (true, Edit::Double) => copy = copy.with_children([child.clone(), child.clone()]),
            _ if (next..next + size(child)).contains(&at) => {
                copy.push(edited(child, at - next, edit));
            }
            _ => copy.push(child.clone()),
        }
        next += size(child);
    }
    if let (true, Edit::Adopt(adopted)) = (here, edit) {
        copy.push(adopted.clone());
    }
    copy
}

fn mutant() -> impl Strategy<Value = Element> {
    let edits = vec((any::<Index>(), edit()), 0..4);
    (prop::sample::select(SEEDS), edits).prop_map(|(seed, edits)| {
        edits.iter().fold(element(seed), |tree, (at, edit)| {
            edited(&tree, at.index(size(&tree)), edit)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_read_from_a_mutant_comes_back(mutant in mutant()) {
        journey::element_survives(&mutant, Limits::default());
    }
}
