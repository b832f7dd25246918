//! The tables of the in-memory store and what each op and read does to them:
//! the same as `sqlite::apply` and `sqlite::query`, which the tests compare.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::super::op::{Op, OpResult, PRUNE_STEP};
use super::super::record::{
    Identity, InboundKey, InboundRecord, InboundState, NewInbound, Opaque, OutboundRecord,
    OutboundState, WallTime,
};
use super::super::{
    Counts, InboundFilter, InboundQuery, MAX_PAGE, OutboundFilter, OutboundQuery, Recovered, STATE,
};

#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub(super) identity: Option<Identity>,
    last_seq: u64,
    outbound: BTreeMap<u64, OutboundRecord>,
    outbound_ids: BTreeMap<String, u64>,
    last_arrival: u64,
    inbound: BTreeMap<u64, InboundRecord>,
    inbound_keys: BTreeMap<InboundKey, u64>,
    meta: BTreeMap<String, Opaque>,
}

impl Tables {
    pub(super) fn apply(&mut self, batch: Vec<Op>) -> Vec<OpResult> {
        batch.into_iter().map(|op| self.apply_one(op)).collect()
    }

    fn apply_one(&mut self, op: Op) -> OpResult {
        match op {
            Op::PutOutbound(record) => self.put_outbound(record),
            Op::SetOutboundState { id, state, at } => self.change_outbound(&id, |record| {
                record.state = state;
                record.updated_at = at;
            }),
            Op::SetOutboundAttempts { id, attempts, at } => self.change_outbound(&id, |record| {
                record.attempts = attempts;
                record.updated_at = at;
            }),
            Op::ExtendDeadline { id, deadline, at } => self.change_outbound(&id, |record| {
                record.deadline = record.deadline.map(|first| first.max(deadline));
                record.updated_at = at;
            }),
            Op::PruneOutbound { before } => self.prune_outbound(before),
            Op::TrimOutbound {
                keep_bytes,
                keep_rows,
            } => self.trim_outbound(keep_bytes, keep_rows),
            Op::TrimInbound { keep_bytes } => self.trim_inbound(keep_bytes),
            Op::PutInbound(new) => self.put_inbound(new),
            Op::MarkHanded { key, at } => self.change_inbound(&key, |record| {
                let times = match record.state {
                    InboundState::Handed { times } => times,
                    InboundState::Kept | InboundState::Handled => 0,
                };
                record.state = InboundState::Handed {
                    times: times.saturating_add(1),
                };
                record.changed_at = at;
            }),
            Op::MarkHandled { key, at } => self.change_inbound(&key, |record| {
                record.state = InboundState::Handled;
                record.changed_at = at;
            }),
            // No store in memory runs effects.
            Op::Apply { .. } => OpResult::EffectFailed,
            Op::DropInbound { key } => self.drop_inbound(&key),
            Op::RestartHandOvers { key, at } => self.change_inbound(&key, |record| {
                if let InboundState::Handed { times } = &mut record.state {
                    *times = 1;
                    record.changed_at = at;
                }
            }),
            Op::PruneInbound {
                payloads_before,
                keys_before,
                keep_at_least,
                keep_at_most,
            } => self.prune_inbound(payloads_before, keys_before, keep_at_least, keep_at_most),
            Op::PutMeta { key, value } => {
                self.meta.insert(key, value);
                OpResult::Done
            }
            Op::DeleteMeta { key } => match self.meta.remove(&key) {
                Some(_) => OpResult::Done,
                None => OpResult::NotFound,
            },
        }
    }

    fn put_outbound(&mut self, record: OutboundRecord) -> OpResult {
        if let Some(first) = self.outbound(&record.id) {
            return OpResult::OutboundExists { state: first.state };
        }
        if record.seq <= self.last_seq {
            return OpResult::SeqTaken {
                next_seq: self.last_seq + 1,
            };
        }
        self.last_seq = record.seq;
        self.outbound_ids.insert(record.id.clone(), record.seq);
        self.outbound.insert(record.seq, record);
        OpResult::Done
    }

    fn change_outbound(&mut self, id: &str, change: impl FnOnce(&mut OutboundRecord)) -> OpResult {
        let Some(record) = self
            .outbound_ids
            .get(id)
            .and_then(|seq| self.outbound.get_mut(seq))
        else {
            return OpResult::NotFound;
        };
        if record.state.is_final() {
            return OpResult::AlreadyFinal {
                state: record.state.clone(),
            };
        }
        change(record);
        OpResult::Done
    }

    fn prune_outbound(&mut self, before: WallTime) -> OpResult {
        let gone: Vec<u64> = self
            .outbound
            .values()
            .filter(|record| record.state.is_final() && record.updated_at < before)
            .take(step())
            .map(|record| record.seq)
            .collect();
        self.remove_outbound(&gone)
    }

