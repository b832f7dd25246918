//! Publish-subscribe (XEP-0060): read, written, refused.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod given;

use given::examples::{child_lacks, element, invalid, no_address, read, same, text};
use stanchion_stanza::payload::PayloadError;
use stanchion_stanza::payload::forms::{Field, FieldType, Form, FormType};
use stanchion_stanza::payload::pubsub::{
    AccessModel, Affiliation, Answer, Condition, Configurable, Event, Fault, Item, Limit,
    Membership, MetaData, NodeConfig, NodeFull, Owner, OwnerSubscription, PublishModel,
    PublishOptions, Request, SendLast, SubscribeAuthorization, SubscribeOptions, Subscription,
    SubscriptionDepth, SubscriptionState,
};
use stanchion_stanza::payload::rsm::{Page, PageRequest, Position, Range};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};
use stanchion_stanza::{Element, Jid, Payload};

fn pubsub(content: &str) -> String {
    format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{content}</pubsub>")
}

fn owner(content: &str) -> String {
    format!("<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>{content}</pubsub>")
}

fn event(content: &str) -> String {
    format!("<event xmlns='http://jabber.org/protocol/pubsub#event'>{content}</event>")
}

const READING: &str = "<reading xmlns='urn:example:thing'>21.5</reading>";

fn reading() -> Element {
    element(READING)
}

fn meter() -> Jid {
    "meter@example.org".parse().unwrap()
}

fn form(about: &str, fields: &str) -> String {
    format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
         <value>http://jabber.org/protocol/pubsub#{about}</value></field>{fields}</x>"
    )
}

const PRIVATE: &str = "<field var='pubsub#access_model'><value>whitelist</value></field>";

fn private() -> NodeConfig {
    NodeConfig {
        access_model: Some(AccessModel::Whitelist),
        ..NodeConfig::default()
    }
}

// Requests.

#[test]
fn a_node_is_created_and_configured() {
    same(
        &pubsub("<create/>"),
        Request::Create {
            node: None,
            configure: None,
        },
    );
    let config = form("node_config", PRIVATE);
    same(
        &pubsub(&format!(
            "<create node='n'/><configure>{config}</configure>"
        )),
        Request::Create {
            node: Some(text("n")),
            configure: Some(private().to_form(FormType::Submit)),
        },
    );
    let defaults = read(&pubsub("<create node='n'/><configure/>"));
    let plain = Request::Create {
        node: Some(text("n")),
        configure: None,
    };
    assert_eq!(defaults, Ok(plain));
}

#[test]
fn a_subscription_begins_and_ends() {
    let options = SubscribeOptions {
        deliver: Some(true),
        show_values: Some(vec![text("online"), text("away")]),
        ..SubscribeOptions::default()
    };
    let fields = "<field var='pubsub#deliver'><value>true</value></field>\
         <field var='pubsub#show-values'><value>online</value><value>away</value></field>";
    let options_form = form("subscribe_options", fields);
    let subscribe = |options| Request::Subscribe {
        jid: meter(),
        node: Some(text("n")),
        options,
    };
    let xml = "<subscribe node='n' jid='meter@example.org'/>";
    same(&pubsub(xml), subscribe(None));
    let at_once = subscribe(Some(options.to_form(FormType::Submit)));
    let with_options = pubsub(&format!("{xml}<options>{options_form}</options>"));
    same(&with_options, at_once.clone());
    // In any order, the options belong to the subscription.
    let reversed = pubsub(&format!("<options>{options_form}</options>{xml}"));
    assert_eq!(read(&reversed), Ok(at_once));
    same(
        &pubsub("<unsubscribe node='n' jid='meter@example.org' subid='s'/>"),
        Request::Unsubscribe {
            jid: meter(),
            node: Some(text("n")),
            subid: Some(text("s")),
        },
    );
    let asked = |form| Request::Options {
        jid: meter(),
        node: Some(text("n")),
        subid: Some(text("s")),
        form,
    };
    let attributes = "node='n' jid='meter@example.org' subid='s'";
    same(&pubsub(&format!("<options {attributes}/>")), asked(None));
    same(
        &pubsub(&format!("<options {attributes}>{options_form}</options>")),
        asked(Some(options.to_form(FormType::Submit))),
    );
    same(
        &pubsub("<default node='n'/>"),
        Request::DefaultOptions {
            node: Some(text("n")),
        },
    );
}

