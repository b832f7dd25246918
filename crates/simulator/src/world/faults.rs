//! What goes wrong when the plan says so.

use std::time::Duration;

use stanchion_reliability::engine::Input;
use stanchion_testkit::{Login, ToServer};

use super::{Event, World};
use crate::device::Backup;
use crate::law::Checked;
use crate::plan::Fault;
use crate::setup::MS;

impl World {
    pub(super) fn fails(&mut self, fault: Fault) -> Checked {
        if self.strikes(fault)? {
            self.summary.count(fault.switch(), 1);
        }
        Ok(())
    }

    /// Does what a fault says; gives whether it met anybody.
    fn strikes(&mut self, fault: Fault) -> Result<bool, crate::law::Violation> {
        let now = self.now();
        match fault {
            Fault::Cut { of, silent } => return Ok(self.cuts(of, silent)),
            Fault::OneWay { of, direction } => {
                if let Some(wire) = self.wire_of(of) {
                    wire.link.cut_one_way(direction);
                    return Ok(true);
                }
                return Ok(false);
            }
            Fault::Stall { of, lasts } => {
                if let Some(wire) = self.wire_of(of) {
                    wire.link.stall(now + lasts);
                    return Ok(true);
                }
                return Ok(false);
            }
            Fault::Crash { of, outputs, lasts } => {
                let Some(process) = &mut self.devices[of].process else {
                    return Ok(false);
                };
                process.doom = Some((outputs, lasts));
            }
            Fault::Disk { of, fault } => {
                let process = self.devices[of].process.as_mut();
                return Ok(process.is_some_and(|p| p.fails(fault)));
            }
            Fault::SlowDisk { of, lasts } => {
                let device = &mut self.devices[of];
                // The store of a device that sleeps does nothing that could be slow.
                let until = device.suspended.unwrap_or(now) + lasts;
                device.slow_until = device.slow_until.max(until);
            }
            Fault::Clock { of, by_ms } => {
                let offset = self.devices[of].offset + by_ms;
                self.sets_clock(of, offset);
            }
            Fault::Suspend { of, lasts } => {
                let device = &mut self.devices[of];
                if device.suspended.is_some() || device.process.is_none() {
                    return Ok(false);
                }
                device.suspended = Some(now + lasts);
                device.slip += lasts;
                if device.slow_until > Duration::ZERO {
                    // What the store has not done by then is not done in between.
                    device.slow_until += lasts;
                }
                if let Some(process) = &mut device.process {
                    process.slept += lasts;
                }
                self.schedule.at(now + lasts, Event::Resumes(of));
            }
            Fault::Conflict { of, lasts } => return self.conflicts(of, lasts),
            Fault::Backup { of, clone } => {
                let backup = self.devices[of].back_up(&self.ledger);
                self.devices[of].backups[usize::from(clone)] = Some(backup);
                // Taking one harms nobody.
                return Ok(false);
            }
            Fault::Restore { of, lasts } => {
                let backup = self.devices[of].backups[0].clone();
                return self.sets_back(of, backup, lasts);
            }
            Fault::CloneTakesOver { of } => {
                let backup = self.devices[of].backups[1].take();
                return self.sets_back(of, backup, MS);
            }
            Fault::Reinstall { of, lasts } => {
                self.dies(of, lasts)?;
                self.devices[of].restore(None, &mut self.ledger);
            }
            Fault::KillServer { site, lasts } => self.kills_server(site, lasts),
            Fault::KillNode { site, node } => return Ok(self.kills_node(site, node)),
            Fault::ShutDown { site, lasts } => {
                if !self.sites[site].runs {
                    return Ok(false);
                }
                self.sites[site].server.shutdown(now);
                // What it says last still leaves.
                self.pump(site)?;
                self.stops(site, lasts);
            }
            Fault::Apart {
                from,
                to,
                errors,
                lasts,
            } => self.sites[from].apart[to] = (now + lasts, errors),
            Fault::Attack => return self.attacks(),
        }
        // Stanzas that are lost between domains are counted one by one.
        Ok(!matches!(fault, Fault::Apart { .. }))
    }

    /// The device's connection.
    fn wire_of(&mut self, of: usize) -> Option<&mut super::Wire> {
        let line = self.devices[of].process.as_ref()?.line;
        self.wires.get_mut(&line.connection()?)
    }

    fn cuts(&mut self, of: usize, silent: bool) -> bool {
        let line = self.devices[of].process.as_ref().map(|p| p.line);
        let Some(on) = line.and_then(crate::device::Line::connection) else {
            return false;
        };
        if let Some(wire) = self.wires.get_mut(&on) {
            wire.link.cut();
        }
        // A server learns of silence in the end.
        let most = if silent { 120_000 * MS } else { 1000 * MS };
        let wait = self.random.time(most / 2, most);
        self.schedule.after(wait, Event::ServerNotices(on));
        if !silent {
            self.schedule.after(MS, Event::ClientNotices(on));
        }
        true
    }

