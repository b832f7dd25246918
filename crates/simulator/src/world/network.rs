//! The network of the world: connections, the servers' packets, and what passes between
//! domains.

use std::time::Duration;

use stanchion_reliability::engine::{Input, Stream};
use stanchion_reliability::protection::Protection;
use stanchion_stanza::payload::delivery::At;
use stanchion_stanza::payload::receipts::Received;
use stanchion_stanza::payload::sm::Resume;
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::{Element, Jid, Message, Payload as _, Presence, Stanza, Text};
use stanchion_testkit::server::{Closing, Connection};
use stanchion_testkit::{Direction, Link, Login, ToClient, ToServer, Welcome};

use super::{Event, Phase, Wire, World, bundled, kept_body};
use crate::device::Line;
use crate::law::{Checked, Law};
use crate::ledger::{Id, LOOSE, name};
use crate::setup::MS;
use crate::switch::Switch;

impl World {
    /// Takes what a server sends to clients and to other domains.
    pub(super) fn pump(&mut self, site: usize) -> Checked {
        let now = self.now();
        while let Some((on, packet)) = self.sites[site].server.poll() {
            if let Some(wire) = self.wires.get_mut(&on)
                && let Some(at) = wire.link.send(now, Direction::Down, &mut self.random)
            {
                self.schedule.at(at, Event::ToClient(on, packet));
            }
        }
        while let Some(element) = self.sites[site].server.poll_remote() {
            self.federates(site, element);
        }
        let server = &self.sites[site].server;
        if let Some(at) = server.next_timeout()
            && self.sites[site].tick.is_none_or(|planned| at < planned)
        {
            self.sites[site].tick = Some(at);
            self.schedule.at(at, Event::ServerTick(site));
        }
        match self.sites[site].server.violations().first() {
            Some(violation) => Err(Law::Protocol.broken(format!("the server saw: {violation}"))),
            None => Ok(()),
        }
    }

    /// A stanza leaves for another domain.
    fn federates(&mut self, from: usize, element: Element) {
        let now = self.now();
        let Ok(to) = element.attr("to").unwrap_or_default().parse::<Jid>() else {
            return;
        };
        let Some(target) = self.sites.iter().position(|s| s.domain == to.domain()) else {
            // Nobody has that name.
            self.schedule
                .after(50 * MS, Event::Unreachable(from, element));
            return;
        };
        let (until, errors) = self.sites[from].apart[target];
        if until > now {
            let switch = if errors {
                Switch::FederationCut
            } else {
                Switch::FederationSilent
            };
            self.summary.count(switch, 1);
            if errors {
                let wait = self.random.time(50 * MS, 30_000 * MS);
                self.schedule.after(wait, Event::Unreachable(from, element));
            }
            return;
        }
        let most = self.setup.distance / 2 + MS;
        let wait = self.setup.distance + self.random.time(Duration::ZERO, most);
        let at = (now + wait).max(self.sites[from].last[target]);
        self.sites[from].last[target] = at;
        self.schedule.at(at, Event::Federated(target, element));
    }

    pub(super) fn arrives(&mut self, site: usize, element: Element) -> Checked {
        let now = self.now();
        if self.sites[site].runs {
            self.sites[site].server.receive_remote(now, element);
            return self.pump(site);
        }
        // The sender's server notices in the end.
        let from = element
            .attr("from")
            .and_then(|from| from.parse::<Jid>().ok());
        let from = from.and_then(|from| self.sites.iter().position(|s| s.domain == from.domain()));
        if let Some(from) = from {
            let wait = self.random.time(1000 * MS, 10_000 * MS);
            self.schedule.after(wait, Event::Unreachable(from, element));
        }
        Ok(())
    }

    pub(super) fn comes_back(&mut self, site: usize, element: Element) -> Checked {
        let now = self.now();
        if !self.sites[site].runs {
            return Ok(());
        }
        let conditions = [
            DefinedCondition::RemoteServerTimeout,
            DefinedCondition::RemoteServerNotFound,
        ];
        let condition = *self.random.pick(&conditions);
        self.sites[site]
            .server
            .undeliverable(now, element, condition);
        self.pump(site)
    }

    pub(super) fn puts_on_the_wire(&mut self, on: Connection, packet: ToServer) {
        let now = self.schedule.now();
        if let Some(wire) = self.wires.get_mut(&on)
            && let Some(at) = wire.link.send(now, Direction::Up, &mut self.random)
        {
            self.schedule.at(at, Event::ToServer(on, packet));
        }
    }

    /// Chooses the account to connect with.
    fn chooses(&mut self, of: usize) {
        let device = &mut self.devices[of];
        let usual = self.phase != Phase::Trouble || !self.setup.on.has(Switch::Failover);
        let next = if usual {
            0
        } else if self.sites[device.accounts[device.account].site].runs && !self.random.chance(150)
        {
            device.account
        } else {
            (device.account + 1) % device.accounts.len()
        };
        if next != device.account {
            device.account = next;
            if let Some(process) = &mut device.process {
                process.resumable = None;
            }
            self.summary.count(Switch::Failover, 1);
        }
    }