    fn remove_outbound(&mut self, gone: &[u64]) -> OpResult {
        for seq in gone {
            if let Some(record) = self.outbound.remove(seq) {
                self.outbound_ids.remove(&record.id);
            }
        }
        pruned(0, gone.len())
    }

    fn trim_outbound(&mut self, keep_bytes: u64, keep_rows: u64) -> OpResult {
        let finals = self.outbound.values().filter(|r| r.state.is_final());
        let sizes = finals.map(|r| (r.seq, r.stanza.len()));
        let mut gone = beyond(sizes.rev(), keep_bytes, keep_rows);
        gone.reverse();
        gone.truncate(step());
        self.remove_outbound(&gone)
    }

    fn trim_inbound(&mut self, keep_bytes: u64) -> OpResult {
        let handled = self
            .inbound
            .values()
            .filter(|record| record.state == InboundState::Handled);
        let sizes = handled.filter_map(|r| Some((r.arrival, r.stanza.as_ref()?.len())));
        let mut gone = beyond(sizes.rev(), keep_bytes, u64::MAX);
        gone.reverse();
        gone.truncate(step());
        for arrival in &gone {
            if let Some(record) = self.inbound.get_mut(arrival) {
                record.stanza = None;
            }
        }
        pruned(gone.len(), 0)
    }

    fn put_inbound(&mut self, new: NewInbound) -> OpResult {
        if let Some(first) = self.inbound(&new.key) {
            return OpResult::Duplicate {
                arrival: first.arrival,
                state: first.state,
            };
        }
        self.last_arrival += 1;
        let arrival = self.last_arrival;
        self.inbound_keys.insert(new.key.clone(), arrival);
        self.inbound.insert(
            arrival,
            InboundRecord {
                arrival,
                key: new.key,
                from_full: new.from_full,
                stanza: Some(new.stanza),
                received_at: new.received_at,
                changed_at: new.received_at,
                state: if new.handed {
                    InboundState::Handed { times: 1 }
                } else {
                    InboundState::Kept
                },
            },
        );
        OpResult::Kept { arrival }
    }

    fn change_inbound(
        &mut self,
        key: &InboundKey,
        change: impl FnOnce(&mut InboundRecord),
    ) -> OpResult {
        let Some(record) = self
            .inbound_keys
            .get(key)
            .and_then(|arrival| self.inbound.get_mut(arrival))
        else {
            return OpResult::NotFound;
        };
        if record.state == InboundState::Handled {
            return OpResult::AlreadyHandled;
        }
        change(record);
        OpResult::Done
    }

    fn drop_inbound(&mut self, key: &InboundKey) -> OpResult {
        match self.inbound(key).map(|record| record.state) {
            None => OpResult::NotFound,
            Some(InboundState::Handled) => OpResult::AlreadyHandled,
            Some(_) => {
                if let Some(arrival) = self.inbound_keys.remove(key) {
                    self.inbound.remove(&arrival);
                }
                OpResult::Done
            }
        }
    }

    fn prune_inbound(
        &mut self,
        payloads_before: WallTime,
        keys_before: WallTime,
        keep_at_least: u64,
        keep_at_most: u64,
    ) -> OpResult {
        let handled: Vec<(u64, WallTime)> = self
            .inbound
            .values()
            .filter(|record| record.state == InboundState::Handled)
            .map(|record| (record.arrival, record.changed_at))
            .collect();
        let excess = handled.len().saturating_sub(index(keep_at_most));
        let spare = handled.len().saturating_sub(index(keep_at_least));
        let gone: Vec<u64> = handled
            .iter()
            .enumerate()
            .filter(|(place, (_, changed_at))| {
                *place < excess || (*place < spare && *changed_at < keys_before)
            })
            .take(step())
            .map(|(_, (arrival, _))| *arrival)
            .collect();
        for arrival in &gone {
            if let Some(record) = self.inbound.remove(arrival) {
                self.inbound_keys.remove(&record.key);
            }
        }
        let payloads = self
            .inbound
            .values_mut()
            .filter(|record| {
                record.state == InboundState::Handled
                    && record.stanza.is_some()
                    && record.changed_at < payloads_before
            })
            .take(step())
            .map(|record| record.stanza = None)
            .count();
        pruned(payloads, gone.len())
    }

    pub(super) fn outbound(&self, id: &str) -> Option<OutboundRecord> {
        let seq = self.outbound_ids.get(id)?;
        self.outbound.get(seq).cloned()
    }

