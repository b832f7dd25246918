//! Services put together by hand, over the embedded hub: requests and their answers, rows
//! that outlive the process, messages that a service claims.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]

mod support;

use std::collections::VecDeque;

use stanchion_reliability::engine::Now;
use stanchion_reliability::session::Outgoing;
use stanchion_services::disco::{self, Disco};
use stanchion_services::ping::{Pings, ping};
use stanchion_services::service::Change;
use stanchion_services::{HostBuilder, Input, Output, Request, RequestError, Service, Taken};
use stanchion_stanza::payload::delivery::place_of;
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::{Element, Message, Text, ns};
use support::{Device, Server, soon};

fn with_ping() -> HostBuilder {
    let mut services = HostBuilder::new();
    services.add(Disco::default());
    services.add(Pings::default());
    services
}

#[tokio::test]
async fn requests_are_answered_by_services_or_refused() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let lamp = Device::start(&server, "lamp", &folder.path().join("l"), with_ping()).await;
    let phone = Device::start(&server, "phone", &folder.path().join("p"), with_ping()).await;
    let (ask, lamp_is) = (phone.host.requests(), lamp.jid());

    soon(ping(&ask, Some(lamp_is.clone()))).await.unwrap();

    let info = soon(disco::info(&ask, lamp_is.clone(), None))
        .await
        .unwrap();
    assert!(info.has(ns::PING) && info.has(ns::DISCO_INFO), "{info:?}");
    assert!(place_of(&info).is_some(), "the delivery protocol is spoken");
    let node = Some(Text::from_static("urn:example:node"));
    let refused = soon(disco::info(&ask, lamp_is, node)).await.unwrap_err();
    assert_eq!(
        refused.refusal().map(|error| error.condition),
        Some(DefinedCondition::ItemNotFound)
    );

    let nobody = "lamp@home.example/nobody".parse().unwrap();
    let refused = soon(ping(&ask, Some(nobody))).await.unwrap_err();
    assert!(matches!(refused, RequestError::Refused { .. }), "{refused}");

    lamp.stop().await;
    phone.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_request_waits_for_the_stream_and_its_time_counts() {
    let server = Server::start(&["lamp"]).await;
    let folder = tempfile::tempdir().unwrap();
    let lamp = Device::begin(&server, "lamp", &folder.path().join("l"), with_ping()).await;
    soon(ping(&lamp.host.requests(), None)).await.unwrap();
    let requests = lamp.host.requests();
    lamp.stop().await;
    let ended = soon(ping(&requests, None)).await.unwrap_err();
    assert_eq!(ended, RequestError::Closed);
    server.stop().await;
}

/// Counts what it is called for, and keeps the count; claims what says so.
#[derive(Debug, Default)]
struct Counter {
    count: u8,
    outputs: VecDeque<Output<u8>>,
}

impl Counter {
    fn count(&mut self) -> u8 {
        self.count += 1;
        let (key, value) = ("count".to_owned(), vec![self.count]);
        self.outputs.push_back(Output::Keep {
            tag: Some(u64::from(self.count)),
            changes: vec![Change::Put { key, value }],
        });
        self.count
    }
}

impl Service for Counter {
    const NAME: &'static str = "counter";
    type Event = u8;

    fn features(&self) -> Vec<Text> {
        vec![Text::from_static("urn:example:counter")]
    }

    fn restore(&mut self, key: &str, value: &[u8]) {
        if let ("count", [count]) = (key, value) {
            self.count = *count;
        }
    }

    fn handle(&mut self, _now: Now, input: Input<'_>) -> Taken {
        if let Input::Kept { tag } = input {
            self.outputs.push_back(Output::Event(tag as u8));
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<u8> {
        self.outputs.pop_front().unwrap_or(Output::Wait(None))
    }

    fn claims(&self, message: &Message) -> bool {
        message.body().as_deref() == Some("for the counter")
    }
}

#[tokio::test]
async fn what_a_service_keeps_is_there_in_its_next_life() {
    let server = Server::start(&["lamp"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("l");
    for expected in [1, 2, 3] {
        let mut services = HostBuilder::new();
        let counter = services.add(Counter::default());
        let lamp = Device::begin(&server, "lamp", &file, services).await;
        let mut kept = counter.events();
        let count = soon(counter.call(|counter, _| counter.count())).await;
        assert_eq!(count, Ok(expected));
        assert_eq!(soon(kept.recv()).await, Ok(expected));
        lamp.stop().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_claimed_message_goes_to_its_service_and_others_to_the_application() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut services = HostBuilder::new();
    let (_counter, mut claimed) = services.add_claiming(Counter::default());
    let mut lamp = Device::start(&server, "lamp", &folder.path().join("l"), services).await;
    let phone = Device::start(&server, "phone", &folder.path().join("p"), with_ping()).await;
    let sender = phone.session.sender();
    for body in ["for the counter", "for all"] {
        let to = "lamp@home.example".parse().unwrap();
        sender
            .send(Outgoing::text(to, body).unwrap())
            .await
            .unwrap();
    }
    let own = soon(claimed.recv()).await.unwrap();
    assert_eq!(own.message().body().as_deref(), Some("for the counter"));
    own.commit_durably().await.unwrap();
    let other = soon(lamp.incoming.recv()).await.unwrap();
    assert_eq!(other.message().body().as_deref(), Some("for all"));
    other.commit_durably().await.unwrap();
    lamp.stop().await;
    phone.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_request_of_an_unknown_kind_is_refused_by_name_of_its_sender() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let lamp = Device::start(&server, "lamp", &folder.path().join("l"), with_ping()).await;
    let phone = Device::start(&server, "phone", &folder.path().join("p"), with_ping()).await;
    let odd = Element::new("odd", "urn:example:odd");
    let request = Request::set(Some(lamp.jid()), odd);
    let error = soon(phone.host.requests().ask(request)).await.unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with("lamp@home.example/"), "{said}");
    assert!(said.ends_with("refused: service-unavailable"), "{said}");
    lamp.stop().await;
    phone.stop().await;
    server.stop().await;
}
