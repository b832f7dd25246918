//! `stanchion send`: hands messages over, and says what became of each.

use std::time::Duration;

use clap::{Args, ValueEnum};
use stanchion::services::chat::{ChatError, Draft};
use stanchion::session::{Outgoing, Protection, SendError, Sent, Status};
use stanchion::{Client, Jid, NotDelivered, Outcome as Delivery};
use tokio::io::{BufReader, Stdin};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::interrupt::Interrupt;
use crate::lines::{LONGEST, Line, Lines};
use crate::outcomes::{Outcomes, Told};
use crate::settings::{ConnectionArgs, Settings, duration};
use crate::watch;

/// Lines whose outcomes are awaited at the same time.
const AT_ONCE: usize = 256;
/// The longest wait between two attempts to connect. Shorter than by default: there is
/// somebody who waits, and not for long.
const RETRY: Duration = Duration::from_secs(5);
/// For a clean end after the time is over. A server that hangs gets no more.
const FAREWELL: Duration = Duration::from_millis(250);

/// Send a message and wait for its receipt
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stanchion send --to cloud@example.org 21.5
  sensor-tool | stanchion send --to cloud@example.org --timeout 10s --json -
  stanchion send --jid sensor@example.org --to cloud@example.org --history on

Exit codes: 0 delivered or acknowledged, 2 usage, 10 not delivered (and never will \
be), 11 in doubt, 12 no connection in time, 13 refused for security or authentication. \
With 12 and 13, nothing was sent. Of several lines, the worst counts.

The password is taken from STANCHION_PASSWORD, or from --password-file.")]
pub(crate) struct Command {
    /// The text; `-` sends each line of the standard input as a message of its own
    #[arg(value_name = "TEXT", allow_negative_numbers = true)]
    text: String,
    /// The recipient
    #[arg(long, value_name = "JID")]
    to: Jid,
    /// How long to try before giving up; with `-`, anew for each line once connected
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// What the connection must offer; with --insecure-plaintext, one in the clear carries
    /// only what asks for nothing
    #[arg(long, value_name = "LEVEL", default_value = "authenticated")]
    protection: Level,
    /// Put the messages into the history, with what becomes of each: see `stanchion history`
    #[arg(long)]
    history: bool,
    /// Print one JSON object a message
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// `--protection`, in the command's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Nothing: it may go in the clear
    Any,
    /// TLS
    Encrypted,
    /// TLS to the server of the account's domain
    Authenticated,
}

impl Level {
    const fn protection(self) -> Protection {
        match self {
            Self::Any => Protection::Any,
            Self::Encrypted => Protection::Encrypted,
            Self::Authenticated => Protection::EncryptedAndAuthenticated,
        }
    }
}

/// What to do about a stream that offers only that.
const fn lower(offered: Protection) -> &'static str {
    match offered {
        Protection::Any => {
            "it is in the clear; use a server with TLS, or give --protection any to send \
             where anybody on the way can read and change it"
        }
        _ => {
            "nothing vouches for its other end; use a server with a certificate for its \
             domain, or give --protection encrypted"
        }
    }
}

/// Whether the stream that is up may carry what the command sends. Waiting for a better
/// one is for sessions that last.
fn check_protection(client: &Client, wanted: Protection) -> Result<(), Failure> {
    let status = client.status();
    match &*status.borrow() {
        Status::Connected {
            endpoint,
            protection,
            ..
        } if !protection.meets(wanted) => Err(Failure::new(
            Exit::Refused,
            format!(
                "the connection to {endpoint} does not meet the message's protection; nothing \
                 was sent: {}",
                lower(*protection)
            ),
        )),
        _ => Ok(()),
    }
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let over = Instant::now() + command.timeout;
    let settings = Settings::load(&command.connection).await?;
    let mut interrupt = Interrupt::watch()?;
    // Before anything is kept: so a command that ends without a connection leaves
    // nothing behind that a later one would send.
    let (client, _incoming) = settings
        .start(Some(over), |session| session.backoff.cap = RETRY)
        .await?;
    let first = tokio::select! {
        first = watch::connected(&client, over, command.timeout) => first,
        () = interrupt.seen() => Err(Failure::new(
            Exit::NotDelivered,
            "interrupted before there was a connection; nothing was sent",
        )),
    };
    let first = first.and_then(|()| check_protection(&client, command.protection.protection()));
    if let Err(failure) = first {
        // Without a stream there is none to close, and nothing to wait for.
        if client.is_connected() {
            let _ = tokio::time::timeout(FAREWELL, client.shutdown()).await;
        }
        return Err(failure);
    }
    let history = settings.keeps_history(command.history);
    let mut sending = Sending::new(&command, &client, history);
    let ended = tokio::select! {
        ended = sending.all(over) => ended,
        () = interrupt.seen() => sending.interrupted(),
    };
    let conclusion = sending.conclude(ended);
    // What has no outcome stays in the store, for the next command.
    let farewell = over.max(Instant::now() + FAREWELL);
    match tokio::time::timeout_at(farewell, client.shutdown()).await {
        Ok(Err(error)) if conclusion.is_ok() => Err(settings.session_failure(&error)),
        Ok(Err(error)) => conclusion.map_err(|f| Failure {
            // Why, besides what it means for the message.
            message: format!(
                "{}; {}",
                settings.session_failure(&error).message,
                f.message
            ),
            ..f
        }),
        _ => conclusion,
    }
}

