//! What the database holds and what is to go from it.

use std::collections::{BTreeMap, HashSet};

use super::Loaded;
use super::batch::{self, Packed, Place};
use super::database::{Database, Fault};
use super::lanes::Lanes;
use super::progress::Progress;
use crate::ids::StreamName;
use crate::outbox::{Record, Seq};

/// How much may be there after an append.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) bytes: u64,
    pub(super) records: u64,
}

/// Bytes of results read at once, beside the last batch.
const LOAD_BYTES: usize = 1 << 20;

/// Counters and lists beside the database, kept while it is closed and opened again.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    lanes: Lanes,
    progress: Progress,
    /// Batches to be deleted with the next write.
    doomed: HashSet<Place>,
    next: Seq,
    evicted: u64,
    damaged: u64,
    /// By stream, since the last successful append.
    evicted_now: BTreeMap<StreamName, u64>,
}

/// What reading the whole database found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    lanes: Lanes,
    next: Seq,
    /// Batches that were not whole when the process died, or whose bytes are wrong.
    bad: HashSet<Place>,
    damaged: u64,
}

impl Scan {
    pub(super) fn of(tree: &sled::Tree) -> Result<Self, Fault> {
        let mut scan = Self::default();
        let mut open: Option<(Place, batch::Whole)> = None;
        for entry in tree.scan_prefix([batch::PREFIX]) {
            let (key, value) = entry?;
            let Some((place, piece)) = Place::of(&key) else { continue };
            match &mut open {
                Some((at, whole)) if *at == place => whole.push(piece, &value),
                _ => {
                    scan.finish(open.take());
                    let mut whole = batch::Whole::default();
                    whole.push(piece, &value);
                    open = Some((place, whole));
                }
            }
        }
        scan.finish(open);
        Ok(scan)
    }

    fn finish(&mut self, batch: Option<(Place, batch::Whole)>) {
        let Some((place, whole)) = batch else { return };
        match batch::verify(place, whole.bytes()) {
            Some((header, _)) => {
                self.lanes.add(place.priority, u64::from(header.records), whole.disk_bytes());
                self.next = self.next.max(Seq(header.last.0.saturating_add(1)));
            }
            None => {
                self.damaged += u64::from(whole.was_finished());
                self.bad.insert(place);
            }
        }
    }
}

impl Ledger {
    /// Starts over with what a scan found; progress and what is doomed stay.
    pub(super) fn recount(&mut self, scan: Scan) {
        self.lanes = scan.lanes;
        self.next = self.next.max(scan.next);
        self.damaged += scan.damaged;
        self.doomed.extend(scan.bad);
    }

    pub(super) fn next(&self) -> Seq {
        self.next
    }

