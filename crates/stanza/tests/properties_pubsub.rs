//! Publish-subscribe (XEP-0060) on generated values: what was written is read as it was.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod given;
mod laws;

use given::values;
use laws::travels;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stanchion_stanza::Text;
use stanchion_stanza::payload::forms::{Form, FormType};
use stanchion_stanza::payload::pubsub::{
    AccessModel, Affiliation, Answer, Configurable, Event, Item, Limit, Membership, NodeConfig,
    Owner, OwnerSubscription, PublishOptions, Request, Subscription, SubscriptionState,
};

fn some_form() -> impl Strategy<Value = Option<Form>> {
    option::of(values::form())
}

fn some_text() -> impl Strategy<Value = Option<Text>> {
    option::of(values::text())
}

fn item() -> impl Strategy<Value = Item> {
    let parts = (
        some_text(),
        option::of(values::jid()),
        option::of(values::element()),
    );
    parts.prop_map(|(id, publisher, payload)| Item {
        id,
        publisher,
        payload,
    })
}

fn subscription() -> impl Strategy<Value = Subscription> {
    let options = prop::sample::select(vec![Configurable::Optional, Configurable::Required]);
    (
        values::jid(),
        (some_text(), some_text(), some_text()),
        option::of(prop::sample::select(SubscriptionState::ALL)),
        option::of(options),
    )
        .prop_map(
            |(jid, (node, subid, expiry), state, options)| Subscription {
                jid,
                node,
                subid,
                state,
                expiry,
                options,
            },
        )
}

fn affiliation() -> impl Strategy<Value = Affiliation> {
    prop::sample::select(Affiliation::ALL)
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (some_text(), some_form())
            .prop_map(|(node, configure)| Request::Create { node, configure }),
        (values::jid(), some_text(), some_form())
            .prop_map(|(jid, node, options)| Request::Subscribe { jid, node, options }),
        (values::jid(), some_text(), some_text())
            .prop_map(|(jid, node, subid)| Request::Unsubscribe { jid, node, subid }),
        (values::jid(), some_text(), some_text(), some_form()).prop_map(
            |(jid, node, subid, form)| Request::Options {
                jid,
                node,
                subid,
                form,
            }
        ),
        some_text().prop_map(|node| Request::DefaultOptions { node }),
        (
            values::text(),
            any::<Option<u32>>(),
            some_text(),
            vec(values::text(), 0..3),
            option::of(values::page_request()),
        )
            .prop_map(|(node, max_items, subid, ids, page)| Request::Items {
                node,
                max_items,
                subid,
                ids,
                page,
            }),
        (values::text(), vec(item(), 0..3), some_form()).prop_map(|(node, items, options)| {
            Request::Publish {
                node,
                items,
                options,
            }
        }),
        (values::text(), vec(values::text(), 0..3), any::<bool>())
            .prop_map(|(node, ids, notify)| Request::Retract { node, ids, notify }),
        some_text().prop_map(|node| Request::Subscriptions { node }),
        some_text().prop_map(|node| Request::Affiliations { node }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::Empty),
        values::text().prop_map(|node| Answer::Created { node }),
        subscription().prop_map(Answer::Subscribed),
        (values::jid(), some_text(), some_text(), some_form()).prop_map(
            |(jid, node, subid, form)| Answer::Options {
                jid,
                node,
                subid,
                form,
            }
        ),
        (some_text(), some_form()).prop_map(|(node, form)| Answer::DefaultOptions { node, form }),
        (
            values::text(),
            vec(item(), 0..3),
            option::of(values::page())
        )
            .prop_map(|(node, items, page)| Answer::Items { node, items, page }),
        (values::text(), vec(values::text(), 0..3))
            .prop_map(|(node, ids)| Answer::Published { node, ids }),
        (some_text(), vec(subscription(), 0..3)).prop_map(|(node, subscriptions)| {
            Answer::Subscriptions {
                node,
                subscriptions,
            }
        }),
        (some_text(), vec((values::text(), affiliation()), 0..3))
            .prop_map(|(node, affiliations)| Answer::Affiliations { node, affiliations }),
    ]
}