    pub(super) fn outbound_page(&self, query: &OutboundQuery) -> Vec<OutboundRecord> {
        self.outbound
            .range((Bound::Excluded(query.after), Bound::Unbounded))
            .map(|(_, record)| record)
            .filter(|record| match query.filter {
                OutboundFilter::Pending => !record.state.is_final(),
                OutboundFilter::Final => record.state.is_final(),
                OutboundFilter::All => true,
            })
            .filter(|record| query.to.as_ref().is_none_or(|to| *to == record.to))
            .filter(|record| {
                let channel = query.channel.as_ref();
                channel.is_none_or(|channel| *channel == record.channel)
            })
            .take(query.limit.min(MAX_PAGE))
            .cloned()
            .collect()
    }

    pub(super) fn due(&self, by: WallTime, limit: usize) -> Vec<OutboundRecord> {
        let mut due: Vec<&OutboundRecord> = self
            .outbound
            .values()
            .filter(|record| record.state.is_undecided())
            .filter(|record| record.deadline.is_some_and(|deadline| deadline <= by))
            .collect();
        due.sort_by_key(|record| (record.deadline, record.seq));
        due.into_iter().take(limit.min(MAX_PAGE)).cloned().collect()
    }

    pub(super) fn inbound(&self, key: &InboundKey) -> Option<InboundRecord> {
        let arrival = self.inbound_keys.get(key)?;
        self.inbound.get(arrival).cloned()
    }

    pub(super) fn inbound_page(&self, query: &InboundQuery) -> Vec<InboundRecord> {
        self.inbound
            .range((Bound::Excluded(query.after), Bound::Unbounded))
            .map(|(_, record)| record)
            .filter(|record| match query.filter {
                InboundFilter::Unhandled => record.state != InboundState::Handled,
                InboundFilter::Handled => record.state == InboundState::Handled,
                InboundFilter::All => true,
            })
            .filter(|record| {
                let from = query.from_bare.as_ref();
                from.is_none_or(|from| *from == record.key.from_bare)
            })
            .take(query.limit.min(MAX_PAGE))
            .cloned()
            .collect()
    }

    pub(super) fn meta(&self, key: &str) -> Option<Opaque> {
        self.meta.get(key).cloned()
    }

    pub(super) fn meta_page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(String, Opaque)> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.meta
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit.min(MAX_PAGE))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for record in self.outbound.values() {
            let count = match &record.state {
                OutboundState::Accepted => &mut counts.accepted,
                OutboundState::InFlight => &mut counts.in_flight,
                OutboundState::ServerAccepted => &mut counts.server_accepted,
                OutboundState::InDoubt { open: true, .. } => &mut counts.in_doubt,
                OutboundState::InDoubt { open: false, .. }
                | OutboundState::Acknowledged
                | OutboundState::Delivered
                | OutboundState::NotDelivered { .. } => &mut counts.finished,
            };
            *count += 1;
            let decided = matches!(record.state, OutboundState::InDoubt { .. });
            if !record.state.is_final() && !decided {
                counts.pending_bytes += record.stanza.len() as u64;
            }
        }
        for record in self.inbound.values() {
            let count = match record.state {
                InboundState::Kept => &mut counts.kept,
                InboundState::Handed { .. } => &mut counts.handed,
                InboundState::Handled => &mut counts.handled,
            };
            *count += 1;
        }
        counts
    }

    fn lanes(&self) -> Vec<(String, String)> {
        let pending = self.outbound.values().filter(|r| !r.state.is_final());
        let lanes: BTreeSet<_> = pending
            .map(|record| (record.to.clone(), record.channel.clone()))
            .collect();
        lanes.into_iter().collect()
    }

    pub(super) fn recover(&self, identity: Identity, limit: usize) -> Recovered {
        Recovered {
            identity,
            next_seq: self.last_seq.saturating_add(1),
            outbound: self.outbound_page(&OutboundQuery {
                limit,
                ..OutboundQuery::default()
            }),
            inbound: self.inbound_page(&InboundQuery {
                limit,
                ..InboundQuery::default()
            }),
            counts: self.counts(),
            lanes: self.lanes(),
            state: self
                .meta
                .range(STATE.to_owned()..)
                .take_while(|(key, _)| key.starts_with(STATE))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }
}

/// What is beyond a number of bytes, or of rows, counted from the newest on.
fn beyond(
    newest_first: impl Iterator<Item = (u64, usize)>,
    keep_bytes: u64,
    keep_rows: u64,
) -> Vec<u64> {
    let (mut bytes, mut rows) = (0, 0);
    let over = newest_first.filter(|(_, size)| {
        bytes += *size as u64;
        rows += 1;
        bytes > keep_bytes || rows > keep_rows
    });
    over.map(|(number, _)| number).collect()
}

fn step() -> usize {
    index(PRUNE_STEP)
}

fn index(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn pruned(payloads: usize, rows: usize) -> OpResult {
    OpResult::Pruned {
        payloads: payloads as u64,
        rows: rows as u64,
        more: payloads == step() || rows == step(),
    }
}