    pub(super) fn records(&self) -> u64 {
        self.lanes.records()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.lanes.bytes()
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(super) fn damaged(&self) -> u64 {
        self.damaged
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub(super) fn take_evicted(&mut self) -> Vec<(StreamName, u64)> {
        std::mem::take(&mut self.evicted_now).into_iter().collect()
    }

    pub(super) fn doom(&mut self, places: impl Iterator<Item = Place>) {
        self.doomed.extend(places);
    }

    /// Writes the batches of a group, those of the highest priority first, and makes room for each
    /// at the cost of what is not above it.
    pub(super) fn append(
        &mut self,
        database: &Database,
        group: &[Record],
        packed: &[Packed],
        bounds: Bounds,
    ) -> Result<(), Fault> {
        self.note_evicted(group.iter().filter(|record| batch::is_too_long(record)));
        database.act(|tree| {
            self.sweep(tree)?;
            for batch in packed.iter().rev() {
                if self.make_room(tree, batch, bounds)? {
                    write(tree, batch)?;
                    self.lanes.add(batch.place.priority, batch.records, batch.bytes());
                } else {
                    let priority = batch.place.priority;
                    self.note_evicted(group.iter().filter(|r| r.priority == priority));
                }
            }
            Ok(())
        })?;
        self.flush(database)
    }

    /// `false` where even an empty lane would not do.
    fn make_room(
        &mut self,
        tree: &sled::Tree,
        batch: &Packed,
        bounds: Bounds,
    ) -> Result<bool, Fault> {
        let fits = |lanes: &Lanes| {
            lanes.bytes().saturating_add(batch.bytes()) <= bounds.bytes
                && lanes.records().saturating_add(batch.records) <= bounds.records
        };
        while !fits(&self.lanes) {
            let least = self.lanes.priorities().next();
            let Some(priority) = least.filter(|least| *least <= batch.place.priority) else {
                return Ok(false);
            };
            self.evict_oldest(tree, priority)?;
        }
        Ok(true)
    }

    fn evict_oldest(&mut self, tree: &sled::Tree, priority: u8) -> Result<(), Fault> {
        let Some(place) = next_in_lane(tree, priority, Seq(0))? else {
            // The count was wrong: nothing of this priority is there.
            self.lanes.clear(priority);
            return Ok(());
        };
        let whole = read(tree, place)?;
        let records = batch::unpack(place, whole.bytes()).unwrap_or_default();
        let begun = self.progress.has_begun(place);
        let waiting = records.iter().filter(|record| !begun || self.progress.waits(record.seq));
        let waiting: Vec<&Record> = waiting.collect();
        self.note_evicted(waiting.into_iter());
        self.delete(tree, place)
    }

    fn note_evicted<'a>(&mut self, records: impl Iterator<Item = &'a Record>) {
        for record in records {
            self.evicted += 1;
            *self.evicted_now.entry(record.stream.clone()).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, database: &Database, seqs: &[Seq]) -> Result<(), Fault> {
        database.act(|tree| {
            for seq in seqs {
                if !self.progress.waits(*seq) {
                    self.find(tree, *seq)?;
                }
                self.doomed.extend(self.progress.finish(*seq));
            }
            Ok(())
        })?;
        if self.doomed.is_empty() {
            return Ok(());
        }
        database.act(|tree| self.sweep(tree))?;
        self.flush(database)
    }

    /// Notes the batch that holds a result nobody has loaded.
    fn find(&mut self, tree: &sled::Tree, seq: Seq) -> Result<(), Fault> {
        for priority in self.lanes.priorities().collect::<Vec<_>>() {
            let upto = Place { priority, first: seq }.key(u16::MAX);
            let from = Place { priority, first: Seq(0) }.key(0);
            let Some(entry) = tree.range(from..=upto).next_back() else { continue };
            let Some((place, _)) = Place::of(&entry?.0) else { continue };
            let records = batch::unpack(place, read(tree, place)?.bytes()).unwrap_or_default();
            if records.iter().any(|record| record.seq == seq) {
                self.progress.begin(place, &records);
            }
        }
        Ok(())
    }

    pub(super) fn load(
        &mut self,
        database: &Database,
        after: Option<Seq>,
        limit: usize,
    ) -> Result<Loaded, Fault> {
        let mut loaded = Loaded { records: Vec::new(), through: after, end: false };
        let mut bytes = 0;
        database.act(|tree| {
            while let Some(place) = self.next_after(tree, loaded.through)? {
                if loaded.records.len() >= limit || bytes >= LOAD_BYTES {
                    return Ok(());
                }
                loaded.through = Some(place.first);
                let records = self.open_batch(tree, place)?;
                bytes += records.iter().map(|record| record.message.payload.len()).sum::<usize>();
                loaded.records.extend(records);
            }
            loaded.end = true;
            Ok(())
        })?;
        Ok(loaded)
    }

    /// The results of a batch that still wait.
    fn open_batch(&mut self, tree: &sled::Tree, place: Place) -> Result<Vec<Record>, Fault> {
        let Some(mut records) = batch::unpack(place, read(tree, place)?.bytes()) else {
            // It was whole when the database was opened.
            self.damaged += 1;
            self.doomed.insert(place);
            return Ok(Vec::new());
        };
        self.progress.begin(place, &records);
        records.retain(|record| self.progress.waits(record.seq));
        Ok(records)
    }

    /// The oldest batch that begins after `after`, whatever its priority.
    fn next_after(&self, tree: &sled::Tree, after: Option<Seq>) -> Result<Option<Place>, Fault> {
        let mut next: Option<Place> = None;
        let start = after.map_or(Seq(0), |seq| Seq(seq.0.saturating_add(1)));
        for priority in self.lanes.priorities() {
            let mut place = next_in_lane(tree, priority, start)?;
            while let Some(doomed) = place.filter(|place| self.doomed.contains(place)) {
                place = next_in_lane(tree, priority, Seq(doomed.first.0.saturating_add(1)))?;
            }
            next = match (next, place) {
                (Some(a), Some(b)) => Some(if a.first <= b.first { a } else { b }),
                (a, b) => a.or(b),
            };
        }
        Ok(next)
    }

    /// Deletes what is doomed; it stays so until [`Self::flush`] has made that durable.
    fn sweep(&mut self, tree: &sled::Tree) -> Result<(), Fault> {
        let doomed: Vec<Place> = self.doomed.iter().copied().collect();
        doomed.into_iter().try_for_each(|place| self.delete(tree, place))
    }

    fn flush(&mut self, database: &Database) -> Result<(), Fault> {
        database.flush()?;
        self.doomed.clear();
        Ok(())
    }

    fn delete(&mut self, tree: &sled::Tree, place: Place) -> Result<(), Fault> {
        let whole = read(tree, place)?;
        if let Some((header, _)) = batch::verify(place, whole.bytes()) {
            self.lanes.subtract(place.priority, u64::from(header.records), whole.disk_bytes());
        }
        for key in tree.range(place.key(0)..=place.key(u16::MAX)).keys() {
            tree.remove(key?)?;
        }
        self.progress.forget(place);
        Ok(())
    }
}

fn next_in_lane(tree: &sled::Tree, priority: u8, start: Seq) -> Result<Option<Place>, Fault> {
    let from = Place { priority, first: start }.key(0);
    let upto = Place { priority, first: Seq(u64::MAX) }.key(u16::MAX);
    let key = tree.range(from..=upto).keys().next().transpose()?;
    Ok(key.and_then(|key| Place::of(&key)).map(|(place, _)| place))
}

/// All pieces that are there, in order.
fn read(tree: &sled::Tree, place: Place) -> Result<batch::Whole, Fault> {
    let mut whole = batch::Whole::default();
    for entry in tree.range(place.key(0)..=place.key(u16::MAX)) {
        let (key, value) = entry?;
        if let Some((_, piece)) = Place::of(&key) {
            whole.push(piece, &value);
        }
    }
    Ok(whole)
}

/// Writes a batch, its first piece last.
fn write(tree: &sled::Tree, batch: &Packed) -> Result<(), Fault> {
    let pieces = (0..=u16::MAX).zip(&batch.pieces).collect::<Vec<_>>();
    for (piece, bytes) in pieces.into_iter().rev() {
        tree.insert(batch.place.key(piece), bytes.as_slice())?;
    }
    Ok(())
}
