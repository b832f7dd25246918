//! `stanchion pub`: publishes items, and says which of them the service has.

use std::collections::VecDeque;
use std::future::{Future, pending, ready};
use std::io::{IsTerminal as _, Read as _};
use std::pin::Pin;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use stanchion::services::pubsub::{NotPublished, Publication, Publisher, PublisherConfig};
use stanchion::stanza::payload::pubsub::{AccessModel, Limit, NodeConfig};
use stanchion::stanza::stanza::DefinedCondition;
use stanchion::stanza::{Element, Text};
use tokio::io::{BufReader, Stdin};
use tokio::time::Instant;

use super::{Connected, NodeArgs, item, text};
use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::interrupt::Interrupt;
use crate::kept::counted;
use crate::lines::{LONGEST, Line, Lines};
use crate::outcomes::{Outcomes, Told};
use crate::settings::{ConnectionArgs, duration};
use crate::terminal::{json_line, print};
use crate::watch;

/// Items whose confirmations are awaited at the same time.
const AT_ONCE: usize = 256;
/// Lines that share a sync of the store, if they are there already.
const TOGETHER: usize = 64;

/// Publish items at a node, in order, and wait until the service has them
#[derive(Debug, Args)]
#[command(after_help = "\
An item is XML (one element) or JSON, which goes in the container of XEP-0335. It is kept \
before it is sent, and sent again until it is known to be there; it has a number in its id, so \
that what is sent twice replaces itself and `stanchion sub` sees what is missing. What is not \
confirmed in time stays in the store, and the next command on it goes on; --give-up forgets it.

Examples:
  stanchion pub pubsub.example.org readings '{\"celsius\": 21.5}' --create
  stanchion pub pubsub.example.org state --id now '<on xmlns=\"urn:example\"/>'
  sensor-tool | stanchion pub pubsub.example.org readings -
  stanchion pub me urn:example:mood '\"glad\"'
  stanchion pub pubsub.example.org readings --give-up

Exit codes: 0 confirmed by the service, 1 a fault of this machine, 2 usage, 10 refused by the \
service, 11 not confirmed in time, 12 no connection in time, 13 refused for security or \
authentication. With 12 and 13, nothing was kept. Of several items, the worst counts.

The password is taken from STANCHION_PASSWORD, or from --password-file.")]
pub(crate) struct Command {
    #[command(flatten)]
    node: NodeArgs,
    /// The item; `-` publishes each line of the standard input (default: the whole standard
    /// input is one item)
    #[arg(value_name = "ITEM", allow_negative_numbers = true)]
    item: Option<String>,
    /// Publish nothing, and give up what earlier commands left waiting for this node; the
    /// service may have some of it
    #[arg(long, conflicts_with_all = ["item", "id", "create"])]
    give_up: bool,
    /// The item's id, in place of a numbered one: for nodes whose ids mean something, as
    /// `current`
    #[arg(long, value_name = "ID", value_parser = text)]
    id: Option<Text>,
    /// Make the node if it is not there
    #[arg(long)]
    create: bool,
    /// With --create: have the node keep its items
    #[arg(long, requires = "create")]
    persist: bool,
    /// With --create: how many items the node keeps
    #[arg(long, value_name = "N", requires = "create", value_parser = clap::value_parser!(u64).range(1..))]
    max_items: Option<u64>,
    /// With --create: who may subscribe: open, presence, roster, authorize or whitelist
    #[arg(long, value_name = "MODEL", requires = "create", value_parser = access)]
    access: Option<AccessModel>,
    /// How long to wait for the service's confirmation, of each line anew
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    within: Duration,
    /// Print one JSON object an item
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

fn access(word: &str) -> Result<AccessModel, String> {
    match word {
        "open" => Ok(AccessModel::Open),
        "presence" => Ok(AccessModel::Presence),
        "roster" => Ok(AccessModel::Roster),
        "authorize" => Ok(AccessModel::Authorize),
        "whitelist" => Ok(AccessModel::Whitelist),
        _ => Err("give one of open, presence, roster, authorize, whitelist".to_owned()),
    }
}

impl Command {
    fn publisher(&self) -> PublisherConfig {
        let mut config = PublisherConfig::default();
        config.create = self.create.then(|| NodeConfig {
            persist_items: self.persist.then_some(true),
            max_items: self.max_items.map(Limit::At),
            access_model: self.access.clone(),
            ..NodeConfig::default()
        });
        config
    }