fn owner_request() -> impl Strategy<Value = Owner> {
    let state = prop::sample::select(SubscriptionState::ALL);
    let subscription = (values::jid(), some_text(), state)
        .prop_map(|(jid, subid, state)| OwnerSubscription { jid, subid, state });
    prop_oneof![
        (values::text(), some_form()).prop_map(|(node, form)| Owner::Configure { node, form }),
        some_form().prop_map(|form| Owner::Default { form }),
        (values::text(), some_text()).prop_map(|(node, redirect)| Owner::Delete { node, redirect }),
        values::text().prop_map(|node| Owner::Purge { node }),
        (some_text(), vec(subscription, 0..3)).prop_map(|(node, subscriptions)| {
            Owner::Subscriptions {
                node,
                subscriptions,
            }
        }),
        (values::text(), vec((values::jid(), affiliation()), 0..3))
            .prop_map(|(node, affiliations)| Owner::Affiliations { node, affiliations }),
    ]
}

fn membership() -> impl Strategy<Value = Membership> {
    prop_oneof![
        (values::text(), some_form())
            .prop_map(|(node, form)| Membership::Associated { node, form }),
        values::text().prop_map(|node| Membership::Dissociated { node }),
    ]
}

fn notification() -> impl Strategy<Value = Event> {
    prop_oneof![
        (values::text(), vec(item(), 0..3), vec(values::text(), 0..3)).prop_map(
            |(node, items, retracted)| Event::Items {
                node,
                items,
                retracted,
            }
        ),
        (some_text(), membership()).prop_map(|(node, change)| Event::Collection { node, change }),
        (some_text(), some_form()).prop_map(|(node, form)| Event::Configuration { node, form }),
        (values::text(), some_text()).prop_map(|(node, redirect)| Event::Delete { node, redirect }),
        values::text().prop_map(|node| Event::Purge { node }),
        subscription().prop_map(Event::Subscription),
    ]
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![Just(Limit::Max), any::<u64>().prop_map(Limit::At)]
}

fn node_config() -> impl Strategy<Value = NodeConfig> {
    let model = prop_oneof![
        Just(AccessModel::Open),
        Just(AccessModel::Roster),
        Just(AccessModel::Other(Text::from_static("lottery"))),
    ];
    (
        option::of(model),
        option::of(vec(values::jid(), 0..3)),
        option::of(limit()),
        any::<Option<bool>>(),
        any::<Option<u64>>(),
        (some_text(), option::of(vec(values::text(), 0..3))),
    )
        .prop_map(
            |(access_model, contact, max_items, persist_items, max_payload_size, texts)| {
                NodeConfig {
                    access_model,
                    contact,
                    max_items,
                    persist_items,
                    max_payload_size,
                    title: texts.0,
                    roster_groups_allowed: texts.1,
                    ..NodeConfig::default()
                }
            },
        )
}

proptest! {
    #[test]
    fn requests_come_back_as_they_went(request in request()) {
        travels(&request);
    }

    #[test]
    fn answers_come_back_as_they_went(answer in answer()) {
        travels(&answer);
    }

    #[test]
    fn an_owners_requests_come_back_as_they_went(request in owner_request()) {
        travels(&request);
    }

    #[test]
    fn notifications_come_back_as_they_went(event in notification()) {
        travels(&event);
    }

    #[test]
    fn configurations_come_back_as_they_went(
        config in node_config(),
        kind in prop::sample::select(FormType::ALL),
    ) {
        let form = config.to_form(kind);
        travels(&form);
        prop_assert_eq!(NodeConfig::from_form(&form), Ok(config.clone()));
        let options = PublishOptions(config);
        prop_assert_eq!(PublishOptions::from_form(&options.to_form()), Ok(options));
    }
}
