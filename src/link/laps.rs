//! Names for received messages that the next process finds again.
//!
//! A broker that kept our session sends what was not acknowledged again under its old packet id.
//! Packet ids are given in rising order and start over after 65,535; so with a count of how often
//! they did, a packet id names one message for ever. Half rounds are counted, *laps*: those of even
//! number have the packet ids below 32,768, those of odd number the rest, so a packet id tells of
//! two neighbouring laps which one it is from.
//!
//! The count must be on disk before it is used and is written twice a round: the next epoch is
//! announced half a epoch ahead. Until the middle of a epoch no message may wait from the epoch before the
//! last one: a window of unacknowledged messages is far shorter than 16,384 in practice.
//!
//! A broker that gives packet ids in another order gets names all the same. What came twice under
//! one name in one process has none.

use crate::message::InputId;

/// Packet ids in a epoch.
const LAP: u16 = 1 << 15;
/// A packet id this close behind the last one is in order.
const STRIDE: u16 = 4096;

#[derive(Debug)]
pub(crate) struct Laps {
    /// The highest epoch that may be in use.
    announced: u64,
    last: Option<u16>,
    /// One bit for each packet id that has come, cleared when its epoch begins.
    seen: Box<[u64; 1024]>,
}

/// What a received message is called, and the epoch to be kept on disk, where it is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) input_id: Option<InputId>,
    pub(crate) announced: Option<u64>,
}

impl Laps {
    /// Goes on from what the last process announced.
    pub(crate) fn from(announced: u64) -> Self {
        Self { announced, last: None, seen: Box::new([0; 1024]) }
    }

    /// A connection is up. Without its session the broker starts over with its packet ids: gives
    /// the epoch to be kept on disk.
    pub(crate) fn connected(&mut self, session_present: bool) -> Option<u64> {
        if session_present {
            return None;
        }
        // Even, and so that the epoch before it is not in use either.
        self.announced =
            (self.announced & !1).wrapping_add(if self.announced & 1 == 0 { 2 } else { 4 });
        self.last = None;
        self.seen.fill(0);
        Some(self.announced)
    }

    /// A message came.
    pub(crate) fn name(&mut self, packet: u16, dup: bool, content: u32) -> Named {
        let epoch = self.epoch(packet);
        let again = self.note(packet);
        // One that comes again has the name of the first time, and so has one that the process
        // before this has seen.
        let input_id = (dup || !again).then_some(InputId { epoch, packet, content });
        Named { input_id, announced: if dup { None } else { self.announce(epoch, packet) } }
    }

    fn epoch(&self, packet: u16) -> u64 {
        let in_announced = self.announced & 1 == u64::from(packet >= LAP);
        if in_announced { self.announced } else { self.announced.wrapping_sub(1) }
    }

    /// Whether this packet id has come before in this epoch.
    fn note(&mut self, packet: u16) -> bool {
        let Some(word) = self.seen.get_mut(usize::from(packet / 64)) else { return false };
        let bit = 1 << (packet % 64);
        std::mem::replace(word, *word | bit) & bit != 0
    }

    /// Announces the next epoch in the second half of the last one that was announced.
    fn announce(&mut self, epoch: u64, packet: u16) -> Option<u64> {
        let in_order = self.last.is_none_or(|last| packet.wrapping_sub(last) < STRIDE);
        self.last = Some(packet);
        if !in_order || epoch != self.announced || packet % LAP < LAP / 2 {
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

    /// Packet ids in order, as the standard's brokers give them.
    fn after(packet: u16) -> u16 {
        packet.checked_add(1).unwrap_or(1)
    }

    #[test]
    fn over_many_rounds_and_crashes_each_message_has_one_name_and_no_other_has_it() {
        let mut random = fastrand::Rng::with_seed(1);
        let (mut laps, mut kept) = (Laps::from(7), 7);
        let mut packet = 0;
        let mut names = HashSet::new();
        let mut waiting: VecDeque<(u16, Option<InputId>)> = VecDeque::new();
        assert_eq!(laps.connected(false), Some(10));
        kept = kept.max(10);
        for round in 0..400_000u32 {
            packet = after(packet);
            let named = laps.name(packet, false, 5);
            assert!(names.insert(named.input_id.unwrap()), "message {round} has a name of another");
            kept = named.announced.unwrap_or(kept);
            waiting.push_back((packet, named.input_id));
            waiting.drain(..waiting.len().saturating_sub(random.usize(1..200)));
            if random.u32(..5_000) == 0 {
                laps = Laps::from(kept);
                assert_eq!(laps.connected(true), None);
                for (packet, name) in &waiting {
                    assert_eq!(laps.name(*packet, true, 5).input_id, *name, "message {round}");
                }
            }
        }
    }

    #[test]
    fn a_new_session_shares_no_name_with_the_one_before() {
        let mut laps = Laps::from(0);
        let mut names = HashSet::new();
        for session in 0..6 {
            laps.connected(false);
            for packet in (1..40_000).chain([65_535]) {
                let input_id = laps.name(packet, false, 5).input_id.unwrap();
                assert!(names.insert(input_id), "packet {packet} of session {session}");
            }
        }
    }

    #[test]
    fn a_packet_id_that_is_used_again_at_once_names_nothing() {
        let mut laps = Laps::from(0);
        assert!(laps.name(1, false, 5).input_id.is_some());
        assert_eq!(laps.name(1, false, 5), Named { input_id: None, announced: None });
        assert!(laps.name(1, true, 5).input_id.is_some());
    }
}