    /// The items, with the mistakes that can be told at once.
    fn items(&self) -> Result<Items, Failure> {
        match &self.item {
            Some(item) if item == "-" => {
                if self.id.is_some() {
                    return Err(Failure::usage(
                        "--id is for one item, and - has one a line; leave out one of them",
                    ));
                }
                let input = BufReader::new(tokio::io::stdin());
                Ok(Items::Lines(Lines::new(input), 0))
            }
            Some(item) => item::read(item).map(Items::one).map_err(Failure::usage),
            None => item::read(&whole_input()?)
                .map(Items::one)
                .map_err(Failure::usage),
        }
    }
}

/// The whole standard input, which must not be a person who does not know.
fn whole_input() -> Result<String, Failure> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err(Failure::usage(
            "no item: give it as XML or JSON, or - for the lines of the standard input",
        ));
    }
    let mut text = String::new();
    let limit = LONGEST as u64 + 1;
    let read = input.lock().take(limit).read_to_string(&mut text);
    read.map_err(|e| Failure::usage(format!("standard input: {e}")))?;
    if text.len() > LONGEST {
        return Err(Failure::usage(format!(
            "the item is longer than {LONGEST} bytes; publish a reference to it"
        )));
    }
    Ok(text)
}

/// What is published.
enum Items {
    One(Option<Box<Element>>),
    Lines(Lines<BufReader<Stdin>>, u64),
}

impl Items {
    fn one(element: Element) -> Self {
        Self::One(Some(Box::new(element)))
    }

    /// The next, with its number; none at the end. Cancel-safe.
    async fn next(&mut self) -> Result<Option<(u64, Result<Element, String>)>, Failure> {
        let (lines, number) = match self {
            Self::One(item) => return Ok(item.take().map(|item| (1, Ok(*item)))),
            Self::Lines(lines, number) => (lines, number),
        };
        let line = lines.next().await;
        let line = line.map_err(|e| Failure::failed(format!("standard input: {e}")))?;
        Ok(line.map(|line| {
            *number += 1;
            let item = match line {
                Line::Text(text) => item::read(&text),
                Line::TooLong => Err(format!("the line is longer than {LONGEST} bytes")),
                Line::NotText => Err("the line is not UTF-8".to_owned()),
            };
            (*number, item)
        }))
    }

    /// The next, if it is there already.
    async fn next_now(&mut self) -> Result<Option<(u64, Result<Element, String>)>, Failure> {
        match self {
            Self::One(_) => Ok(None),
            Self::Lines(..) => tokio::select! {
                biased;
                next = self.next() => next,
                () = ready(()) => Ok(None),
            },
        }
    }
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let items = match command.give_up {
        true => Items::One(None),
        false => command.items()?,
    };
    let mut interrupt = Interrupt::watch()?;
    let connected = Connected::open(&command.node, &command.connection, &mut interrupt).await?;
    let pubsub = connected.client.pubsub();
    let opened = pubsub.publisher(
        connected.service.clone(),
        command.node.node.clone(),
        command.publisher(),
    );
    let outcome = match opened.await {
        Ok(publisher) if command.give_up => give_up(&command, &publisher).await,
        Ok(publisher) => {
            let mut publishing = Publishing::new(&command, items, publisher);
            let ended = tokio::select! {
                ended = publishing.all(&connected) => ended,
                () = interrupt.seen() => publishing.interrupted(),
            };
            publishing.conclude(ended)
        }
        Err(error) => Err(Failure::failed(one_line(&error))),
    };
    connected.close().await;
    outcome
}

