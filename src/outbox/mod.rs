//! Queue of results that the broker has not acknowledged yet: a pure state machine.
//!
//! ```text
//!            push ─┬─ may pass the backlog ──> live ──────────────┐
//!                  └─ stands behind it ──> tail ──(disk empty)──> flying ──> acknowledged
//!                                           │                     │
//!                                        storing ──> disk ──> head┘
//! ```
//!
//! In Live mode a result goes from `live` to the broker and the disk sees nothing of it. Offline,
//! results gather in `tail` and go to disk in groups. When the link returns, what is on disk is
//! loaded into `head` piece by piece and sent first, then `tail`; a result is removed from the disk
//! when the broker has it, not before. A result passes the backlog only where nothing of its stream
//! and topic waits there, so that their order always holds; with `in_order` nothing passes.
//!
//! An input is released when its result is safe: acknowledged by the broker or durable on disk.
//! Items that an input still waits for are never evicted: there are no more of them than the
//! broker may have unacknowledged at us (receive maximum).

mod backlog_filter;
mod drain_rate;
mod memory_limits;
mod publish;
mod queue;
mod spill;
#[cfg(test)]
mod tests;
mod types;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Mono;
use crate::ids::StreamName;
use crate::message::ResultMessage;

pub use types::{Action, Event, Loss, Mode, Opened, Record, Refusal, Seq, Settings, StreamPolicy};

use backlog_filter::BacklogFilter;
use drain_rate::DrainRate;
use queue::{Item, OutboxQueue};
use spill::Disk;

/// How long to wait after a failure of the store or a refusal that may pass.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The state machine. Its owner passes events in and executes the returned actions in order.
#[derive(Debug)]
pub struct Outbox {
    settings: Settings,
    mode: Mode,
    next: Seq,
    /// Nothing of their streams and topics waits in the backlog.
    live: OutboxQueue,
    /// The newest part of the backlog.
    tail: OutboxQueue,
    /// The group on its way to the disk.
    storing: Vec<Item>,
    disk: Disk,
    /// Read from the disk, not published yet.
    head: VecDeque<Item>,
    /// Published, not acknowledged.
    in_flight: VecDeque<Item>,
    /// On disk and acknowledged by the broker, not yet reported to the store.
    acked: Vec<Seq>,
    acked_since: Mono,
    backlog_filter: BacklogFilter,
    drain_rate: DrainRate,
    /// Nothing is published before this: the broker refused for a reason that may pass.
    paused_until: Mono,
}

