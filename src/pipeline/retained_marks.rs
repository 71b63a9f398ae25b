//! Tracks the windows that contain a sample of a retained message, whose predictions are marked. This is
//! not saved: a restored window is not marked for its earlier samples.

use std::collections::HashMap;

use crate::config::{RetainedInput, Stream};
use crate::message::Incoming;

#[derive(Debug)]
pub(super) struct RetainedMarks {
    /// Whether the stream marks predictions.
    wanted: bool,
    /// By device: the number of samples until the last retained one leaves the window.
    left: HashMap<String, usize>,
    most: usize,
}

impl RetainedMarks {
    pub(super) fn new(stream: &Stream) -> Self {
        let wanted = stream.retained == RetainedInput::Mark;
        Self { wanted, left: HashMap::new(), most: stream.max_keys }
    }

    /// Whether a prediction from this message alone is marked.
    pub(super) fn is_marked(&self, incoming: &Incoming) -> bool {
        self.wanted && incoming.retained
    }

    /// Records a sample that was added to a window of `length` samples, which may have restarted with
    /// it. Returns whether the window contains a retained sample.
    pub(super) fn add(
        &mut self,
        device: &str,
        length: usize,
        retained: bool,
        restarted: bool,
    ) -> bool {
        if !self.wanted {
            return false;
        }
        if restarted {
            self.left.remove(device);
        }
        if retained {
            if self.left.len() >= self.most {
                // Most of them belong to forgotten devices.
                self.left.clear();
            }
            self.left.insert(device.to_owned(), length);
        }
        let Some(left) = self.left.get_mut(device) else { return false };
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.left.remove(device);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_marked_while_a_retained_sample_is_in_it() {
        let mut marks = RetainedMarks { wanted: true, left: HashMap::new(), most: 9 };
        let samples = [false, true, false, false, false, true, false];
        let marked = samples.map(|retained| marks.add("a", 3, retained, false));
        assert_eq!(marked, [false, true, true, true, false, true, true]);
        assert!(!marks.add("b", 3, false, false), "of another device");
        assert!(!marks.add("a", 3, false, true), "the window started again");
        assert!(marks.add("a", 1, true, false));
        assert!(!marks.add("a", 1, false, false));
        marks.wanted = false;
        assert!(!marks.add("a", 3, true, false));
    }
}