    pub(super) fn dials(&mut self, of: usize) {
        let now = self.now();
        let life = self.devices[of].life;
        self.chooses(of);
        let device = &mut self.devices[of];
        let (jid, site) = (device.jid().clone(), device.accounts[device.account].site);
        let Some(process) = &mut device.process else {
            return;
        };
        process.dialing = false;
        // A driver whose store is shut holds no stream: the next engine dials. The count of
        // the one that ended stands still, whatever streams follow.
        if process.line != Line::Down || process.store_is_shut {
            return;
        }
        let trouble = self.phase == Phase::Trouble;
        let fails = trouble && self.setup.on.has(Switch::FailedConnect) && self.random.chance(300);
        self.summary.count(Switch::FailedConnect, u64::from(fails));
        // A count that is told must not rise before the stream is back.
        if fails || !self.sites[site].runs || !process.engine.is_settled() {
            process.dialing = true;
            let wait = self.random.time(50 * MS, 1000 * MS);
            return self.schedule.after(wait, Event::Dials { of, life });
        }
        let on = self.next_connection;
        self.next_connection += 1;
        let h = process.engine.handled();
        process.resumed_with = h;
        let resume = process.resumable.clone().filter(|_| process.site == site);
        let resume = resume.map(|previd| Resume { previd, h });
        process.site = site;
        process.line = Line::LoggingIn {
            on,
            resumes: resume.is_some(),
        };
        let node = self.random.below(u64::from(self.sites[site].nodes)) as u8;
        let wire = Wire {
            link: Link::new(self.setup.latency),
            of,
            site,
            node,
        };
        self.wires.insert(on, wire);
        let login = Login {
            jid,
            manage: true,
            resume,
            node,
        };
        self.puts_on_the_wire(on, ToServer::Login(login));
        // A login that is not answered in time has failed.
        self.schedule.at(now + 15_000 * MS, Event::LoginTimeout(on));
    }

    /// The client's side of a connection is over; it tries again soon.
    pub(super) fn lost(&mut self, of: usize) -> Checked {
        let life = self.devices[of].life;
        let Some(process) = &mut self.devices[of].process else {
            return Ok(());
        };
        match process.line {
            // No answer to `<resume/>` is an answer.
            Line::LoggingIn { resumes: true, .. } => process.resumable = None,
            Line::LoggingIn { .. } | Line::Up { .. } | Line::Down => {}
        }
        let was_up = matches!(process.line, Line::Up { .. });
        let connection = process.line.connection();
        process.line = Line::Down;
        process.unflushed.clear();
        if !process.dialing {
            process.dialing = true;
            let wait = self.random.time(20 * MS, 3000 * MS);
            self.schedule.after(wait, Event::Dials { of, life });
        }
        self.hangs_up(connection);
        if was_up {
            return self.tell(of, Input::Disconnected);
        }
        Ok(())
    }

    /// A client is gone from a connection; the server learns of it sooner or later.
    pub(super) fn hangs_up(&mut self, connection: Option<Connection>) {
        if let Some(on) = connection
            && let Some(wire) = self.wires.get_mut(&on)
        {
            wire.link.cut();
            let most = *self.random.pick(&[100 * MS, 60_000 * MS]);
            let wait = self.random.time(MS, most);
            self.schedule.after(wait, Event::ServerNotices(on));
        }
    }

    /// Every process that runs reads what it wants.
    pub(super) fn read_sockets(&mut self) -> Checked {
        for of in 0..self.devices.len() {
            while self.devices[of].suspended.is_none()
                && let Some(process) = &mut self.devices[of].process
                && let Some((on, packet)) = process.reads()
            {
                // The rest of an earlier connection is gone with it.
                if self.is_on(of, on) {
                    self.hears(of, on, packet)?;
                }
            }
        }
        Ok(())
    }

    fn hears(&mut self, of: usize, on: Connection, packet: ToClient) -> Checked {
        match packet {
            ToClient::Close(Closing::Conflict) => {
                self.tells(|| format!("d{of} stops: its address is bound elsewhere"));
                // It stops and reports; somebody starts it again.
                let wait = self.random.time(5000 * MS, 20_000 * MS);
                self.dies(of, wait)
            }
            ToClient::Close(_) => self.lost(of),
            ToClient::Element(element) => {
                let ledger = &self.ledger;
                let Some(process) = &mut self.devices[of].process else {
                    return Ok(());
                };
                if !matches!(process.line, Line::Up { on: up, .. } if up == on) {
                    return Ok(());
                }
                if Stanza::is_stanza(&element) {
                    let sender = || element.attr("from")?.parse::<Jid>().ok();
                    let sender = sender();
                    let sender = sender.as_ref().map_or("", Jid::bare_str);
                    let inner = bundled(&element);
                    let bodies = inner.iter().chain([&element]).filter_map(kept_body);
                    let kept = bodies.filter_map(|body| ledger.shown_at_home(&body, sender));
                    let kept: Vec<Id> = kept.collect();
                    process.received.push(kept.clone());
                    for id in kept {
                        self.other_client(of, id)?;
                    }
                }
                self.tell(of, Input::Received(element))
            }
            ToClient::Welcome(welcome) => self.is_welcome(of, on, welcome),
        }
    }

