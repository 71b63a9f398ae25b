//! Windows to save wait until every result that was made before them is safe.
//!
//! If windows were saved before such a result and the daemon crashed, the broker would send its
//! samples again, they would be recognised as processed, and the result would never be made again.

use std::collections::BTreeMap;

use super::SavedWindows;
use crate::message::AckToken;

/// Windows that wait for results.
#[derive(Debug, Default)]
pub(crate) struct PendingSaves {
    /// Results that are not safe yet and that an input waits for, by input.
    unsafe_results: BTreeMap<AckToken, u32>,
    saves: Vec<PendingSave>,
}

#[derive(Debug)]
struct PendingSave {
    saved: SavedWindows,
    /// The newest input that waited for a result when these windows were added.
    until: Option<AckToken>,
}

/// Saves that wait per stream: the oldest stays as it is, newer ones are merged.
const MAX_PENDING_SAVES: usize = 2;

impl PendingSaves {
    /// A result was made that this input waits for.
    pub(crate) fn on_result(&mut self, input: Option<AckToken>) {
        if let Some(input) = input {
            *self.unsafe_results.entry(input).or_default() += 1;
        }
    }

    /// A result of this input is safe.
    pub(crate) fn on_released(&mut self, input: AckToken) {
        if let Some(count) = self.unsafe_results.get_mut(&input) {
            *count -= 1;
            if *count == 0 {
                self.unsafe_results.remove(&input);
            }
        }
    }

    /// Adds windows that a worker has saved.
    pub(crate) fn add(&mut self, saved: SavedWindows) {
        let until = self.unsafe_results.last_key_value().map(|(input, _)| *input);
        let stream = saved.stream;
        if self.saves.iter().filter(|held| held.saved.stream == stream).count() >= MAX_PENDING_SAVES
            && let Some(last) = self.saves.iter_mut().rfind(|held| held.saved.stream == stream)
        {
            last.saved.windows.append(saved.windows);
            last.saved.waiting.extend(saved.waiting);
            last.until = last.until.max(until);
            return;
        }
        self.saves.push(PendingSave { saved, until });
    }

    /// Removes and returns the oldest windows before which all results are safe.
    pub(crate) fn ready(&mut self) -> Option<SavedWindows> {
        let oldest = self.unsafe_results.first_key_value().map(|(input, _)| *input);
        let is_safe = |held: &PendingSave| oldest.is_none_or(|oldest| held.until < Some(oldest));
        let is_first = |at: usize, stream| {
            self.saves.iter().position(|held| held.saved.stream == stream) == Some(at)
        };
        let mut held = self.saves.iter().enumerate();
        let (at, _) = held.find(|(at, held)| is_safe(held) && is_first(*at, held.saved.stream))?;
        Some(self.saves.remove(at).saved)
    }

    /// Puts back windows that the store had no room for.
    pub(crate) fn put_back(&mut self, saved: SavedWindows) {
        self.saves.insert(0, PendingSave { saved, until: None });
    }

    /// Removes and returns all windows, safe or not: the daemon stops.
    pub(crate) fn take_all(&mut self) -> Vec<SavedWindows> {
        self.saves.drain(..).map(|held| held.saved).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::InputProcessed;
    use crate::pipeline::JournalEntry;
    use crate::store::windows::Windows;

    fn windows(stream: usize, input: u64) -> SavedWindows {
        let waiting = vec![InputProcessed { input: AckToken(input), results: 0 }];
        let windows = Windows::base(input, input.to_le_bytes().to_vec());
        SavedWindows { stream, windows, waiting }
    }

    /// What came since the windows of input 1.
    fn added(stream: usize, input: u64) -> SavedWindows {
        let bytes = input.to_le_bytes().to_vec();
        let addition = JournalEntry { base: 1, from: input, upto: input + 1, bytes };
        let windows = Windows { base: None, entries: vec![addition] };
        SavedWindows { windows, ..self::windows(stream, input) }
    }

    #[test]
    fn windows_wait_for_the_results_before_them_and_for_no_later_ones() {
        let mut pending = PendingSaves::default();
        pending.add(windows(0, 1));
        assert_eq!(pending.ready(), Some(windows(0, 1)), "nothing is to be waited for");
        for input in [2, 3, 3] {
            pending.on_result(Some(AckToken(input)));
        }
        pending.add(windows(0, 4));
        pending.on_result(Some(AckToken(5)));
        pending.on_result(None);
        for input in [3, 2] {
            pending.on_released(AckToken(input));
            assert_eq!(pending.ready(), None);
        }
        pending.on_released(AckToken(3));
        assert_eq!(pending.ready(), Some(windows(0, 4)));
    }

    #[test]
    fn newer_windows_take_the_place_of_all_but_the_oldest_and_let_go_what_waited_for_those() {
        let mut pending = PendingSaves::default();
        pending.on_result(Some(AckToken(1)));
        for input in [2, 4, 6] {
            pending.add(windows(0, input));
        }
        pending.add(windows(1, 7));
        pending.on_released(AckToken(1));
        assert_eq!(pending.ready(), Some(windows(0, 2)), "they never starve");
        let newest = pending.ready().unwrap();
        assert_eq!(newest.windows, windows(0, 6).windows);
        assert_eq!(newest.waiting.iter().map(|t| t.input.0).collect::<Vec<_>>(), [4, 6]);
        assert_eq!(pending.take_all(), [windows(1, 7)]);
    }
    #[test]
    fn additions_that_are_held_become_one_save_in_their_order() {
        let mut pending = PendingSaves::default();
        pending.on_result(Some(AckToken(9)));
        pending.add(added(0, 2));
        pending.add(added(0, 3));
        pending.add(added(0, 4));
        pending.on_released(AckToken(9));
        assert_eq!(pending.ready(), Some(added(0, 2)));
        let both = pending.ready().unwrap();
        assert_eq!(both.windows.entries.iter().map(|a| a.from).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(both.waiting.iter().map(|t| t.input.0).collect::<Vec<_>>(), [3, 4]);
        pending.on_result(Some(AckToken(9)));
        for saved in [added(0, 5), windows(0, 6), added(0, 7), windows(0, 8), added(0, 9)] {
            pending.add(saved);
        }
        pending.on_released(AckToken(9));
        assert_eq!(pending.ready(), Some(added(0, 5)));
        let newest = pending.ready().unwrap();
        assert_eq!(newest.windows.base, windows(0, 8).windows.base);
        assert_eq!(newest.windows.entries, added(0, 9).windows.entries);
        assert_eq!(newest.waiting.len(), 4);
    }

    /// A result of a slow stream may arrive late, with an input that is older than others.
    #[test]
    fn no_windows_pass_older_ones_of_their_stream() {
        let mut pending = PendingSaves::default();
        pending.on_result(Some(AckToken(9)));
        pending.add(windows(0, 1));
        pending.on_released(AckToken(9));
        pending.add(windows(0, 2));
        pending.add(windows(1, 3));
        pending.on_result(Some(AckToken(5)));
        assert_eq!(pending.ready(), Some(windows(1, 3)));
        assert_eq!(pending.ready(), None, "the older ones of stream 0 wait for input 5");
        pending.on_released(AckToken(5));
        assert_eq!(pending.ready(), Some(windows(0, 1)));
    }
}
