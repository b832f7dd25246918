//! The race of the candidates (RFC 8305, carried on up to TLS): who starts when, who has
//! won, what follows from a failure. Owns the connections under way; all of them end with
//! it. One attempt is in `driver`, where candidates come from in `connector`.
//!
//! A name is a candidate too: it is looked up in its turn, and its addresses take its
//! place. A look-up that hangs takes nobody's turn.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use stanchion_stanza::stream::StreamCondition;
use stanchion_transport::{Endpoint, Host, StreamFault};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::config::Plaintext;
use crate::connection::Connection;
use crate::driver::{Attempting, Clock, Secured};
use crate::error::{Attempt, ConnectError};
use crate::event::{ConnectEvent, Observer};
use crate::learnt::{Basis, MAX_FORGONE};
use crate::negotiation::Resume;
use crate::phase::Phase;
use crate::redirect::{MAX_REDIRECTS, place};
use crate::resolve::discover::{self, Candidate};
use crate::ways::LastSession;

/// The longest that one candidate is waited for because it is known to be slow.
const MOST_STAGGER: Duration = Duration::from_secs(2);

/// The candidates that are left and those that run, and what the race has learnt.
pub(crate) struct Race<'a> {
    basis: &'a Basis,
    observer: &'a Observer<'a>,
    queue: VecDeque<Entrant>,
    /// In the order in which they started.
    runners: Vec<Runner<'a>>,
    next_start: Instant,
    give_up: Instant,
    resume: Resume,
    at_once: usize,
    /// Addresses that were tried, and names without one.
    started: usize,
    overtaken: Vec<Endpoint>,
    logins: u32,
}

/// Somebody who may run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entrant {
    endpoint: Endpoint,
    /// The name that it was found under, if it is an address that was looked up.
    name: Option<Endpoint>,
    /// Redirections that led here.
    hops: u8,
    /// Short cuts of the login that were given up here.
    forgone: u8,
}

/// Somebody who runs.
struct Runner<'a> {
    entrant: Entrant,
    began: Instant,
    run: Pin<Box<dyn Future<Output = Finish<'a>> + Send + 'a>>,
}

/// How a run ends.
enum Finish<'a> {
    Found(Vec<Endpoint>),
    Secured(Box<(Attempting<'a>, Secured)>),
    Failed(Phase, ConnectError),
}

impl Runner<'_> {
    fn is_connecting(&self) -> bool {
        matches!(self.entrant.endpoint.host, Host::Ip(_))
    }
}

impl<'a> Race<'a> {
    /// A race that nobody has started in yet.
    pub(crate) fn new(
        basis: &'a Basis,
        observer: &'a Observer<'a>,
        order: Vec<Endpoint>,
        give_up: Instant,
        resume: Resume,
    ) -> Self {
        let entrant = |endpoint| Entrant {
            endpoint,
            name: None,
            hops: 0,
            forgone: 0,
        };
        Self {
            basis,
            observer,
            queue: order.into_iter().map(entrant).collect(),
            runners: Vec::new(),
            next_start: Instant::now(),
            give_up,
            resume,
            at_once: basis.config.race.at_once.max(1),
            started: 0,
            overtaken: Vec::new(),
            logins: 0,
        }
    }

    /// The same, but nobody starts before the one before has finished.
    pub(crate) const fn one_after_the_other(mut self) -> Self {
        self.at_once = 1;
        self
    }

    /// The next session or failure. `None` when no candidate, or no time, is left.
    pub(crate) async fn next(&mut self) -> Option<Result<Connection, Attempt>> {
        loop {
            while self.may_start() && self.is_due() {
                let entrant = self.queue.pop_front()?;
                self.start(entrant);
            }
            if self.runners.is_empty() {
                return None;
            }
            let Some((entrant, began, finish)) = self.finish().await else {
                continue;
            };
            // Whatever it is: nobody waits for this one any more.
            self.next_start = Instant::now();
            let result = match finish {
                Finish::Found(addresses) => {
                    self.found(&entrant, addresses);
                    None
                }
                Finish::Failed(phase, error) => self.failed(entrant, began, phase, error).map(Err),
                Finish::Secured(won) => self.log_in(entrant, began, *won).await,
            };
            if result.is_some() {
                return result;
            }
        }
    }

    fn may_start(&self) -> bool {
        let in_all = self.basis.config.race.in_all;
        let under_way = self.runners.iter().filter(|r| r.is_connecting()).count();
        !self.queue.is_empty()
            && self.started < in_all
            && under_way < self.at_once
            && Instant::now() < self.give_up
    }

    fn is_due(&self) -> bool {
        self.runners.is_empty() || Instant::now() >= self.next_start
    }

