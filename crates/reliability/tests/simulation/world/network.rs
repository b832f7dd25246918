//! The network of the world: the server's packets, connections, and what breaks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use stanchion_connect::ResumeToken;
use stanchion_reliability::engine::{Input, Stream};
use stanchion_reliability::protection::Protection;
use stanchion_reliability::store::{self, StoreError};
use stanchion_stanza::payload::sm::Resume;
use stanchion_stanza::{Presence, Stanza};
use stanchion_testkit::server::Connection;
use stanchion_testkit::{Direction, Fault, Link, Login, ToClient, ToServer, Welcome};

use super::{Event, MS, World, must_be_durable, number_of};
use crate::device::Line;
use crate::ledger::Checked;

impl World {
    pub(super) fn pump_server(&mut self) -> Checked {
        let now = self.now();
        while let Some((on, packet)) = self.server.poll() {
            if let Some((link, _)) = self.links.get_mut(&on)
                && let Some(at) = link.send(now, Direction::Down, &mut self.random)
            {
                self.schedule.at(at, Event::ToClient(on, packet));
            }
        }
        if let Some(at) = self.server.next_timeout()
            && self.server_tick.is_none_or(|planned| at < planned)
        {
            self.server_tick = Some(at);
            self.schedule.at(at, Event::ServerTick);
        }
        match self.server.violations().first() {
            Some(violation) => Err(format!("the server saw: {violation}")),
            None => Ok(()),
        }
    }

    pub(super) fn puts_on_the_wire(&mut self, on: Connection, packet: ToServer) {
        let now = self.schedule.now();
        if let Some((link, _)) = self.links.get_mut(&on)
            && let Some(at) = link.send(now, Direction::Up, &mut self.random)
        {
            self.schedule.at(at, Event::ToServer(on, packet));
        }
    }

    pub(super) fn dials(&mut self, of: usize) {
        let now = self.now();
        let jid = self.devices[of].jid.clone();
        let life = self.devices[of].life;
        let Some(process) = &mut self.devices[of].process else {
            return;
        };
        process.dialing = false;
        if process.line != Line::Down {
            return;
        }
        // A count that is told must not rise before the stream is back.
        if !self.server_runs || !process.engine.is_settled() {
            process.dialing = true;
            let wait = self.random.time(50 * MS, 1000 * MS);
            return self.schedule.after(wait, Event::Dials { of, life });
        }
        let on = self.next_connection;
        self.next_connection += 1;
        let h = process.engine.handled();
        process.resumed_with = h;
        let resume = process.resumable.clone().map(|previd| Resume { previd, h });
        process.line = Line::LoggingIn {
            on,
            resumes: resume.is_some(),
        };
        self.links.insert(on, (Link::new(self.setup.latency), of));
        self.puts_on_the_wire(
            on,
            ToServer::Login(Login {
                jid,
                manage: true,
                resume,
            }),
        );
        // A login that is not answered in time has failed.
        self.schedule
            .at(now + 15_000 * MS, Event::ClientNotices(on));
    }

    /// The client's side of a connection is over; it tries again soon.
    pub(super) fn lost(&mut self, of: usize) -> Checked {
        let now = self.now();
        let life = self.devices[of].life;
        let Some(process) = &mut self.devices[of].process else {
            return Ok(());
        };
        match process.line {
            // No answer to `<resume/>` is an answer.
            Line::LoggingIn { resumes: true, .. } => {
                process.resumable = None;
                process.tell(now, Input::Resumable(None));
            }
            Line::LoggingIn { .. } | Line::Up(_) | Line::Down => {}
        }
        let was_up = matches!(process.line, Line::Up(_));
        let connection = process.line.connection();
        process.line = Line::Down;
        if !process.dialing {
            process.dialing = true;
            let wait = self.random.time(20 * MS, 3000 * MS);
            self.schedule.after(wait, Event::Dials { of, life });
        }
        self.hangs_up(connection, now);
        if was_up {
            return self.tell(of, Input::Disconnected);
        }
        Ok(())
    }

    /// A client is gone from a connection; the server learns of it sooner or later.
    pub(super) fn hangs_up(&mut self, connection: Option<Connection>, now: Duration) {
        if let Some(on) = connection
            && let Some((link, _)) = self.links.get_mut(&on)
        {
            link.cut();
            let most = *self.random.pick(&[100 * MS, 60_000 * MS]);
            let wait = self.random.time(MS, most);
            self.schedule.at(now + wait, Event::ServerNotices(on));
        }
    }

