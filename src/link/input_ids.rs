//! Ids for received messages that the next process computes again.
//!
//! A broker that kept our session redelivers unacknowledged messages under their packet ids. Packet
//! ids rise and start again after 65,535, so with a count of the rounds a packet id identifies one
//! message. Half rounds are counted, as *epochs*: an even epoch has the packet ids below 32,768, an
//! odd one the rest, so a packet id tells which of two neighbouring epochs it belongs to.
//!
//! The epoch must be on disk before it is used. It is written twice a round: the next epoch is
//! announced half an epoch ahead. In the first half of an epoch no message may be unacknowledged from
//! the last epoch but one: the window of unacknowledged messages is far below 16,384 in practice.
//!
//! A broker that assigns packet ids in another order gets ids all the same. A message that has the id
//! of another one in the same process gets none.

use crate::message::InputId;

/// Packet ids in an epoch.
const EPOCH_LEN: u16 = 1 << 15;
/// The largest step between two packet ids that are in order.
const MAX_STEP: u16 = 4096;

#[derive(Debug)]
pub(crate) struct InputIds {
    /// The highest epoch that may be in use.
    announced: u64,
    last: Option<u16>,
    /// One bit for each received packet id, cleared when its epoch begins.
    seen: Box<[u64; 1024]>,
}

/// The id of a received message, and the epoch to persist if a new one was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assigned {
    pub(crate) id: Option<InputId>,
    pub(crate) advanced_to: Option<u64>,
}

impl InputIds {
    /// Continues after the epoch that the last process announced.
    pub(crate) fn new(announced: u64) -> Self {
        Self { announced, last: None, seen: Box::new([0; 1024]) }
    }

    /// A connection is up. Without its session the broker starts again with its packet ids: returns
    /// the epoch to persist.
    pub(crate) fn connected(&mut self, session_present: bool) -> Option<u64> {
        if session_present {
            return None;
        }
        // Even, and such that the epoch before it is not in use either.
        self.announced =
            (self.announced & !1).wrapping_add(if self.announced & 1 == 0 { 2 } else { 4 });
        self.last = None;
        self.seen.fill(0);
        Some(self.announced)
    }

    /// Assigns the id of a received message.
    pub(crate) fn assign(&mut self, packet: u16, dup: bool, content: u32) -> Assigned {
        let epoch = self.epoch(packet);
        let again = self.mark_seen(packet);
        // A redelivery has the id of the first delivery, also one of an earlier process.
        let id = (dup || !again).then_some(InputId { epoch, packet, content });
        Assigned { id, advanced_to: if dup { None } else { self.announce(epoch, packet) } }
    }

    fn epoch(&self, packet: u16) -> u64 {
        let in_announced = self.announced & 1 == u64::from(packet >= EPOCH_LEN);
        if in_announced { self.announced } else { self.announced.wrapping_sub(1) }
    }

    /// Whether this packet id was received before in this epoch.
    fn mark_seen(&mut self, packet: u16) -> bool {
        let Some(word) = self.seen.get_mut(usize::from(packet / 64)) else { return false };
        let bit = 1 << (packet % 64);
        std::mem::replace(word, *word | bit) & bit != 0
    }

    /// Announces the next epoch in the second half of the last one that was announced.
    fn announce(&mut self, epoch: u64, packet: u16) -> Option<u64> {
        let in_order = self.last.is_none_or(|last| packet.wrapping_sub(last) < MAX_STEP);
        self.last = Some(packet);
        if !in_order || epoch != self.announced || packet % EPOCH_LEN < EPOCH_LEN / 2 {
            return None;
        }
        self.announced = self.announced.wrapping_add(1);
        let words = self.seen.len() / 2;
        let begin = if self.announced & 1 == 0 { 0 } else { words };
        self.seen.iter_mut().skip(begin).take(words).for_each(|word| *word = 0);
        Some(self.announced)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashSet, VecDeque};

    use super::*;

    /// The next packet id of a broker that assigns them in order.
    fn after(packet: u16) -> u16 {
        packet.checked_add(1).unwrap_or(1)
    }

    #[test]
    fn over_many_rounds_and_crashes_each_message_has_one_unique_id() {
        let mut random = fastrand::Rng::with_seed(1);
        let (mut ids, mut persisted) = (InputIds::new(7), 7);
        let mut packet = 0;
        let mut seen = HashSet::new();
        let mut waiting: VecDeque<(u16, Option<InputId>)> = VecDeque::new();
        assert_eq!(ids.connected(false), Some(10));
        persisted = persisted.max(10);
        for round in 0..400_000u32 {
            packet = after(packet);
            let assigned = ids.assign(packet, false, 5);
            assert!(seen.insert(assigned.id.unwrap()), "message {round} has a assign of another");
            persisted = assigned.advanced_to.unwrap_or(persisted);
            waiting.push_back((packet, assigned.id));
            waiting.drain(..waiting.len().saturating_sub(random.usize(1..200)));
            if random.u32(..5_000) == 0 {
                ids = InputIds::new(persisted);
                assert_eq!(ids.connected(true), None);
                for (packet, assign) in &waiting {
                    assert_eq!(ids.assign(*packet, true, 5).id, *assign, "message {round}");
                }
            }
        }
    }

    #[test]
    fn a_new_session_shares_no_id_with_the_one_before() {
        let mut ids = InputIds::new(0);
        let mut seen = HashSet::new();
        for session in 0..6 {
            ids.connected(false);
            for packet in (1..40_000).chain([65_535]) {
                let id = ids.assign(packet, false, 5).id.unwrap();
                assert!(seen.insert(id), "packet {packet} of session {session}");
            }
        }
    }

    #[test]
    fn a_packet_id_that_is_used_again_at_once_gives_no_id() {
        let mut ids = InputIds::new(0);
        assert!(ids.assign(1, false, 5).id.is_some());
        assert_eq!(ids.assign(1, false, 5), Assigned { id: None, advanced_to: None });
        assert!(ids.assign(1, true, 5).id.is_some());
    }
}