    /// The first to finish; `None`: the next one may start.
    async fn finish(&mut self) -> Option<(Entrant, Instant, Finish<'a>)> {
        let due = self.may_start().then_some(self.next_start);
        let start = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let runners = &mut self.runners;
        let first = poll_fn(|cx| {
            for place in 0..runners.len() {
                if let Poll::Ready(finish) = runners[place].run.as_mut().poll(cx) {
                    let runner = runners.remove(place);
                    return Poll::Ready((runner.entrant, runner.began, finish));
                }
            }
            Poll::Pending
        });
        tokio::select! {
            biased;
            first = first => Some(first),
            () = start => None,
        }
    }

    fn start(&mut self, entrant: Entrant) {
        let began = Instant::now();
        self.next_start = began + self.stagger(&entrant);
        let basis = self.basis;
        let observer = self.observer;
        let give_up = self.give_up;
        let endpoint = entrant.endpoint.clone();
        let run: Pin<Box<dyn Future<Output = Finish<'a>> + Send + 'a>> = match endpoint.host {
            Host::Name(_) => Box::pin(look_up(basis, observer, endpoint, give_up)),
            Host::Ip(_) => {
                self.started += 1;
                let resume = self.resume.clone();
                Box::pin(run(basis, observer, endpoint, give_up, resume))
            }
        };
        self.runners.push(Runner {
            entrant,
            began,
            run,
        });
    }

    /// How long the next one waits for this one.
    fn stagger(&self, entrant: &Entrant) -> Duration {
        let least = self.basis.config.race.stagger;
        let known = self.basis.ways().health.get(&entrant.endpoint).latency;
        let wanted = known.map_or(least, |known| known.saturating_mul(2));
        wanted.min(MOST_STAGGER).max(least)
    }

    /// The addresses of a name take its place.
    fn found(&mut self, entrant: &Entrant, addresses: Vec<Endpoint>) {
        let equal = |endpoint| Candidate {
            priority: 0,
            weight: None,
            endpoint,
        };
        let ordered = self
            .basis
            .ways()
            .ordered(addresses.into_iter().map(equal).collect());
        let known = |endpoint: &Endpoint| {
            let waits = self.queue.iter().any(|e| e.endpoint == *endpoint);
            waits || self.runners.iter().any(|r| r.entrant.endpoint == *endpoint)
        };
        // Two names often lead to one machine.
        let new: Vec<Endpoint> = ordered.into_iter().filter(|e| !known(e)).collect();
        for endpoint in new.into_iter().rev() {
            self.queue.push_front(Entrant {
                endpoint,
                name: Some(entrant.endpoint.clone()),
                hops: entrant.hops,
                forgone: 0,
            });
        }
    }

    /// The race is decided: the others are closed. They wait in their order for the case
    /// that the login fails.
    fn close_the_others(&mut self, winner: &Entrant, began: Instant) {
        let stagger = self.basis.config.race.stagger;
        for runner in self.runners.drain(..).rev() {
            let Runner { entrant, .. } = &runner;
            if runner.is_connecting() {
                self.started -= 1;
                let ran = runner.began.elapsed();
                // It had a start, and was slower all the same.
                if runner.began < began && ran >= stagger {
                    let now = SystemTime::now();
                    let health = &mut self.basis.ways().health;
                    health.note(&entrant.endpoint, |h| h.overtaken(now, ran));
                    if let Some(name) = entrant
                        .name
                        .as_ref()
                        .filter(|_| entrant.name != winner.name)
                    {
                        health.note(name, |h| h.overtaken(now, ran));
                    }
                }
                (self.observer)(&ConnectEvent::Overtaken(&entrant.endpoint));
                self.overtaken.push(entrant.endpoint.clone());
            }
            self.queue.push_front(runner.entrant);
        }
    }