/// What became of the messages so far.
#[derive(Debug, Default)]
struct Counts {
    delivered: u64,
    acknowledged: u64,
    not_delivered: u64,
    in_doubt: u64,
}

/// Messages on their way.
struct Sending<'a> {
    command: &'a Command,
    client: &'a Client,
    /// They go into the history.
    history: bool,
    texts: Texts,
    waiting: JoinSet<End>,
    counts: Counts,
    /// Bad is one that neither was delivered nor acknowledged.
    outcomes: Outcomes,
    /// One was not delivered for want of protection.
    unprotected: bool,
}

struct End {
    number: u64,
    id: String,
    outcome: Result<Delivery, SendError>,
    took: Duration,
}

impl<'a> Sending<'a> {
    fn new(command: &'a Command, client: &'a Client, history: bool) -> Self {
        let texts = if command.text == "-" {
            let input = BufReader::new(tokio::io::stdin());
            Texts::Lines(Lines::new(input), 0)
        } else {
            Texts::One(Some(command.text.clone()))
        };
        let one = matches!(texts, Texts::One(_));
        let outcomes = Outcomes::new(command.json, one);
        Self {
            command,
            client,
            history,
            texts,
            waiting: JoinSet::new(),
            counts: Counts::default(),
            outcomes,
            unprotected: false,
        }
    }

    /// Sends everything, and waits for all outcomes.
    ///
    /// # Errors
    /// Why no more could be sent, if that is not an outcome of a message.
    async fn all(&mut self, over: Instant) -> Result<(), Failure> {
        let mut stopped = Ok(());
        let mut reading = true;
        while reading || !self.waiting.is_empty() {
            let room = reading && self.waiting.len() < AT_ONCE;
            tokio::select! {
                Some(end) = self.waiting.join_next() => {
                    let end = end.map_err(|_| Failure::failed("a task was lost; start again"))?;
                    self.report(end)?;
                }
                text = self.texts.next(), if room => match text {
                    Ok(Some((number, text))) => {
                        if let Err(failure) = self.hand_over(number, text, over).await {
                            (stopped, reading) = (Err(failure), false);
                        }
                    }
                    Ok(None) => reading = false,
                    Err(failure) => (stopped, reading) = (Err(failure), false),
                },
                // What was sent keeps its time: a receipt may be known at the end.
                failure = watch::refused(self.client), if reading => {
                    (stopped, reading) = (Err(failure), false);
                }
            }
        }
        stopped
    }

    async fn hand_over(
        &mut self,
        number: u64,
        text: Result<String, String>,
        over: Instant,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        let within = match self.texts {
            Texts::One(_) => over.saturating_duration_since(began),
            Texts::Lines(..) => self.command.timeout,
        };
        let sent = match text {
            Ok(text) => match self.send(text, within).await {
                Err(ChatError::Invalid(error) | ChatError::Send(SendError::Invalid(error))) => {
                    Err(one_line(&error))
                }
                other => Ok(other.map_err(|e| Failure::failed(one_line(&e)))?),
            },
            Err(why) => Err(why),
        };
        match sent {
            Ok(sent) => {
                self.waiting.spawn(end_of(sent, number, began));
                Ok(())
            }
            Err(why) => self.cannot_be_sent(number, &why),
        }
    }

    /// Gives a text to the session, and to the history before, if it is to be there.
    async fn send(&self, text: String, within: Duration) -> Result<Sent, ChatError> {
        let to = self.command.to.clone();
        let protection = self.command.protection.protection();
        let with = |outgoing: Outgoing| outgoing.within(within).protection(protection);
        if !self.history {
            return Ok(self.client.send(with(Outgoing::text(to, text)?)).await?);
        }
        let draft = Draft::new(to, text)?.with(with);
        Ok(self.client.chat().say(draft).await?.sent)
    }

