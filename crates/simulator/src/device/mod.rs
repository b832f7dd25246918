//! One device: a disk that survives, clocks that do not always tell the truth, and a
//! process. The process is in `process`; the world decides when things happen.

mod process;

use std::time::Duration;

use stanchion_reliability::engine::{Engine, EngineConfig};
use stanchion_reliability::store::{
    Image, MemoryStore, Opening, Recovered, Seed, Store as _, StoreId, WallTime,
};
use stanchion_stanza::{BareJid, FullJid};

pub(crate) use process::{Answer, Line, Process};

use crate::law::Checked;
use crate::ledger::{self, Ledger, Marks};

/// The wall clock at the world's beginning, in Unix milliseconds.
const EPOCH: i64 = 1_700_000_000_000;

/// An account of a device.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) jid: FullJid,
    pub(crate) site: usize,
}

/// A copy of a store, and what the ledger knew of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backup {
    image: Image,
    marks: Marks,
}

/// The device, whether it runs or not.
pub(crate) struct Device {
    /// Its index in the world.
    of: usize,
    pub(crate) accounts: Vec<Account>,
    /// Which of them it uses.
    pub(crate) account: usize,
    pub(crate) transactional: bool,
    /// Counts the engines that lived; events of earlier ones are void.
    pub(crate) life: u64,
    disk: Image,
    /// Stores that it had.
    stores: u64,
    pub(crate) backups: [Option<Backup>; 2],
    pub(crate) process: Option<Process>,
    pub(crate) slow_until: Duration,
    /// Suspended until then.
    pub(crate) suspended: Option<Duration>,
    /// How far its wall clock is off, in milliseconds.
    pub(crate) offset: i64,
    /// How much later than on the world's clock its deadlines can be: time in
    /// suspension, and what its wall clock jumped back.
    pub(crate) slip: Duration,
}

impl Device {
    pub(crate) fn new(of: usize, accounts: Vec<Account>, transactional: bool) -> Self {
        Self {
            of,
            accounts,
            account: 0,
            transactional,
            life: 0,
            disk: Image::default(),
            stores: 1,
            backups: [None, None],
            process: None,
            slow_until: Duration::ZERO,
            suspended: None,
            offset: 0,
            slip: Duration::ZERO,
        }
    }

    pub(crate) fn jid(&self) -> &FullJid {
        &self.accounts[self.account].jid
    }

    /// Its wall clock.
    pub(crate) fn wall(&self, at: Duration) -> WallTime {
        let since = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        WallTime::from_unix_ms(EPOCH.saturating_add(since).saturating_add(self.offset))
    }

    /// Starts the process over what is on the disk.
    pub(crate) fn start(&mut self, now: Duration, config: EngineConfig, entropy: u64) {
        self.life += 1;
        // What names it on the wire are the first eight bytes.
        let mut store_id = [0; 16];
        let number = self.stores * 16 + self.of as u64;
        store_id[..8].copy_from_slice(&number.to_be_bytes());
        let seed = Seed {
            store_id: StoreId(store_id),
            boot_token: entropy as u32,
        };
        let opening = Opening::new(seed, self.wall(now)).device(ledger::device(self.of));
        let disk = std::mem::take(&mut self.disk);
        let Ok(store) = MemoryStore::open(disk, &opening) else {
            return;
        };
        let Some(recovered) = recover(&store) else {
            return;
        };
        store.control().hold();
        let wall = self.wall(now);
        self.process = Some(Process::new(store, now, |clock| {
            let clock = clock(wall);
            Engine::new(config, recovered, clock, entropy)
        }));
    }

    /// Kills the process, `more` requests of its store being carried out before; gives
    /// the connection that it had.
    pub(crate) fn kill(
        &mut self,
        more: usize,
        ledger: &mut Ledger,
    ) -> Result<Option<u64>, crate::law::Violation> {
        for _ in 0..more {
            // Durable, but nobody hears of it.
            self.step_store(ledger)?;
        }
        let Some(process) = self.process.take() else {
            return Ok(None);
        };
        self.disk = process.control.crash();
        Ok(process.line.connection())
    }

    /// A copy of what is durable now.
    pub(crate) fn back_up(&self, ledger: &Ledger) -> Backup {
        let image = match &self.process {
            Some(process) => process.control.snapshot(),
            None => self.disk.clone(),
        };
        Backup {
            image,
            marks: ledger.marks(self.of),
        }
    }

    /// Puts a backup in place of the store of a process that is dead; none is an empty
    /// store.
    pub(crate) fn restore(&mut self, backup: Option<&Backup>, ledger: &mut Ledger) {
        if backup.is_none() {
            self.stores += 1;
        }
        self.disk = backup.map(|b| b.image.clone()).unwrap_or_default();
        ledger.set_back(self.of, backup.map(|b| &b.marks), self.transactional);
    }

    /// Opens the store again that failed closed, under the same identity, and starts a new
    /// engine from it. Gives the connection that the old one had, or none if the store
    /// does not open.
    pub(crate) fn reopen(
        &mut self,
        now: Duration,
        config: EngineConfig,
        entropy: u64,
    ) -> Option<Option<u64>> {
        let wall = self.wall(now);
        let process = self.process.as_mut()?;
        if !process.reopen_store() {
            return None;
        }
        let recovered = recover(&process.store)?;
        process.control.hold();
        self.life += 1;
        let clock = process.clock(now, wall);
        Some(process.replace_engine(now, Engine::new(config, recovered, clock, entropy)))
    }

    /// Lets the store do its oldest job; gives the answer for the engine.
    pub(crate) fn step_store(
        &mut self,
        ledger: &mut Ledger,
    ) -> Result<Option<Answer>, crate::law::Violation> {
        let Some(process) = self.process.as_mut() else {
            return Ok(None);
        };
        process.step_store(ledger, self.transactional, self.life)
    }

    /// Its bare addresses, the usual one first.
    pub(crate) fn addresses(&self) -> Vec<BareJid> {
        self.accounts.iter().map(|a| a.jid.to_bare()).collect()
    }

    /// What it was told to be durable before `h` stanzas are acknowledged, is.
    pub(crate) fn acknowledges(&self, h: u32, ledger: &Ledger) -> Checked {
        match &self.process {
            Some(process) => process.acknowledges(h, ledger),
            None => Ok(()),
        }
    }
}

fn recover(store: &MemoryStore) -> Option<Recovered> {
    store.recover(1).try_take()?.ok()
}