#[test]
fn items_are_published_retracted_and_asked_for() {
    let publish = |items, options: Option<PublishOptions>| Request::Publish {
        node: text("n"),
        items,
        options: options.map(|o| o.to_form()),
    };
    same(&pubsub("<publish node='n'/>"), publish(Vec::new(), None));
    let options = form("publish-options", PRIVATE);
    same(
        &pubsub(&format!(
            "<publish node='n'><item id='i'>{READING}</item></publish>\
             <publish-options>{options}</publish-options>"
        )),
        publish(
            vec![Item::of(Some(text("i")), reading())],
            Some(PublishOptions(private())),
        ),
    );
    same(
        &pubsub("<retract node='n' notify='true'><item id='i'/><item id='j'/></retract>"),
        Request::Retract {
            node: text("n"),
            ids: vec![text("i"), text("j")],
            notify: true,
        },
    );
    let items = |max_items, ids, page| Request::Items {
        node: text("n"),
        max_items,
        subid: None,
        ids,
        page,
    };
    same(&pubsub("<items node='n'/>"), items(None, Vec::new(), None));
    same(
        &pubsub("<items node='n' max_items='2'/>"),
        items(Some(2), Vec::new(), None),
    );
    same(
        &pubsub("<items node='n'><item id='i'/></items>"),
        items(None, vec![text("i")], None),
    );
    let set = "<set xmlns='http://jabber.org/protocol/rsm'><max>5</max><before/></set>";
    same(
        &pubsub(&format!("<items node='n'/>{set}")),
        items(None, Vec::new(), Some(PageRequest::of(5, Position::Last))),
    );
    same(
        &pubsub("<subscriptions/>"),
        Request::Subscriptions { node: None },
    );
    same(
        &pubsub("<affiliations node='n'/>"),
        Request::Affiliations {
            node: Some(text("n")),
        },
    );
}

#[test]
fn a_broken_request_is_refused_by_the_name_of_what_it_lacks() {
    for (content, kind, attribute) in [
        ("<subscribe node='n'/>", "subscribe", "jid"),
        ("<unsubscribe node='n'/>", "unsubscribe", "jid"),
        ("<options node='n'/>", "options", "jid"),
        ("<items/>", "items", "node"),
        ("<items node='n'><item/></items>", "item", "id"),
        ("<publish/>", "publish", "node"),
        ("<retract><item id='i'/></retract>", "retract", "node"),
        ("<retract node='n'><item/></retract>", "item", "id"),
    ] {
        child_lacks::<Request>(&pubsub(content), kind, attribute);
    }
    for (content, kind, what) in [
        ("", "pubsub", "request"),
        ("<dance/>", "pubsub", "request"),
        ("<items node='n' max_items='all'/>", "items", "max_items"),
        ("<retract node='n' notify='yes'/>", "retract", "notify"),
    ] {
        invalid::<Request>(&pubsub(content), kind, what);
    }
    no_address::<Request>(&pubsub("<subscribe jid='@'/>"), "subscribe");
    let two = format!("<publish node='n'><item>{READING}{READING}</item></publish>");
    invalid::<Request>(&pubsub(&two), "item", "payload");
    let broken = "<publish node='n'/><publish-options><x xmlns='jabber:x:data'/></publish-options>";
    child_lacks::<Request>(&pubsub(broken), "x", "type");
}

// Answers.