    /// One text is a mistake of the caller; a line among others is a message that was
    /// not delivered, and the others go on.
    fn cannot_be_sent(&mut self, number: u64, why: &str) -> Result<(), Failure> {
        if let Texts::One(_) = self.texts {
            return Err(Failure::usage(why));
        }
        self.counts.not_delivered += 1;
        let to = self.command.to.to_string();
        self.outcomes.tell(Told {
            number,
            id: None,
            to: Some(&to),
            outcome: "not-delivered",
            good: false,
            detail: why,
            took: Duration::ZERO,
        })
    }

    /// Says what became of a message.
    fn report(&mut self, end: End) -> Result<(), Failure> {
        let outcome = match end.outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                self.counts.in_doubt += 1;
                return Err(Failure::failed(one_line(&error)));
            }
        };
        let (word, count) = match &outcome {
            Delivery::Delivered { .. } => ("delivered", &mut self.counts.delivered),
            Delivery::Acknowledged { .. } => ("acknowledged", &mut self.counts.acknowledged),
            Delivery::NotDelivered(_) => ("not-delivered", &mut self.counts.not_delivered),
            _ => ("in-doubt", &mut self.counts.in_doubt),
        };
        *count += 1;
        self.unprotected |= outcome == Delivery::NotDelivered(NotDelivered::Unprotected);
        let to = self.command.to.to_string();
        self.outcomes.tell(Told {
            number: end.number,
            id: Some(&end.id),
            to: Some(&to),
            outcome: word,
            good: matches!(word, "delivered" | "acknowledged"),
            detail: &outcome.to_string(),
            took: end.took,
        })
    }

    /// Ctrl-C.
    fn interrupted(&self) -> Result<(), Failure> {
        match (self.waiting.len(), &self.texts) {
            // The usual end of lines that somebody types.
            (0, Texts::Lines(..)) => Ok(()),
            (n, _) => {
                let message = format!(
                    "interrupted; {} no outcome yet: the next command on this store goes on \
                     with what is kept, within its time",
                    if n == 1 {
                        "1 message has".to_owned()
                    } else {
                        format!("{n} messages have")
                    }
                );
                Err(Failure::new(Exit::InDoubt, message))
            }
        }
    }

    /// The exit: doubt is worse than a definite failure, and that is worse than success.
    fn conclude(&self, ended: Result<(), Failure>) -> Outcome {
        let Counts {
            delivered,
            acknowledged,
            not_delivered,
            in_doubt,
        } = self.counts;
        // A session that failed leaves those in doubt that it had taken.
        let open = self.waiting.len() as u64;
        let (exit, advice) = match (in_doubt + open, not_delivered) {
            (0, 0) => return ended.map(|()| Exit::Done),
            (0, _) if self.unprotected => (
                Exit::NotDelivered,
                "the server's connections offered less than --protection asks for; send again \
                 over a better one, or ask for less",
            ),
            (0, _) => (Exit::NotDelivered, "send again"),
            _ => (
                Exit::InDoubt,
                "ask the recipient, or send again if twice does no harm",
            ),
        };
        let what = match (&self.texts, self.outcomes.worst()) {
            (Texts::One(_), Some(detail)) => detail.to_owned(),
            _ => format!(
                "{delivered} delivered, {acknowledged} acknowledged, {not_delivered} not delivered, {} in doubt",
                in_doubt + open
            ),
        };
        let message = match ended {
            Ok(()) => format!("{what}; {advice}"),
            Err(failure) if failure.exit == Exit::InDoubt => failure.message,
            Err(failure) => format!("{}; {what}; {advice}", failure.message),
        };
        Err(Failure::new(exit, message))
    }
}

async fn end_of(sent: Sent, number: u64, began: Instant) -> End {
    let id = sent.id().to_owned();
    let outcome = sent.outcome().await;
    End {
        number,
        id,
        outcome,
        took: began.elapsed(),
    }
}

/// The text, or the lines of the standard input and their number so far.
enum Texts {
    One(Option<String>),
    Lines(Lines<BufReader<Stdin>>, u64),
}

impl Texts {
    /// The next text and its number, from 1; or why it is none. Cancel-safe.
    async fn next(&mut self) -> Result<Option<(u64, Result<String, String>)>, Failure> {
        let (lines, count) = match self {
            Self::One(text) => return Ok(text.take().map(|text| (1, Ok(text)))),
            Self::Lines(lines, count) => (lines, count),
        };
        let line = lines.next().await.map_err(|e| {
            Failure::failed(format!("standard input: {e}; nothing after it was sent"))
        })?;
        let text = match line {
            None => return Ok(None),
            Some(Line::Text(text)) => Ok(text),
            Some(Line::TooLong) => Err(format!("the line has more than {LONGEST} bytes")),
            Some(Line::NotText) => Err("the line is not UTF-8".to_owned()),
        };
        *count += 1;
        Ok(Some((*count, text)))
    }
}
