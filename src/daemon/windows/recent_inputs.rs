//! The inputs whose samples are in the saved windows: an input that is delivered again after a
//! crash is not added twice.
//!
//! Saved with the windows, as one value: `INFJ`, the count (u32), then epoch (u64), packet id (u16)
//! and checksum (u32) of each, oldest first; the windows follow. All integers are little-endian.

use std::collections::{HashSet, VecDeque};

use crate::message::InputId;

const MAGIC: &[u8] = b"INFJ";

/// The set of the most recent inputs.
#[derive(Debug, Default)]
pub(crate) struct RecentInputs {
    order: VecDeque<InputId>,
    known: HashSet<InputId>,
    most: usize,
}

/// Bytes that the recent inputs add to saved windows, at most. A broker may send more messages than
/// it was allowed to.
pub(crate) fn seen_bytes(receive_maximum: u16) -> u64 {
    8 + 14 * 2 * u64::from(receive_maximum)
}

impl RecentInputs {
    /// Remembers the last `most` inputs: more than the broker sends ahead of acknowledgements.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    pub(crate) fn contains(&self, input_id: Option<InputId>) -> bool {
        input_id.is_some_and(|input_id| self.known.contains(&input_id))
    }

    /// Whether an input with this content is among them.
    pub(crate) fn contains_content(&self, content: u32) -> bool {
        self.order.iter().any(|input_id| input_id.content == content)
    }

    pub(crate) fn record(&mut self, input_id: Option<InputId>) {
        let Some(input_id) = input_id else { return };
        if self.known.insert(input_id) {
            self.order.push_back(input_id);
        }
        while self.order.len() > self.most {
            self.order.pop_front().map(|oldest| self.known.remove(&oldest));
        }
    }

    /// Returns these inputs followed by the windows.
    pub(crate) fn prepend_to(&self, windows: &[u8]) -> Vec<u8> {
        let count = u32::try_from(self.order.len()).unwrap_or(u32::MAX);
        let mut out = [MAGIC, &count.to_le_bytes()].concat();
        for InputId { epoch, packet, content } in &self.order {
            out.extend(epoch.to_le_bytes());
            out.extend(packet.to_le_bytes());
            out.extend(content.to_le_bytes());
        }
        out.extend(windows);
        out
    }

    /// Reads what [`Self::prepend_to`] wrote, and returns the windows. Windows may also have been
    /// saved without inputs.
    pub(crate) fn restore<'a>(&mut self, saved: &'a [u8]) -> &'a [u8] {
        let Some((input_ids, windows)) = split(saved) else { return saved };
        input_ids.into_iter().for_each(|input_id| self.record(Some(input_id)));
        windows
    }
}

/// The windows behind the recent inputs.
pub(crate) fn windows_of(saved: &[u8]) -> &[u8] {
    split(saved).map_or(saved, |(_, windows)| windows)
}

fn split(saved: &[u8]) -> Option<(Vec<InputId>, &[u8])> {
    let (count, mut rest) = saved.strip_prefix(MAGIC)?.split_first_chunk()?;
    let mut input_ids = Vec::new();
    for _ in 0..u32::from_le_bytes(*count) {
        let (epoch, after) = rest.split_first_chunk()?;
        let (packet, after) = after.split_first_chunk()?;
        let (content, after) = after.split_first_chunk()?;
        input_ids.push(InputId {
            epoch: u64::from_le_bytes(*epoch),
            packet: u16::from_le_bytes(*packet),
            content: u32::from_le_bytes(*content),
        });
        rest = after;
    }
    Some((input_ids, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input_id(packet: u16) -> Option<InputId> {
        Some(InputId { epoch: 7, packet, content: 9 })
    }

    #[test]
    fn the_last_inputs_are_known_across_a_restart_and_older_ones_are_not() {
        let mut recent = RecentInputs::new(3);
        (1..=5).for_each(|packet| recent.record(input_id(packet)));
        let saved = recent.prepend_to(b"INFW windows");
        let mut again = RecentInputs::new(3);
        assert_eq!(again.restore(&saved), b"INFW windows");
        let known: Vec<u16> = (1..=6).filter(|packet| again.contains(input_id(*packet))).collect();
        assert_eq!(known, [3, 4, 5]);
        assert!(!again.contains(None));
    }

    #[test]
    fn windows_that_were_saved_alone_and_bytes_cut_short_name_no_inputs() {
        let mut recent = RecentInputs::new(3);
        assert_eq!(recent.restore(b"INFW windows"), b"INFW windows");
        let mut full = RecentInputs::new(3);
        full.record(input_id(1));
        let saved = full.prepend_to(b"");
        for len in 0..saved.len() {
            assert_eq!(recent.restore(&saved[..len]), &saved[..len]);
        }
        assert!(!recent.contains(input_id(1)));
    }
}