impl Outbox {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            mode: Mode::Offline,
            next: Seq::default(),
            live: OutboxQueue::default(),
            tail: OutboxQueue::default(),
            storing: Vec::new(),
            disk: Disk::default(),
            head: VecDeque::new(),
            in_flight: VecDeque::new(),
            acked: Vec::new(),
            acked_since: Mono(0),
            backlog_filter: BacklogFilter::all(),
            drain_rate: DrainRate::per_second(settings.drain_rate),
            paused_until: Mono(0),
            settings,
        }
    }

    /// Handles one event and appends the resulting actions to `actions`.
    pub fn on(&mut self, now: Mono, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Push(finished) => self.push(now, finished),
            Event::LinkUp => self.link_up(),
            Event::LinkDown => self.link_down(now),
            Event::Sent(seq) => self.sent(now, seq, actions),
            Event::Refused { seq, refusal } => self.refused(now, seq, refusal, actions),
            Event::Opened(opened) => self.opened(opened),
            Event::StoreUnavailable => self.disk.set_unavailable(),
            Event::Stored { evicted } => self.stored(evicted, actions),
            Event::StoreFailed => self.store_failed(now),
            Event::Loaded { records, through, end } => self.loaded(now, records, through, end),
            Event::LoadFailed => self.load_failed(now),
            Event::Tick => {}
            Event::DrainNow => self.drain_rate = DrainRate::per_second(0),
            Event::Stop => self.stop(now),
        }
        self.advance(now, actions);
    }

    /// When the next `Tick` is due, if nothing else happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        let removal = (!self.acked.is_empty()).then(|| self.removal_due());
        let due = [self.group_due(), self.load_due(), removal, self.publish_due()];
        due.into_iter().flatten().min()
    }

    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Results in memory that neither the broker nor the disk is known to have.
    #[must_use]
    pub fn volatile_records(&self) -> usize {
        let in_flight = self.in_flight.iter().filter(|item| !item.stored).count();
        self.live.len() + self.tail.len() + self.storing.len() + in_flight
    }

    /// Results that wait for the broker or for its acknowledgement, and are in memory or were read
    /// from the disk.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.volatile_records() > 0 || !self.head.is_empty() || !self.in_flight.is_empty()
    }

    /// The stream and the topic of a result that was published and is not acknowledged.
    #[must_use]
    pub fn in_flight(&self, seq: Seq) -> Option<(&StreamName, &str)> {
        let item = self.in_flight.iter().find(|item| item.seq == seq)?;
        Some((&item.stream, item.message.topic.as_str()))
    }

    /// After `Stop`: everything is on disk or with the broker.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.volatile_records() == 0 && self.acked.is_empty()
    }

    fn push(&mut self, now: Mono, finished: ResultMessage) {
        let Some(policy) = self.settings.streams.get(finished.stream) else {
            debug_assert!(false, "stream {} is not configured", finished.stream);
            return;
        };
        let (stream, priority) = (policy.name.clone(), policy.priority);
        let item = Item {
            seq: self.take_seq(),
            stream,
            priority,
            message: Arc::new(finished.message),
            input: finished.input,
            stored: false,
            since: now,
            refused: 0,
        };
        match self.mode {
            Mode::Live => self.live.insert(item),
            Mode::Backlog if self.may_pass(&item) => self.live.insert(item),
            Mode::Backlog => {
                self.drain_rate.credit();
                self.join_backlog(item);
            }
            Mode::Offline | Mode::Stopping => self.join_backlog(item),
        }
    }

    fn may_pass(&self, item: &Item) -> bool {
        !self.settings.in_order && !self.backlog_filter.contains(&item.stream, &item.message.topic)
    }

    fn join_backlog(&mut self, item: Item) {
        self.backlog_filter.insert(&item.stream, &item.message.topic);
        self.tail.insert(item);
    }

    fn take_seq(&mut self) -> Seq {
        let seq = self.next;
        self.next = Seq(seq.0 + 1);
        seq
    }

    fn link_up(&mut self) {
        match self.mode {
            Mode::Offline => self.mode = Mode::Backlog,
            Mode::Live | Mode::Backlog | Mode::Stopping => {}
        }
    }

    fn link_down(&mut self, now: Mono) {
        self.drain_rate.set_rate(self.settings.drain_rate);
        match self.mode {
            Mode::Live | Mode::Backlog => self.mode = Mode::Offline,
            Mode::Offline | Mode::Stopping => {}
        }
        self.requeue_in_flight(now);
    }

    fn stop(&mut self, now: Mono) {
        self.mode = Mode::Stopping;
        self.requeue_in_flight(now);
    }

    /// Brings what is published or about to be back behind: what the disk holds stays there, the
    /// rest joins the tail where its number belongs.
    fn requeue_in_flight(&mut self, now: Mono) {
        let (stored, unstored): (Vec<Item>, Vec<Item>) =
            self.in_flight.drain(..).partition(|item| item.stored);
        self.disk.rewind(!self.head.is_empty() || !stored.is_empty());
        for item in self.head.drain(..).chain(stored) {
            self.backlog_filter.insert(&item.stream, &item.message.topic);
        }
        for item in unstored.into_iter().chain(self.live.take_all()) {
            self.join_backlog(Item { since: now, ..item });
        }
        if self.tail.front().is_some_and(|oldest| oldest.seq < self.disk.base()) {
            self.renumber_tail();
        }
    }

    /// Gives new numbers to results that were numbered before the disk said where to start.
    fn renumber_tail(&mut self) {
        for mut item in self.tail.take_all() {
            item.seq = self.take_seq();
            self.tail.insert(item);
        }
    }

    /// Does whatever has become possible or due.
    fn advance(&mut self, now: Mono, actions: &mut Vec<Action>) {
        self.publish(now, actions);
        self.demote_live();
        self.spill(now, actions);
        self.evict(actions);
        self.report_removals(now, actions);
        self.load(now, actions);
        self.update_mode();
    }

    /// Backlog becomes Live when nothing is left of it.
    fn update_mode(&mut self) {
        let nothing_waits = self.tail.is_empty() && self.disk_is_drained();
        if self.mode == Mode::Backlog && nothing_waits {
            self.mode = Mode::Live;
            self.drain_rate.set_rate(self.settings.drain_rate);
            self.backlog_filter.clear();
        }
    }
}