    /// Another client of the account may say that it received the message: not the device
    /// that it is for.
    fn other_client(&mut self, of: usize, id: Id) -> Checked {
        let (now, device) = (self.now(), &self.devices[of]);
        let site = device.accounts[device.account].site;
        // Outside of channels its word is as good as the device's.
        let message = self.ledger.get(id).filter(|m| m.channel != LOOSE);
        let sender = message.map(|message| message.from);
        let Some(sender) = sender.filter(|sender| self.ledger.knows(*sender, of)) else {
            return Ok(());
        };
        let there = self.setup.on.has(Switch::OtherClient) && self.sites[site].runs;
        if !there || self.phase != Phase::Trouble || !self.random.chance(150) {
            return Ok(());
        }
        let bare = device.jid().to_bare();
        let Ok(jid) = format!("{bare}/other").parse() else {
            return Ok(());
        };
        self.summary.count(Switch::OtherClient, 1);
        if let Some(message) = self.ledger.get_mut(id) {
            message.vouched = true;
        }
        let on = self.next_connection;
        self.next_connection += 1;
        let login = Login {
            jid,
            manage: false,
            resume: None,
            node: 0,
        };
        let receipt = Received {
            id: Text::new(name(id)).unwrap_or_default(),
        };
        let to = Jid::from(self.devices[sender].accounts[0].jid.to_bare());
        let message = Message::chat(to).with_payload(receipt.to_element());
        let server = &mut self.sites[site].server;
        server.receive(now, on, ToServer::Login(login));
        server.receive(now, on, ToServer::Element(message.to_element()));
        self.schedule.after(MS, Event::Leaves { site, on });
        self.pump(site)
    }

    fn is_welcome(&mut self, of: usize, on: Connection, welcome: Welcome) -> Checked {
        let trouble = self.phase == Phase::Trouble;
        if !trouble && self.devices[of].account != 0 {
            // It went elsewhere just before all was well again.
            self.schedule.after(MS, Event::ClientNotices(on));
        }
        let clear = trouble && self.setup.on.has(Switch::ClearStream) && self.random.chance(300);
        self.summary.count(Switch::ClearStream, u64::from(clear));
        let Some(process) = &mut self.devices[of].process else {
            return Ok(());
        };
        let protection = if clear {
            Protection::Any
        } else {
            Protection::default()
        };
        process.line = Line::Up { on, clear };
        let (stream, fresh) = match welcome {
            Welcome::Resumed { h } => {
                self.summary.resumed += 1;
                process.received.truncate(process.resumed_with as usize);
                (Stream::Resumed { h }, false)
            }
            Welcome::Bound {
                managed,
                resumable,
                failed,
            } => {
                process.received.clear();
                process.resumable = resumable;
                let handled = failed.and_then(|failed| failed.h);
                (Stream::Bound { managed, handled }, true)
            }
        };
        self.tell(of, Input::Connected { stream, protection })?;
        if fresh && self.is_on(of, on) {
            let place = self.devices[of]
                .process
                .as_ref()
                .and_then(|p| p.engine.place());
            let mut presence = Presence::available();
            presence
                .payloads
                .extend(place.cloned().map(|place| At(place).to_element()));
            let presence = presence.to_element();
            return self.tell(of, Input::Transmit(presence));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::Setup;
    use crate::switch::{Selection, Switches};

    #[test]
    fn a_device_dials_once_its_store_is_open_again() {
        let selection = Selection {
            only: Some(Switches::default()),
            without: Switches::default(),
        };
        let mut world = World::new(Setup::draw(1, 10, selection), false);
        world.starts(0).unwrap();
        let process = |world: &mut World| world.devices[0].process.take().unwrap();
        let mut shut = process(&mut world);
        shut.fails_again(Duration::ZERO);
        world.devices[0].process = Some(shut);
        world.dials(0);
        let shut = process(&mut world);
        assert_eq!((shut.line, shut.dialing), (Line::Down, false));
        world.devices[0].process = Some(shut);
        world.reopens(0).unwrap();
        world.dials(0);
        assert!(matches!(process(&mut world).line, Line::LoggingIn { .. }));
    }
}