#[test]
fn a_service_answers_with_what_was_done() {
    same(&pubsub(""), Answer::Empty);
    same(
        &pubsub("<create node='n'/>"),
        Answer::Created { node: text("n") },
    );
    same(
        &pubsub("<publish node='n'><item id='i'/></publish>"),
        Answer::Published {
            node: text("n"),
            ids: vec![text("i")],
        },
    );
    let subscription = |options| Subscription {
        node: Some(text("n")),
        subid: Some(text("s")),
        state: Some(SubscriptionState::Unconfigured),
        options,
        ..Subscription::new(meter())
    };
    let attributes = "node='n' jid='meter@example.org' subid='s' subscription='unconfigured'";
    for (options, configurable) in [
        ("", None),
        ("<subscribe-options/>", Some(Configurable::Optional)),
        (
            "<subscribe-options><required/></subscribe-options>",
            Some(Configurable::Required),
        ),
    ] {
        same(
            &pubsub(&format!(
                "<subscription {attributes}>{options}</subscription>"
            )),
            Answer::Subscribed(subscription(configurable)),
        );
    }
}

#[test]
fn a_service_answers_with_what_was_asked_for() {
    let set = "<set xmlns='http://jabber.org/protocol/rsm'><first>i</first><last>j</last></set>";
    let page = Page {
        range: Some(Range {
            first: text("i"),
            index: None,
            last: text("j"),
        }),
        count: None,
    };
    let second = Item {
        publisher: Some(meter()),
        ..Item::named(text("j"))
    };
    same(
        &pubsub(&format!(
            "<items node='n'><item id='i'>{READING}</item>\
             <item id='j' publisher='meter@example.org'/></items>{set}"
        )),
        Answer::Items {
            node: text("n"),
            items: vec![Item::of(Some(text("i")), reading()), second],
            page: Some(page),
        },
    );
    let subscribed = Subscription {
        node: Some(text("n")),
        state: Some(SubscriptionState::Subscribed),
        ..Subscription::new(meter())
    };
    same(
        &pubsub(
            "<subscriptions><subscription node='n' jid='meter@example.org' \
             subscription='subscribed'/></subscriptions>",
        ),
        Answer::Subscriptions {
            node: None,
            subscriptions: vec![subscribed],
        },
    );
    same(
        &pubsub(
            "<affiliations><affiliation node='n' affiliation='owner'/>\
             <affiliation node='m' affiliation='publish-only'/></affiliations>",
        ),
        Answer::Affiliations {
            node: None,
            affiliations: vec![
                (text("n"), Affiliation::Owner),
                (text("m"), Affiliation::PublishOnly),
            ],
        },
    );
    let options = SubscribeOptions {
        subscription_depth: Some(SubscriptionDepth::All),
        ..SubscribeOptions::default()
    };
    let fields = "<field var='pubsub#subscription_depth'><value>all</value></field>";
    let xml = form("subscribe_options", fields);
    same(
        &pubsub(&format!(
            "<options node='n' jid='meter@example.org'>{xml}</options>"
        )),
        Answer::Options {
            jid: meter(),
            node: Some(text("n")),
            subid: None,
            form: Some(options.to_form(FormType::Submit)),
        },
    );
    same(
        &pubsub(&format!("<default>{xml}</default>")),
        Answer::DefaultOptions {
            node: None,
            form: Some(options.to_form(FormType::Submit)),
        },
    );
}

#[test]
fn a_broken_answer_is_refused() {
    for (content, kind, attribute) in [
        ("<create/>", "create", "node"),
        ("<subscription node='n'/>", "subscription", "jid"),
        ("<items/>", "items", "node"),
        ("<publish node='n'><item/></publish>", "item", "id"),
        (
            "<affiliations><affiliation node='n'/></affiliations>",
            "affiliation",
            "affiliation",
        ),
        (
            "<affiliations><affiliation affiliation='owner'/></affiliations>",
            "affiliation",
            "node",
        ),
    ] {
        child_lacks::<Answer>(&pubsub(content), kind, attribute);
    }
    let state = "<subscription jid='a' subscription='perhaps'/>";
    invalid::<Answer>(&pubsub(state), "subscription", "subscription");
    let item = "<items node='n'><item publisher='@'/></items>";
    no_address::<Answer>(&pubsub(item), "item");
}