    pub(super) fn hears(&mut self, of: usize, on: Connection, packet: ToClient) -> Checked {
        let now = self.now();
        let [a, b] = &mut self.devices;
        let (here, sender) = if of == 0 { (a, b) } else { (b, a) };
        let Some(process) = &mut here.process else {
            return Ok(());
        };
        match packet {
            ToClient::Close => self.lost(of),
            ToClient::Element(element) => {
                if process.line != Line::Up(on) {
                    return Ok(());
                }
                if Stanza::is_stanza(&element) {
                    let id = must_be_durable(&element).filter(|id| {
                        let sent = sender.ledger.sent.get(id);
                        sent.is_none_or(|sent| !sent.taken_back && !sent.has_outcome())
                    });
                    process.received.push(id);
                }
                self.tell(of, Input::Received(element))
            }
            ToClient::Welcome(welcome) => {
                process.line = Line::Up(on);
                match welcome {
                    Welcome::Resumed { h } => {
                        self.summary.resumed += 1;
                        process.received.truncate(process.resumed_with as usize);
                        process.tell(
                            now,
                            Input::Connected {
                                stream: Stream::Resumed { h },
                                protection: Protection::default(),
                            },
                        );
                        // The process before may have ended just before it said so.
                        let first = !std::mem::replace(&mut process.announced, true);
                        let presence = Presence::available().to_element();
                        let input = if first {
                            Input::Transmit(presence)
                        } else {
                            Input::Tick
                        };
                        self.tell(of, input)
                    }
                    Welcome::Bound { managed, failed } => {
                        process.received.clear();
                        let stream = Stream::Bound {
                            managed: managed.is_some(),
                            handled: failed.and_then(|failed| failed.h),
                        };
                        process.resumable.clone_from(&managed);
                        process.tell(
                            now,
                            Input::Connected {
                                stream,
                                protection: Protection::default(),
                            },
                        );
                        let token = managed.map(|id| ResumeToken {
                            jid: here.jid.clone(),
                            id,
                            h: 0,
                            max_seconds: None,
                            location: None,
                        });
                        process.tell(now, Input::Resumable(token));
                        process.announced = true;
                        let presence = Presence::available().to_element();
                        self.tell(of, Input::Transmit(presence))
                    }
                }
            }
        }
    }

    pub(super) fn fails(&mut self, fault: Fault) -> Checked {
        let now = self.now();
        match fault {
            Fault::Cut { client, silent } => {
                let line = self.devices[client].process.as_ref().map(|p| p.line);
                if let Some(on) = line.and_then(Line::connection) {
                    if let Some((link, _)) = self.links.get_mut(&on) {
                        link.cut();
                    }
                    // A server learns of silence in the end.
                    let most = if silent { 120_000 * MS } else { 1000 * MS };
                    let wait = self.random.time(most / 2, most);
                    self.schedule.at(now + wait, Event::ServerNotices(on));
                    if !silent {
                        self.schedule.after(MS, Event::ClientNotices(on));
                    }
                }
            }
            Fault::Stall { client, lasts } => {
                for (link, of) in self.links.values_mut() {
                    if *of == client {
                        link.stall(now + lasts);
                    }
                }
            }
            Fault::Crash { client, lasts } => self.crashes(client, lasts),
            Fault::StoreFailure { client, applied } => {
                if let Some(process) = &mut self.devices[client].process
                    && process.fault_applies.is_none()
                {
                    self.summary.store_failures += 1;
                    process.fault_applies = Some(applied);
                    let error = StoreError::Io(Arc::new(io::Error::other("fault")));
                    let fault = store::Fault { error, applied };
                    process.control.fail_commits(1, &fault);
                }
            }
            Fault::SlowStore { client, lasts } => {
                self.devices[client].slow_until = now + lasts;
            }
            Fault::KillServer { lasts } => {
                self.server.kill(now);
                self.server_runs = false;
                self.schedule.after(lasts, Event::ServerStarts);
                for (on, (link, _)) in &mut self.links {
                    if !link.is_cut() {
                        link.cut();
                        if self.random.chance(700) {
                            self.schedule.after(MS, Event::ClientNotices(*on));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn crashes(&mut self, of: usize, lasts: Duration) {
        let now = self.now();
        if self.devices[of].process.is_some() {
            self.summary.crashes += 1;
            self.count(of);
            let connection = self.devices[of].kill();
            self.hangs_up(connection, now);
            self.schedule.after(lasts, Event::Starts { of });
        }
    }

    pub(super) fn starts(&mut self, of: usize) -> Checked {
        if self.devices[of].process.is_some() {
            return Ok(());
        }
        let (now, entropy) = (self.now(), self.random.number());
        self.devices[of].start(now, self.setup.engine, entropy);
        self.begins(of)
    }

    /// An engine begins its life: it connects, and the application gives again what it
    /// does not know to be kept.
    pub(super) fn begins(&mut self, of: usize) -> Checked {
        let life = self.devices[of].life;
        if let Some(process) = &mut self.devices[of].process {
            process.dialing = true;
        }
        let wait = self.random.time(MS, 1000 * MS);
        self.schedule.after(wait, Event::Dials { of, life });
        let ledger = &self.devices[of].ledger;
        for (id, sent) in &ledger.sent {
            if sent.submitted && sent.accepted.is_none() {
                let number = number_of(id);
                self.schedule.after(wait, Event::Submits { of, number });
            }
        }
        self.drain(of)
    }
}
