//! Writes results to disk in groups and loads them back.

use super::queue::Item;
use super::types::{Action, Loss, Mode, Opened, Record, Seq};
use super::{Outbox, RETRY_DELAY};
use crate::clock::Mono;
use crate::ids::StreamName;

/// A group that had to wait may hold this many times the configured number of results.
pub(super) const MAX_GROUP_GROWTH: usize = 4;
/// Bytes of one group; a single result may be larger.
pub(super) const MAX_GROUP_BYTES: usize = 256 * 1024;

/// What is known about the results on disk.
#[derive(Debug)]
pub(super) struct Disk {
    state: DiskState,
    /// Something may wait there that has not been loaded since the last rewind.
    unread: bool,
    /// Everything up to here has been loaded.
    cursor: Option<Seq>,
    loading: LoadState,
    /// Nothing is asked of the store before this.
    retry_at: Mono,
    /// The lowest number this run may give.
    base: Seq,
    /// The highest number ever sent there by this run.
    highest: Option<Seq>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DiskState {
    /// What it holds is not known yet.
    Opening,
    Open,
    /// It could not be opened.
    Unavailable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoadState {
    Idle,
    Requested,
    /// Asked before the last rewind: the answer is of no use.
    Stale,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            state: DiskState::Opening,
            unread: false,
            cursor: None,
            loading: LoadState::Idle,
            retry_at: Mono(0),
            base: Seq::default(),
            highest: None,
        }
    }
}

impl Disk {
    pub(super) fn is_open(&self) -> bool {
        self.state == DiskState::Open
    }

    pub(super) fn base(&self) -> Seq {
        self.base
    }

    pub(super) fn set_unavailable(&mut self) {
        self.state = DiskState::Unavailable;
        self.unread = false;
    }

    /// Starts over at the oldest; `again` where something was loaded that is not acknowledged.
    pub(super) fn rewind(&mut self, again: bool) {
        let asked = self.loading != LoadState::Idle;
        self.unread |= again || asked;
        self.cursor = None;
        if asked {
            self.loading = LoadState::Stale;
        }
    }

    fn is_read(&self) -> bool {
        let known = match self.state {
            DiskState::Opening => false,
            DiskState::Open | DiskState::Unavailable => true,
        };
        known && !self.unread && self.loading == LoadState::Idle
    }
}

impl Outbox {
    /// Whether nothing on disk, or on its way there or back, waits to be published.
    pub(super) fn disk_is_drained(&self) -> bool {
        self.storing.is_empty() && self.head.is_empty() && self.disk.is_read()
    }

    pub(super) fn opened(&mut self, opened: Opened) {
        let before = std::mem::replace(&mut self.disk.state, DiskState::Open);
        self.disk.retry_at = Mono(0);
        if before == DiskState::Open {
            return;
        }
        if opened.next > self.next {
            self.next = opened.next;
            self.disk.base = opened.next;
            self.renumber_tail();
        }
        self.disk.unread = opened.records > 0;
        if opened.records == 0 && self.tail.is_empty() {
            self.backlog_filter.clear();
        } else {
            self.backlog_filter.fill();
        }
        if self.mode == Mode::Live {
            self.mode = Mode::Backlog;
        }
    }

    /// When the next group is to be written; `None` while there is none or one is on its way.
    pub(super) fn group_due(&self) -> Option<Mono> {
        let oldest = self.tail.front()?;
        if !self.disk.is_open() || !self.storing.is_empty() {
            return None;
        }
        let full = self.tail.len() >= self.settings.group_records
            || self.tail.bytes() >= MAX_GROUP_BYTES
            || self.mode == Mode::Stopping;
        let due = if full { Mono(0) } else { oldest.since.plus(self.settings.group_delay) };
        let wanted = match self.mode {
            Mode::Offline | Mode::Stopping => Some(due),
            Mode::Live => None,
            Mode::Backlog if self.memory_is_full() => Some(Mono(0)),
            // An input that waits behind a long backlog would hold up every later one.
            Mode::Backlog if self.tail.input_waits() && !self.disk_is_drained() => Some(due),
            Mode::Backlog => None,
        };
        wanted.map(|due| due.max(self.disk.retry_at))
    }