// The owner.

#[test]
fn an_owner_configures_empties_and_deletes_a_node() {
    let configure = |form| Owner::Configure {
        node: text("n"),
        form,
    };
    same(&owner("<configure node='n'/>"), configure(None));
    let config = form("node_config", PRIVATE);
    same(
        &owner(&format!("<configure node='n'>{config}</configure>")),
        configure(Some(private().to_form(FormType::Submit))),
    );
    same(&owner("<default/>"), Owner::Default { form: None });
    same(
        &owner("<delete node='n'><redirect uri='xmpp:a@b?;node=m'/></delete>"),
        Owner::Delete {
            node: text("n"),
            redirect: Some(text("xmpp:a@b?;node=m")),
        },
    );
    same(
        &owner("<purge node='n'/>"),
        Owner::Purge { node: text("n") },
    );
}

#[test]
fn an_owner_sees_and_changes_who_is_what() {
    let pending = OwnerSubscription {
        jid: meter(),
        subid: Some(text("s")),
        state: SubscriptionState::Pending,
    };
    same(
        &owner(
            "<subscriptions node='n'><subscription jid='meter@example.org' subid='s' \
             subscription='pending'/></subscriptions>",
        ),
        Owner::Subscriptions {
            node: Some(text("n")),
            subscriptions: vec![pending],
        },
    );
    // As Prosody answers.
    let subscribed = OwnerSubscription {
        jid: meter(),
        subid: None,
        state: SubscriptionState::Subscribed,
    };
    assert_eq!(
        read::<Owner>(&owner(
            "<subscriptions><subscription node='n' jid='meter@example.org' \
             subscription='subscribed'/></subscriptions>",
        )),
        Ok(Owner::Subscriptions {
            node: Some(text("n")),
            subscriptions: vec![subscribed],
        })
    );
    same(
        &owner("<subscriptions/>"),
        Owner::Subscriptions {
            node: None,
            subscriptions: Vec::new(),
        },
    );
    for affiliation in Affiliation::ALL {
        let xml = format!(
            "<affiliations node='n'><affiliation jid='meter@example.org' affiliation='{}'/>\
             </affiliations>",
            affiliation.as_str()
        );
        same(
            &owner(&xml),
            Owner::Affiliations {
                node: text("n"),
                affiliations: vec![(meter(), *affiliation)],
            },
        );
    }
    for kind in ["configure", "delete", "purge", "affiliations"] {
        child_lacks::<Owner>(&owner(&format!("<{kind}/>")), kind, "node");
    }
    let list = |item: &str| owner(&format!("<affiliations node='n'>{item}</affiliations>"));
    let king = list("<affiliation jid='a' affiliation='king'/>");
    invalid::<Owner>(&king, "affiliation", "affiliation");
    child_lacks::<Owner>(
        &list("<affiliation jid='a'/>"),
        "affiliation",
        "affiliation",
    );
    child_lacks::<Owner>(
        &list("<affiliation affiliation='owner'/>"),
        "affiliation",
        "jid",
    );
    let redirect = owner("<delete node='n'><redirect/></delete>");
    child_lacks::<Owner>(&redirect, "redirect", "uri");
    invalid::<Owner>(&owner("<dance/>"), "pubsub", "request");
}

// Notifications.

