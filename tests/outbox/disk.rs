//! The disk, as the store promises it: a command that was carried out is durable.

use std::collections::{BTreeMap, BTreeSet};

use inferd::ids::StreamName;
use inferd::outbox::{Event, Opened, Record, Seq};

use super::id;

/// What survives a crash, as the store promises it: a command that was carried out is durable.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// Groups of one priority by their first number.
    groups: BTreeMap<Seq, Vec<Record>>,
    /// Removed in this process, though the disk failed to note it.
    removed: BTreeSet<Seq>,
    bound: usize,
    pub(super) evicted: BTreeSet<u64>,
    /// Ids whose removal is durable: they must never be seen again.
    pub(super) gone: BTreeSet<u64>,
}

impl Disk {
    /// Holds at most `bound` records.
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, ..Self::default() }
    }

    pub(super) fn append(&mut self, group: Vec<Record>) -> Vec<(StreamName, u64)> {
        let mut lanes: BTreeMap<u8, Vec<Record>> = BTreeMap::new();
        for record in group {
            lanes.entry(record.priority).or_default().push(record);
        }
        for records in lanes.into_values() {
            let first = records[0].seq;
            assert!(self.groups.insert(first, records).is_none(), "two groups begin at {first:?}");
        }
        let mut evicted: BTreeMap<StreamName, u64> = BTreeMap::new();
        while self.groups.values().map(Vec::len).sum::<usize>() > self.bound {
            let least = self.groups.iter().min_by_key(|(seq, group)| (group[0].priority, **seq));
            let first = *least.unwrap().0;
            for record in self.groups.remove(&first).unwrap() {
                self.evicted.insert(id(&record.message));
                *evicted.entry(record.stream).or_default() += 1;
            }
        }
        evicted.into_iter().collect()
    }

    pub(super) fn remove(&mut self, seqs: &[Seq], fails: bool) {
        self.removed.extend(seqs);
        if fails {
            return;
        }
        let removed = &self.removed;
        self.groups.retain(|_, group| {
            let done = group.iter().all(|record| removed.contains(&record.seq));
            if done {
                self.gone.extend(group.iter().map(|record| id(&record.message)));
            }
            !done
        });
    }

    pub(super) fn load(&self, after: Option<Seq>, limit: usize) -> Event {
        let mut records = Vec::new();
        let mut through = None;
        for (first, group) in self.groups.range(after.map_or(Seq(0), |seq| Seq(seq.0 + 1))..) {
            if records.len() >= limit {
                return Event::Loaded { records, through, end: false };
            }
            let waits = group.iter().filter(|record| !self.removed.contains(&record.seq));
            records.extend(waits.cloned());
            through = Some(*first);
        }
        Event::Loaded { records, through, end: true }
    }

    pub(super) fn open(&mut self) -> Opened {
        self.removed.clear();
        let last = self.groups.values().flatten().map(|record| record.seq.0).max();
        let records = self.groups.values().map(Vec::len).sum::<usize>() as u64;
        Opened { next: Seq(last.unwrap_or(0) + 1), records }
    }
}
