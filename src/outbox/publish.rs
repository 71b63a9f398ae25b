//! Publishes results and handles acknowledgements and refusals.

use super::queue::Item;
use super::types::{Action, Loss, Mode, Refusal, Seq};
use super::{Outbox, RETRY_DELAY};
use crate::clock::Mono;

/// A result is dropped after this many refusals for any reason, so that it does not block others.
const MAX_REFUSALS: u8 = 3;

impl Outbox {
    /// Publishes as much as may be in flight.
    pub(super) fn publish(&mut self, now: Mono, actions: &mut Vec<Action>) {
        while self.has_free_slot() && now >= self.paused_until {
            let Some(item) = self.take_next(now) else { return };
            actions.push(Action::Publish {
                seq: item.seq,
                message: item.message.clone(),
                replayed: item.stored,
            });
            self.in_flight.push_back(item);
        }
    }

    /// Live results first (none of them has anything of its topic before it), then the disk, then
    /// what is behind it.
    fn take_next(&mut self, now: Mono) -> Option<Item> {
        if let Some(item) = self.live.pop_front() {
            Some(item)
        } else if !self.head.is_empty() {
            if self.drain_rate.ready_at() > now {
                return None;
            }
            self.drain_rate.taken(now);
            self.head.pop_front()
        } else if self.disk_is_drained() {
            self.tail.pop_front()
        } else {
            None
        }
    }

    /// When something that waits now may be published.
    pub(super) fn publish_due(&self) -> Option<Mono> {
        if !self.has_free_slot() {
            None
        } else if !self.live.is_empty() {
            Some(self.paused_until)
        } else if !self.head.is_empty() {
            Some(self.paused_until.max(self.drain_rate.ready_at()))
        } else if !self.tail.is_empty() && self.disk_is_drained() {
            Some(self.paused_until)
        } else {
            None
        }
    }

    fn has_free_slot(&self) -> bool {
        let linked = match self.mode {
            Mode::Live | Mode::Backlog => true,
            Mode::Offline | Mode::Stopping => false,
        };
        linked && self.in_flight.len() < self.settings.in_flight
    }

    pub(super) fn sent(&mut self, now: Mono, seq: Seq, actions: &mut Vec<Action>) {
        if let Some(item) = self.take_in_flight(seq) {
            self.finish(now, &item, actions);
        } else if self.mode == Mode::Stopping {
            self.acknowledged_late(now, seq, actions);
        }
    }

    /// An acknowledgement that arrives when its result is already on its way to the disk.
    fn acknowledged_late(&mut self, now: Mono, seq: Seq, actions: &mut Vec<Action>) {
        if let Some(item) = self.tail.remove(seq) {
            self.finish(now, &item, actions);
            return;
        }
        let storing = self.storing.iter_mut().find(|item| item.seq == seq);
        let input = storing.and_then(|item| item.input.take());
        actions.extend(input.map(Action::Release));
        self.record_acked(now, seq);
    }

    pub(super) fn refused(
        &mut self,
        now: Mono,
        seq: Seq,
        refusal: Refusal,
        actions: &mut Vec<Action>,
    ) {
        let Some(mut item) = self.take_in_flight(seq) else { return };
        item.refused = item.refused.saturating_add(1);
        if refusal.is_final() || item.refused >= MAX_REFUSALS {
            let (stream, loss) = (item.stream.clone(), Loss::Refused(refusal));
            actions.push(Action::Lost { stream, loss, count: 1 });
            self.finish(now, &item, actions);
            return;
        }
        self.paused_until = now.plus(RETRY_DELAY);
        if item.stored {
            let later = self.head.iter().position(|other| other.seq > item.seq);
            self.head.insert(later.unwrap_or(self.head.len()), item);
        } else {
            self.live.insert(item);
        }
    }

    /// The broker has it, or never will: nothing here needs to keep it.
    fn finish(&mut self, now: Mono, item: &Item, actions: &mut Vec<Action>) {
        actions.extend(item.input.map(Action::Release));
        if item.stored {
            self.record_acked(now, item.seq);
        }
    }

    fn record_acked(&mut self, now: Mono, seq: Seq) {
        if self.acked.is_empty() {
            self.acked_since = now;
        }
        self.acked.push(seq);
    }

    fn take_in_flight(&mut self, seq: Seq) -> Option<Item> {
        let place = self.in_flight.iter().position(|item| item.seq == seq)?;
        self.in_flight.remove(place)
    }
}