async fn give_up(command: &Command, publisher: &Publisher) -> Outcome {
    let given_up = publisher.give_up().await;
    let given_up = given_up.map_err(|e| Failure::failed(one_line(&e)))?;
    let _ = print(&if command.json {
        json_line(&json!({ "outcome": "given-up", "items": given_up }))
    } else {
        format!("gave up {}", counted(given_up as u64, "item", "items"))
    })?;
    Ok(Exit::Done)
}

/// How an item ended.
enum End {
    Confirmed,
    Refused(String),
    /// There was no confirmation in time.
    Waiting(Duration),
}

struct Ended {
    number: u64,
    id: Option<Text>,
    end: Result<End, Failure>,
    took: Duration,
}

/// Items on their way.
struct Publishing<'a> {
    command: &'a Command,
    items: Items,
    publisher: Publisher,
    /// In order, as the service confirms them.
    waiting: VecDeque<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    confirmed: u64,
    refused: u64,
    open: u64,
    /// Bad is one that was not confirmed.
    outcomes: Outcomes,
}

impl<'a> Publishing<'a> {
    fn new(command: &'a Command, items: Items, publisher: Publisher) -> Self {
        let one = matches!(items, Items::One(_));
        let outcomes = Outcomes::new(command.json, one);
        Self {
            command,
            items,
            publisher,
            waiting: VecDeque::new(),
            confirmed: 0,
            refused: 0,
            open: 0,
            outcomes,
        }
    }

    /// Publishes everything, and waits for what becomes of it.
    ///
    /// # Errors
    /// Why no more could be published, if that is not the end of an item.
    async fn all(&mut self, connected: &Connected) -> Result<(), Failure> {
        let mut stopped = Ok(());
        let mut reading = true;
        while reading || !self.waiting.is_empty() {
            let room = reading && self.waiting.len() < AT_ONCE;
            tokio::select! {
                ended = first(&mut self.waiting) => {
                    self.waiting.pop_front();
                    self.report(ended)?;
                }
                next = self.items.next(), if room => match next {
                    Ok(Some(first)) => {
                        if let Err(failure) = self.publish(first).await {
                            (stopped, reading) = (Err(failure), false);
                        }
                    }
                    Ok(None) => reading = false,
                    Err(failure) => (stopped, reading) = (Err(failure), false),
                },
                failure = watch::refused(&connected.client), if reading => {
                    (stopped, reading) = (Err(failure), false);
                }
            }
        }
        stopped
    }

    /// Publishes an item, and those with it that are there already.
    async fn publish(&mut self, first: (u64, Result<Element, String>)) -> Result<(), Failure> {
        let began = Instant::now();
        let mut numbers = Vec::new();
        let mut payloads = Vec::new();
        let mut wrong = Vec::new();
        let mut next = Some(first);
        while let Some((number, item)) = next {
            match item {
                Ok(payload) => {
                    numbers.push(number);
                    payloads.push(payload);
                }
                // A line among others: the others go on. It is told in its place.
                Err(why) => wrong.push((payloads.len(), number, why)),
            }
            next = match payloads.len() < TOGETHER {
                true => self.items.next_now().await?,
                false => None,
            };
        }
        let taken = match (&self.command.id, payloads.pop()) {
            (Some(id), Some(payload)) => {
                let one = self.publisher.publish_with_id(id.clone(), payload);
                one.await.map(|one| vec![one])
            }
            (_, Some(last)) => {
                payloads.push(last);
                self.publisher.publish_all(payloads).await
            }
            (_, None) => Ok(Vec::new()),
        };
        let taken = taken.map_err(|e| Failure::failed(one_line(&e)))?;
        let mut wrong = wrong.into_iter().peekable();
        let mut taken = numbers.into_iter().zip(taken).enumerate();
        loop {
            let next = taken.next();
            let at = next.as_ref().map_or(usize::MAX, |(at, _)| *at);
            while let Some((_, number, why)) = wrong.next_if(|(before, ..)| *before <= at) {
                let ended = Ended {
                    number,
                    id: None,
                    end: Ok(End::Refused(why)),
                    took: Duration::ZERO,
                };
                self.waiting.push_back(Box::pin(ready(ended)));
            }
            let Some((_, (number, publication))) = next else {
                return Ok(());
            };
            let end = end_of(publication, number, began, self.command);
            self.waiting.push_back(Box::pin(end));
        }
    }