    /// A server or a node is gone; its clients learn of it, or do not.
    fn breaks(&mut self, site: usize, node: Option<u8>) {
        let cut = |wire: &super::Wire| {
            wire.site == site
                && node.is_none_or(|node| node == wire.node)
                && !wire.link.is_cut(stanchion_testkit::Direction::Down)
        };
        let broken: Vec<_> = self
            .wires
            .iter()
            .filter(|(_, wire)| cut(wire))
            .map(|(on, _)| *on)
            .collect();
        for on in broken {
            if let Some(wire) = self.wires.get_mut(&on) {
                wire.link.cut();
            }
            if self.random.chance(700) {
                self.schedule.after(MS, Event::ClientNotices(on));
            }
        }
    }

    fn stops(&mut self, site: usize, lasts: Duration) {
        let now = self.now();
        self.sites[site].server.kill(now);
        self.sites[site].runs = false;
        self.schedule.after(lasts, Event::ServerStarts(site));
    }

    fn kills_server(&mut self, site: usize, lasts: Duration) {
        self.stops(site, lasts);
        self.breaks(site, None);
    }

    fn kills_node(&mut self, site: usize, node: u8) -> bool {
        if node >= self.sites[site].nodes || !self.sites[site].runs {
            return false;
        }
        self.sites[site].server.kill_node(node);
        self.breaks(site, Some(node));
        true
    }

    /// Another process binds the device's address, and does nothing with it.
    fn conflicts(&mut self, of: usize, lasts: Duration) -> Result<bool, crate::law::Violation> {
        let now = self.now();
        let device = &self.devices[of];
        let site = device.accounts[device.account].site;
        if !self.sites[site].runs {
            return Ok(false);
        }
        let on = self.next_connection;
        self.next_connection += 1;
        let login = Login {
            jid: device.jid().clone(),
            manage: false,
            resume: None,
            node: 0,
        };
        self.sites[site]
            .server
            .receive(now, on, ToServer::Login(login));
        // No link leads there: what it is sent is gone.
        self.schedule.after(lasts, Event::Leaves { site, on });
        self.pump(site)?;
        Ok(true)
    }

    /// The device's store becomes an older one.
    fn sets_back(
        &mut self,
        of: usize,
        backup: Option<Backup>,
        lasts: Duration,
    ) -> Result<bool, crate::law::Violation> {
        let Some(backup) = backup else {
            return Ok(false);
        };
        self.dies(of, lasts)?;
        self.devices[of].restore(Some(&backup), &mut self.ledger);
        self.tells(|| format!("d{of} has an older store"));
        Ok(true)
    }

    pub(super) fn sets_clock(&mut self, of: usize, offset: i64) {
        let device = &mut self.devices[of];
        let back = u64::try_from(device.offset.saturating_sub(offset)).unwrap_or(0);
        device.slip += Duration::from_millis(back);
        device.offset = offset;
    }

    pub(super) fn resumes(&mut self, of: usize) -> Checked {
        self.devices[of].suspended = None;
        Ok(())
    }

    pub(super) fn crashes(&mut self, of: usize, lasts: Duration) -> Checked {
        self.tells(|| format!("d{of} is killed"));
        self.dies(of, lasts)
    }

    /// The process ends without warning, and starts again later.
    pub(super) fn dies(&mut self, of: usize, lasts: Duration) -> Checked {
        let Some(process) = &self.devices[of].process else {
            return Ok(());
        };
        let more = self.random.below(process.queued() as u64 + 1) as usize;
        self.flush_some(of);
        self.count(of);
        let connection = self.devices[of].kill(more, &mut self.ledger)?;
        self.hangs_up(connection);
        self.schedule.after(lasts, Event::Starts(of));
        Ok(())
    }

    pub(super) fn starts(&mut self, of: usize) -> Checked {
        if self.devices[of].process.is_some() {
            return Ok(());
        }
        let (now, entropy) = (self.now(), self.random.number());
        let engine = self.setup.engine;
        self.devices[of].start(now, engine, entropy);
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
        let addresses = self.devices[of].addresses();
        self.tell(of, Input::Addresses(addresses))?;
        for (id, message) in self.ledger.messages.iter().enumerate() {
            if message.from == of
                && message.submitted
                && message.accepted.is_none()
                && !message.forgotten
            {
                self.schedule.after(wait, Event::Submits(id as u32));
            }
        }
        self.drain(of)
    }
}