    async fn log_in(
        &mut self,
        entrant: Entrant,
        began: Instant,
        (mut attempting, secured): (Attempting<'a>, Secured),
    ) -> Option<Result<Connection, Attempt>> {
        let latency = began.elapsed();
        self.close_the_others(&entrant, began);
        self.logins += 1;
        // Boxed: a login's state is large, and this future sits in that of the session.
        let result = Box::pin(attempting.log_in(secured)).await;
        self.next_start = Instant::now();
        match result {
            Ok((stream, established)) => {
                let mut ways = self.basis.ways();
                let now = SystemTime::now();
                let failures = ways.health.get(&entrant.endpoint).failures;
                for endpoint in std::iter::once(&entrant.endpoint).chain(&entrant.name) {
                    ways.health.note(endpoint, |h| h.succeeded(now, latency));
                }
                ways.last = Some(LastSession {
                    address: entrant.endpoint.clone(),
                    name: entrant.name,
                    failures,
                });
                drop(ways);
                let Clock { timings, .. } = attempting.clock;
                let event = ConnectEvent::Established(&entrant.endpoint, &established, &timings);
                (self.observer)(&event);
                let mut connection = Connection::new(stream, established, entrant.endpoint);
                connection.timings = timings;
                connection.overtaken = std::mem::take(&mut self.overtaken);
                connection.logins = self.logins;
                let result = Ok(connection);
                self.basis.remember(&result);
                Some(result)
            }
            Err(ConnectError::ResumeUnanswered) => {
                // The old session is gone. The same server is asked for a new one.
                self.resume = Resume::Lost;
                self.queue.push_front(entrant);
                None
            }
            Err(error) => {
                let phase = attempting.clock.phase();
                self.failed(entrant, began, phase, error).map(Err)
            }
        }
    }

    /// Follows a redirection, does without a short cut, or tells of a failure.
    fn failed(
        &mut self,
        mut entrant: Entrant,
        began: Instant,
        phase: Phase,
        error: ConnectError,
    ) -> Option<Attempt> {
        if let ConnectError::ShortCutRefused { short_cut, .. } = error
            && entrant.forgone < MAX_FORGONE
        {
            entrant.forgone += 1;
            self.basis.forgo(&entrant.endpoint, short_cut);
            self.queue.push_front(entrant);
            return None;
        }
        let error = match self.redirect(&entrant, error) {
            Ok(()) => return None,
            Err(error) => error,
        };
        if let Host::Name(_) = entrant.endpoint.host {
            self.started += 1;
        }
        if error.blames_the_endpoint() {
            let now = SystemTime::now();
            let health = &mut self.basis.ways().health;
            health.note(&entrant.endpoint, |h| h.failed(now));
            let others = self.runners.iter().map(|r| &r.entrant).chain(&self.queue);
            if let Some(name) = &entrant.name
                && !others
                    .into_iter()
                    .any(|other| other.name.as_ref() == Some(name))
            {
                health.note(name, |h| h.failed(now));
            }
        }
        let attempt = Attempt {
            endpoint: entrant.endpoint,
            phase,
            elapsed: began.elapsed(),
            error,
        };
        tracing::debug!(endpoint = %attempt.endpoint, %phase, error = %attempt.error, "attempt failed");
        (self.observer)(&ConnectEvent::Failed(&attempt));
        let result = Err(attempt);
        self.basis.remember(&result);
        result.err()
    }

    fn redirect(&mut self, from: &Entrant, error: ConnectError) -> Result<(), ConnectError> {
        let value = match &error {
            ConnectError::Stream { error, .. }
                if error.condition == StreamCondition::SeeOtherHost =>
            {
                error.value.as_deref()
            }
            ConnectError::Lost {
                source: Some(StreamFault::SeeOther { uri }),
                ..
            } => Some(uri.as_str()),
            _ => None,
        };
        let Some(to) = value.and_then(|value| place(value, &from.endpoint)) else {
            return Err(error);
        };
        if from.hops >= MAX_REDIRECTS {
            return Err(ConnectError::TooManyRedirects {
                limit: MAX_REDIRECTS,
            });
        }
        // Safe wherever it leads: the certificate must still be the domain's.
        (self.observer)(&ConnectEvent::Redirected {
            from: &from.endpoint,
            to: &to,
        });
        self.queue.push_front(Entrant {
            endpoint: to,
            name: None,
            hops: from.hops + 1,
            forgone: 0,
        });
        Ok(())
    }
}

async fn look_up<'a>(
    basis: &'a Basis,
    observer: &'a Observer<'a>,
    endpoint: Endpoint,
    give_up: Instant,
) -> Finish<'a> {
    observer(&ConnectEvent::Phase(&endpoint, Phase::Resolve));
    let limit = basis.config.timeouts.resolve;
    let found = discover::addresses(&*basis.resolver, &endpoint);
    match timeout_at(give_up.min(Instant::now() + limit), found).await {
        Ok(Ok(addresses)) => Finish::Found(addresses),
        Ok(Err(error)) => Finish::Failed(Phase::Resolve, error.into()),
        Err(_) => {
            let phase = Phase::Resolve;
            Finish::Failed(
                phase,
                ConnectError::Deadline {
                    endpoint: None,
                    phase,
                    limit,
                },
            )
        }
    }
}

async fn run<'a>(
    basis: &'a Basis,
    observer: &'a Observer<'a>,
    endpoint: Endpoint,
    give_up: Instant,
    resume: Resume,
) -> Finish<'a> {
    let setup = match basis.setup(&endpoint, resume) {
        Ok(setup) => setup,
        Err(error) => return Finish::Failed(Phase::Tcp, error),
    };
    let config = &basis.config;
    let mut attempting = Attempting {
        dial: &*basis.dial,
        config,
        domain: basis.account.jid.domain(),
        endpoint,
        observer,
        clock: Clock::start(config.timeouts, give_up),
        opened: false,
    };
    let or_plaintext = config.plaintext == Plaintext::Allow;
    match attempting.secure(setup, or_plaintext).await {
        Ok(secured) => Finish::Secured(Box::new((attempting, secured))),
        Err(error) => Finish::Failed(attempting.clock.phase(), error),
    }
}