    /// Sends the oldest of the tail to the disk when a group is due.
    pub(super) fn spill(&mut self, now: Mono, actions: &mut Vec<Action>) {
        if self.group_due().is_some_and(|due| due <= now) {
            self.storing = self.take_group();
            self.disk.highest = self.disk.highest.max(self.storing.last().map(|item| item.seq));
            actions.push(Action::Store(self.storing.iter().map(Item::record).collect()));
        }
    }

    /// The oldest of the tail. A group never spans numbers already on disk: the disk keeps groups
    /// in the order of their first, and a result must not overtake one of its topic there.
    fn take_group(&mut self) -> Vec<Item> {
        let most = self.settings.group_records.max(1).saturating_mul(MAX_GROUP_GROWTH);
        let old = |item: &Item| Some(item.seq) <= self.disk.highest;
        let begins_old = self.tail.front().is_some_and(old);
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some(item) = self.tail.front() {
            let fits = group.is_empty() || bytes + item.bytes() <= MAX_GROUP_BYTES;
            if group.len() >= most || !fits || old(item) != begins_old {
                break;
            }
            bytes += item.bytes();
            group.extend(self.tail.pop_front());
        }
        group
    }

    pub(super) fn stored(&mut self, evicted: Vec<(StreamName, u64)>, actions: &mut Vec<Action>) {
        let inputs = self.storing.drain(..).filter_map(|item| item.input);
        actions.extend(inputs.map(Action::Release));
        self.disk.unread = true;
        let lost = |(stream, count)| Action::Lost { stream, loss: Loss::DiskFull, count };
        actions.extend(evicted.into_iter().map(lost));
    }

    pub(super) fn store_failed(&mut self, now: Mono) {
        self.disk.retry_at = now.plus(RETRY_DELAY);
        for item in std::mem::take(&mut self.storing) {
            self.tail.insert(item);
        }
    }

    pub(super) fn load_due(&self) -> Option<Mono> {
        let wanted = self.mode == Mode::Backlog
            && self.disk.is_open()
            && self.disk.unread
            && self.disk.loading == LoadState::Idle
            && self.head.len() < self.settings.in_flight;
        wanted.then_some(self.disk.retry_at)
    }

    pub(super) fn load(&mut self, now: Mono, actions: &mut Vec<Action>) {
        if self.load_due().is_some_and(|due| due <= now) {
            self.disk.loading = LoadState::Requested;
            let limit = self.settings.in_flight + self.settings.group_records;
            actions.push(Action::Load { after: self.disk.cursor, limit });
        }
    }

    pub(super) fn loaded(
        &mut self,
        now: Mono,
        records: Vec<Record>,
        through: Option<Seq>,
        end: bool,
    ) {
        if std::mem::replace(&mut self.disk.loading, LoadState::Idle) == LoadState::Requested {
            self.head.extend(records.into_iter().map(|record| Item::loaded(record, now)));
            self.disk.cursor = through.or(self.disk.cursor);
            self.disk.unread = !end;
        }
    }

    pub(super) fn load_failed(&mut self, now: Mono) {
        self.disk.loading = LoadState::Idle;
        self.disk.retry_at = now.plus(RETRY_DELAY);
    }

    /// When the results acknowledged since the last report are to be removed from the disk.
    pub(super) fn removal_due(&self) -> Mono {
        let gathering = match self.mode {
            Mode::Live | Mode::Backlog => self.acked.len() < self.settings.group_records,
            Mode::Offline | Mode::Stopping => false,
        };
        if gathering { self.acked_since.plus(self.settings.group_delay) } else { Mono(0) }
    }

    pub(super) fn report_removals(&mut self, now: Mono, actions: &mut Vec<Action>) {
        if !self.acked.is_empty() && self.removal_due() <= now {
            actions.push(Action::Remove(std::mem::take(&mut self.acked)));
        }
    }
}