    fn report(&mut self, ended: Ended) -> Result<(), Failure> {
        let Ended {
            number,
            id,
            end,
            took,
        } = ended;
        let (count, word, detail) = match end? {
            End::Confirmed => {
                let id = id.as_deref().unwrap_or_default();
                (
                    &mut self.confirmed,
                    "confirmed",
                    format!("published as {id}"),
                )
            }
            End::Refused(why) => (&mut self.refused, "refused", why),
            End::Waiting(within) => {
                let within = humantime::format_duration(within);
                let why = format!("not confirmed within {within}; it is kept");
                (&mut self.open, "waiting", why)
            }
        };
        *count += 1;
        self.outcomes.tell(Told {
            number,
            id: id.as_ref().map(Text::as_str),
            to: None,
            outcome: word,
            good: word == "confirmed",
            detail: &detail,
            took,
        })
    }

    /// Ctrl-C.
    fn interrupted(&self) -> Result<(), Failure> {
        match (self.waiting.len() as u64, &self.items) {
            // The usual end of lines that somebody types.
            (0, Items::Lines(..)) => Ok(()),
            (open, _) => Err(Failure::new(
                Exit::InDoubt,
                format!(
                    "interrupted; {} not confirmed: the next command on this store goes on with \
                     what is kept",
                    counted(open, "item is", "items are")
                ),
            )),
        }
    }

    /// The exit: what is open is worse than what was refused, and that is worse than success.
    fn conclude(&self, ended: Result<(), Failure>) -> Outcome {
        let open = self.open + self.waiting.len() as u64;
        let (exit, advice) = match (open, self.refused) {
            (0, 0) => return ended.map(|()| Exit::Done),
            (0, _) => (Exit::NotDelivered, "mend it and publish again"),
            _ => (
                Exit::InDoubt,
                "look at the service's address; the next command on this store goes on with it, \
                 unless --give-up forgets it",
            ),
        };
        let what = match (&self.items, self.outcomes.worst()) {
            (Items::One(_), Some(why)) => why.to_owned(),
            _ => format!(
                "{} confirmed, {} refused, {open} not confirmed",
                self.confirmed, self.refused
            ),
        };
        let message = match ended {
            Err(failure) if failure.exit == Exit::InDoubt => failure.message,
            Err(failure) => format!("{}; {what}; {advice}", failure.message),
            // A refusal says itself what to do.
            Ok(()) if exit == Exit::NotDelivered && matches!(self.items, Items::One(_)) => what,
            Ok(()) => format!("{what}; {advice}"),
        };
        Err(Failure::new(exit, message))
    }
}

/// What became of the first; never, of none. Cancel-safe.
async fn first(waiting: &mut VecDeque<Pin<Box<dyn Future<Output = Ended> + Send>>>) -> Ended {
    match waiting.front_mut() {
        Some(first) => first.await,
        None => pending().await,
    }
}

fn end_of(
    publication: Publication,
    number: u64,
    began: Instant,
    command: &Command,
) -> impl Future<Output = Ended> + Send + use<> {
    let (within, create) = (command.within, command.create);
    async move {
        let id = publication.id().clone();
        let confirmed = tokio::time::timeout_at(began + within, publication.confirmed()).await;
        let end = match confirmed {
            Ok(Ok(_)) => Ok(End::Confirmed),
            Ok(Err(NotPublished::Ended)) => Err(Failure::failed(one_line(&NotPublished::Ended))),
            Ok(Err(NotPublished::Refused(reason)))
                if reason.condition == DefinedCondition::ItemNotFound && !create =>
            {
                Ok(End::Refused(format!("{reason}; --create makes it")))
            }
            Ok(Err(error)) => Ok(End::Refused(one_line(&error))),
            Err(_) => Ok(End::Waiting(within)),
        };
        Ended {
            number,
            id: Some(id),
            end,
            took: began.elapsed(),
        }
    }
}
