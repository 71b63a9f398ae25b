//! An ordered queue of results in memory with fast eviction of the lowest priority.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::types::{Record, Seq};
use crate::clock::Mono;
use crate::ids::StreamName;
use crate::message::{AckToken, Outgoing};

/// One result in memory.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) seq: Seq,
    pub(super) stream: StreamName,
    pub(super) priority: u8,
    pub(super) message: Arc<Outgoing>,
    /// The input that waits for this result and has not been released.
    pub(super) input: Option<AckToken>,
    /// Whether the disk holds it too.
    pub(super) stored: bool,
    /// When it came here.
    pub(super) since: Mono,
    /// How often the broker refused it.
    pub(super) refused: u8,
}

/// What an item takes beside its payload, roughly.
const ITEM_OVERHEAD_BYTES: usize = 256;

impl Item {
    pub(super) fn bytes(&self) -> usize {
        ITEM_OVERHEAD_BYTES + self.message.payload.len() + self.message.topic.len()
    }

    pub(super) fn record(&self) -> Record {
        Record {
            seq: self.seq,
            stream: self.stream.clone(),
            priority: self.priority,
            message: self.message.clone(),
        }
    }

    pub(super) fn loaded(record: Record, now: Mono) -> Self {
        Self {
            seq: record.seq,
            stream: record.stream,
            priority: record.priority,
            message: record.message,
            input: None,
            stored: true,
            since: now,
            refused: 0,
        }
    }
}

/// Items ordered by their number.
///
/// Kept in one lane for each priority, and those an input waits for apart: taking the oldest looks
/// at the front of each lane, giving up the oldest of the least priority takes from the first.
#[derive(Debug, Default)]
pub(super) struct OutboxQueue {
    subqueues: BTreeMap<SubqueueKey, VecDeque<Item>>,
    len: usize,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SubqueueKey {
    input_waits: bool,
    priority: u8,
}

impl OutboxQueue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether an input waits for any of the items.
    pub(super) fn input_waits(&self) -> bool {
        self.subqueues.iter().any(|(subqueue, items)| subqueue.input_waits && !items.is_empty())
    }

    /// The oldest item.
    pub(super) fn front(&self) -> Option<&Item> {
        self.subqueues.values().filter_map(VecDeque::front).min_by_key(|item| item.seq)
    }

    pub(super) fn pop_front(&mut self) -> Option<Item> {
        let subqueue = self.subqueues.values_mut().filter(|items| !items.is_empty());
        let item = subqueue.min_by_key(|items| items.front().map(|item| item.seq))?.pop_front()?;
        Some(self.uncount(item))
    }

    /// Puts an item where its number belongs; cheap at either end.
    pub(super) fn insert(&mut self, item: Item) {
        self.len += 1;
        self.bytes += item.bytes();
        let subqueue = SubqueueKey { input_waits: item.input.is_some(), priority: item.priority };
        let items = self.subqueues.entry(subqueue).or_default();
        if items.back().is_none_or(|last| last.seq < item.seq) {
            items.push_back(item);
        } else {
            let place = items.partition_point(|other| other.seq < item.seq);
            items.insert(place, item);
        }
    }

    /// Gives up the oldest item of the least priority that no input waits for.
    pub(super) fn evict(&mut self) -> Option<Item> {
        let mut subqueues = self.subqueues.iter_mut().filter(|(subqueue, _)| !subqueue.input_waits);
        let item = subqueues.find_map(|(_, items)| items.pop_front())?;
        Some(self.uncount(item))
    }

    pub(super) fn remove(&mut self, seq: Seq) -> Option<Item> {
        let item = self.subqueues.values_mut().find_map(|items| {
            let place = items.binary_search_by_key(&seq, |item| item.seq).ok()?;
            items.remove(place)
        })?;
        Some(self.uncount(item))
    }

    /// Empties the queue, oldest first.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Item> + use<> {
        let mut taken = std::mem::take(self);
        std::iter::from_fn(move || taken.pop_front())
    }

    fn uncount(&mut self, item: Item) -> Item {
        self.len -= 1;
        self.bytes -= item.bytes();
        item
    }
}