#[test]
fn subscribers_are_told_what_a_collection_holds() {
    let collection = |content: &str| event(&format!("<collection node='c'>{content}</collection>"));
    let changed = |change| Event::Collection {
        node: Some(text("c")),
        change,
    };
    let dissociated = || changed(Membership::Dissociated { node: text("n") });
    same(
        &collection("<associate node='n'><x xmlns='jabber:x:data' type='result'/></associate>"),
        changed(Membership::Associated {
            node: text("n"),
            form: Some(Form::new(FormType::Result)),
        }),
    );
    same(&collection("<dissociate node='n'/>"), dissociated());
    assert_eq!(
        read::<Event>(&collection("<disassociate node='n'/>")),
        Ok(dissociated())
    );
    child_lacks::<Event>(&collection("<associate/>"), "associate", "node");
    child_lacks::<Event>(&collection("<dissociate/>"), "dissociate", "node");
    let missing = PayloadError::MissingChild {
        element: "collection",
        child: "associate",
    };
    assert_eq!(read::<Event>(&collection("")), Err(missing));
}

#[test]
fn subscribers_are_told_of_every_change() {
    let items = |items, retracted| Event::Items {
        node: text("n"),
        items,
        retracted,
    };
    same(
        &event(&format!(
            "<items node='n'><item id='i' publisher='meter@example.org'>{READING}</item></items>"
        )),
        items(
            vec![Item {
                publisher: Some(meter()),
                ..Item::of(Some(text("i")), reading())
            }],
            Vec::new(),
        ),
    );
    same(
        &event("<items node='n'><retract id='i'/><retract id='j'/></items>"),
        items(Vec::new(), vec![text("i"), text("j")]),
    );
    same(
        &event("<configuration node='n'/>"),
        Event::Configuration {
            node: Some(text("n")),
            form: None,
        },
    );
    same(
        &event("<delete node='n'/>"),
        Event::Delete {
            node: text("n"),
            redirect: None,
        },
    );
    same(
        &event("<purge node='n'/>"),
        Event::Purge { node: text("n") },
    );
    same(
        &event(
            "<subscription node='n' jid='meter@example.org' subscription='none' \
             expiry='2024-05-01T00:00:00Z'/>",
        ),
        Event::Subscription(Subscription {
            node: Some(text("n")),
            state: Some(SubscriptionState::None),
            expiry: Some(text("2024-05-01T00:00:00Z")),
            ..Subscription::new(meter())
        }),
    );
    child_lacks::<Event>(&event("<items/>"), "items", "node");
    child_lacks::<Event>(
        &event("<items node='n'><retract/></items>"),
        "retract",
        "id",
    );
    child_lacks::<Event>(&event("<purge/>"), "purge", "node");
    child_lacks::<Event>(&event("<delete/>"), "delete", "node");
    child_lacks::<Event>(&event("<subscription/>"), "subscription", "jid");
    invalid::<Event>(&event("<items xmlns='urn:x'/>"), "event", "change");
}

// Errors.

#[test]
fn a_condition_is_found_in_a_stanza_error() {
    let xml = "<error type='cancel'>\
        <feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
        <unsupported xmlns='http://jabber.org/protocol/pubsub#errors' feature='retrieve-items'/>\
        </error>";
    let error = read::<StanzaError>(xml).unwrap();
    let fault = Fault {
        condition: Condition::Unsupported,
        feature: Some(text("retrieve-items")),
    };
    assert_eq!(Fault::of(&error), Some(fault.clone()));
    let mut written = StanzaError::new(ErrorType::Cancel, DefinedCondition::FeatureNotImplemented);
    assert_eq!(Fault::of(&written), None);
    written.application = Some(Box::new(fault.to_element()));
    assert_eq!(written.to_element(), element(xml));
    for condition in Condition::ALL {
        let fault = Fault::from(*condition);
        assert_eq!(Fault::from_element(&fault.to_element()), Some(fault));
    }
    assert_eq!(Condition::ALL.len(), 23);
    for strange in [
        "<closed-node xmlns='urn:x'/>",
        "<no-such-thing xmlns='http://jabber.org/protocol/pubsub#errors'/>",
    ] {
        assert_eq!(Fault::from_element(&element(strange)), None);
    }
}

// Forms.

