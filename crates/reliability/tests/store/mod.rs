//! What the store's tests share: beds that restart a store, and short ways to
//! make records and ops.

#![allow(dead_code, reason = "each test file uses a part")]

use stanchion_reliability::store::{
    Image, InboundKey, MemoryControl, MemoryStore, NewInbound, Op, OpResult, Opening,
    OutboundRecord, OutboundState, Seed, SqliteStore, Store, StoreError, StoreId, WallTime,
};
use tempfile::TempDir;

/// Runs each law on a fresh store of each kind.
#[allow(unused_macros, reason = "each test file uses a part")]
macro_rules! laws {
    ($($law:ident)*) => {
        mod sqlite {
            $(#[tokio::test] async fn $law() { super::$law(super::SqliteBed::new()).await })*
        }
        mod memory {
            $(#[tokio::test] async fn $law() { super::$law(super::MemoryBed::new()).await })*
        }
    };
}

pub(crate) fn at(ms: i64) -> WallTime {
    WallTime::from_unix_ms(ms)
}

pub(crate) fn opening() -> Opening {
    let seed = Seed {
        store_id: StoreId([7; 16]),
        boot_token: 0xb007,
    };
    Opening::new(seed, at(1))
}

/// Something that keeps a store's content from one opening to the next. The
/// store of the last opening must be dropped or closed by then.
pub(crate) trait Bed {
    fn try_open(&mut self, device: Option<&str>) -> Result<Box<dyn Store>, StoreError>;

    fn open(&mut self) -> Box<dyn Store> {
        self.try_open(None).unwrap()
    }
}

pub(crate) struct SqliteBed {
    pub(crate) folder: TempDir,
}

impl SqliteBed {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }
}

impl Bed for SqliteBed {
    fn try_open(&mut self, device: Option<&str>) -> Result<Box<dyn Store>, StoreError> {
        let mut opening = opening();
        opening.device = device.map(str::to_owned);
        let path = self.folder.path().join("store.db");
        Ok(Box::new(SqliteStore::open(path, &opening)?))
    }
}

pub(crate) struct MemoryBed {
    last: Option<MemoryControl>,
}

impl MemoryBed {
    pub(crate) fn new() -> Self {
        Self { last: None }
    }
}

impl Bed for MemoryBed {
    fn try_open(&mut self, device: Option<&str>) -> Result<Box<dyn Store>, StoreError> {
        let mut opening = opening();
        opening.device = device.map(str::to_owned);
        let image = match &self.last {
            Some(last) => last.snapshot(),
            None => Image::default(),
        };
        let store = MemoryStore::open(image, &opening)?;
        self.last = Some(store.control());
        Ok(Box::new(store))
    }
}

pub(crate) async fn commit(store: &dyn Store, batch: Vec<Op>) -> Vec<OpResult> {
    store.submit(batch).unwrap().await.unwrap().results
}

pub(crate) fn outbound(seq: u64, id: &str) -> OutboundRecord {
    OutboundRecord {
        seq,
        id: id.into(),
        to: "pump@plant.example".into(),
        channel: String::new(),
        stanza: format!("<message id='{id}'/>").into_bytes().into(),
        accepted_at: at(1),
        deadline: None,
        protection: 0,
        state: OutboundState::Accepted,
        attempts: 0,
        updated_at: at(1),
        boot: 1,
        place: 0,
        prev: None,
    }
}

pub(crate) fn set_state(id: &str, state: OutboundState, ms: i64) -> Op {
    Op::SetOutboundState {
        id: id.into(),
        state,
        at: at(ms),
    }
}

pub(crate) fn inbound(from: &str, id: &str) -> NewInbound {
    NewInbound {
        key: InboundKey::new(from, id),
        from_full: format!("{from}/r"),
        stanza: "<message/>".into(),
        received_at: at(1),
        handed: false,
    }
}

pub(crate) fn handled(from: &str, id: &str, ms: i64) -> Op {
    Op::MarkHandled {
        key: InboundKey::new(from, id),
        at: at(ms),
    }
}