#[test]
fn a_configuration_is_read_from_a_form_to_fill_in() {
    let xml = form(
        "node_config",
        "<field var='pubsub#title' type='text-single' label='Title'><value>Meters</value></field>\
         <field var='pubsub#max_items' type='text-single'><value>max</value></field>\
         <field var='pubsub#item_expire' type='text-single'><value>604800</value></field>\
         <field var='pubsub#max_payload_size' type='text-single'><value>1028</value></field>\
         <field var='pubsub#persist_items' type='boolean'><value>1</value></field>\
         <field var='pubsub#notify_sub' type='boolean'><value/></field>\
         <field var='pubsub#access_model' type='list-single'><value>open</value>\
         <option><value>open</value></option><option><value>whitelist</value></option></field>\
         <field var='pubsub#publish_model' type='list-single'><value>lottery</value></field>\
         <field var='pubsub#publish_node_full'><value>reject</value></field>\
         <field var='pubsub#send_last_published_item'><value>on_sub_and_presence</value></field>\
         <field var='pubsub#contact' type='jid-multi'><value>a@example.org</value>\
         <value>b@example.org</value></field>\
         <field var='pubsub#type'><value>urn:example:thing</value></field>\
         <field var='urn:x#colour'><value>red</value></field>",
    )
    .replace("type='submit'", "type='form'");
    let config = NodeConfig::from_form(&read::<Form>(&xml).unwrap()).unwrap();
    let expected = NodeConfig {
        title: Some(text("Meters")),
        max_items: Some(Limit::Max),
        item_expire: Some(Limit::At(604_800)),
        max_payload_size: Some(1028),
        persist_items: Some(true),
        access_model: Some(AccessModel::Open),
        publish_model: Some(PublishModel::Other(text("lottery"))),
        publish_node_full: Some(NodeFull::Reject),
        send_last_published_item: Some(SendLast::OnSubAndPresence),
        contact: Some(vec![
            "a@example.org".parse().unwrap(),
            "b@example.org".parse().unwrap(),
        ]),
        payload_type: Some(text("urn:example:thing")),
        other: vec![Field::new(text("urn:x#colour"), text("red"))],
        ..NodeConfig::default()
    };
    assert_eq!(config, expected);
}

#[test]
fn a_broken_configuration_is_refused_by_the_name_of_its_field() {
    for (var, value) in [
        ("pubsub#persist_items", "perhaps"),
        ("pubsub#max_items", "many"),
        ("pubsub#max_items", "-1"),
        ("pubsub#max_payload_size", "1 kB"),
        ("pubsub#contact", "@"),
    ] {
        let field = format!("<field var='{var}'><value>{value}</value></field>");
        let form = read::<Form>(&form("node_config", &field)).unwrap();
        let invalid = PayloadError::Invalid {
            element: "field",
            what: var,
        };
        assert_eq!(NodeConfig::from_form(&form), Err(invalid));
    }
}

#[test]
fn no_form_is_taken_for_another() {
    let config = private().to_form(FormType::Submit);
    let not_of_type = |result: Result<(), PayloadError>| {
        let invalid = PayloadError::Invalid {
            element: "x",
            what: "FORM_TYPE",
        };
        assert_eq!(result, Err(invalid));
    };
    not_of_type(PublishOptions::from_form(&config).map(drop));
    not_of_type(SubscribeOptions::from_form(&config).map(drop));
    not_of_type(MetaData::from_form(&config).map(drop));
    not_of_type(NodeConfig::from_form(&PublishOptions(private()).to_form()).map(drop));
}

#[test]
fn an_owner_answers_a_request_to_subscribe() {
    let asked = SubscribeAuthorization {
        allow: Some(false),
        node: Some(text("n")),
        subscriber_jid: Some(meter()),
        ..SubscribeAuthorization::default()
    };
    let form = asked.to_form(FormType::Form);
    assert_eq!(
        form.field("pubsub#allow").unwrap().kind,
        Some(FieldType::Boolean)
    );
    assert_eq!(SubscribeAuthorization::from_form(&form), Ok(asked));
}
