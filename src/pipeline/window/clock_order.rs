//! The own time stamps of a device: which earlier one is late data, and which says that the
//! device's clock was set back.
//!
//! An earlier time stamp within the time that a window takes (or 16 samples, where that is longer)
//! is late or repeated data, and refused. One further back is refused too, but kept: if the next
//! sample goes on from it, the device's clock was set back, and both begin a new window. A single
//! old sample between new ones therefore changes nothing, and a clock that was set back by less
//! than a window is in order again after as long.
//!
//! When samples later jump forward to where they were before such a step, it was old data after all
//! or two devices share a key: the window is reset again, so that it never has both.

use std::time::Duration;

use crate::clock::Timestamp;

/// Late data comes at most this many samples late where windows are shorter: a client that connects
/// again repeats what it had sent ahead of acknowledgements.
const REACH_LEAST: usize = 16;
/// How much of a new interval goes into the usual one, as a divisor.
const LEARNING: i64 = 8;
/// An interval counts for at most so many times the usual one: a pause is none.
const OUTLIER: i64 = 4;

/// How the time stamps of a device go on. Not saved.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::pipeline) struct ClockOrder {
    /// The usual time between two samples in microseconds; 0 while it is not known.
    pace: i64,
    /// Samples since the time last advanced.
    same: i64,
    /// An earlier sample out of reach, until the next one tells what it is.
    aside: Option<Box<PendingSample>>,
    /// After a step back: the latest time before it.
    before: Option<Timestamp>,
}

/// A sample that is not in the window yet.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::pipeline) struct PendingSample {
    pub(in crate::pipeline) time: Timestamp,
    pub(in crate::pipeline) sample: Vec<f64>,
}

/// What a sample's own time means.
#[derive(Debug, PartialEq)]
pub(in crate::pipeline) enum TimeStep {
    /// It is in order.
    InOrder,
    /// It is late, by this much.
    Late(Duration),
    /// The clock was set back; the sample before belongs to the new window.
    SetBack { by: Duration, first: Box<PendingSample> },
    /// The time jumped forward to where it was before it was set back.
    JumpedForward { by: Duration },
}

impl ClockOrder {
    /// Judges a sample with the time `new` after one with the time `last`. Equal times are in order.
    pub(in crate::pipeline) fn judge(
        &mut self,
        last: Timestamp,
        new: Timestamp,
        sample: &[f64],
        length: usize,
    ) -> TimeStep {
        self.same = self.same.saturating_add(1);
        if new < last {
            return self.earlier(last, new, sample, length);
        }
        self.aside = None;
        let advance = new.since(last);
        let returned = self.before.is_some_and(|before| new >= before);
        let jumped = returned && micros(advance) > self.reach(length);
        if returned {
            self.before = None;
        }
        self.learn(micros(advance));
        if jumped { TimeStep::JumpedForward { by: advance } } else { TimeStep::InOrder }
    }

    fn earlier(
        &mut self,
        last: Timestamp,
        new: Timestamp,
        sample: &[f64],
        length: usize,
    ) -> TimeStep {
        let by = last.since(new);
        let aside = self.aside.take();
        if micros(by) <= self.reach(length) {
            return TimeStep::Late(by);
        }
        match aside {
            Some(first) if new > first.time => {
                self.before = self.before.max(Some(last));
                self.same = 0;
                TimeStep::SetBack { by: last.since(first.time), first }
            }
            _ => {
                self.aside = Some(Box::new(PendingSample { time: new, sample: sample.to_vec() }));
                TimeStep::Late(by)
            }
        }
    }

    /// How far back late data may be, in microseconds.
    fn reach(&self, length: usize) -> i64 {
        let samples = i64::try_from(length.max(REACH_LEAST)).unwrap_or(i64::MAX);
        self.pace.saturating_mul(samples)
    }

    fn learn(&mut self, advance: i64) {
        if advance == 0 {
            return;
        }
        // Samples of one message may share its time.
        let interval = advance / self.same.max(1);
        self.same = 0;
        if self.pace == 0 {
            self.pace = interval.max(1);
        } else {
            let interval = interval.min(self.pace.saturating_mul(OUTLIER));
            self.pace = self.pace.saturating_add((interval - self.pace) / LEARNING).max(1);
        }
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each time stamp (in seconds) is taken for: `.` in order, `l` late, `b` set back, `f`
    /// jumped forward.
    fn steps(length: usize, seconds: &[i64]) -> String {
        let mut order = ClockOrder::default();
        let mut last: Option<Timestamp> = None;
        let judged = seconds.iter().map(|&s| {
            let new = Timestamp(s * 1_000_000);
            let step = last.map_or(TimeStep::InOrder, |last| order.judge(last, new, &[], length));
            if !matches!(step, TimeStep::Late(_)) {
                last = Some(new);
            }
            match step {
                TimeStep::InOrder => '.',
                TimeStep::Late(_) => 'l',
                TimeStep::SetBack { .. } => 'b',
                TimeStep::JumpedForward { .. } => 'f',
            }
        });
        judged.collect()
    }

    /// Samples every second from one second on.
    fn run(from: i64, count: i64) -> Vec<i64> {
        (from..from + count).collect()
    }

    fn judged(length: usize, parts: &[&[i64]]) -> String {
        steps(length, &parts.concat())
    }

    #[test]
    fn late_and_repeated_data_within_a_window_is_late() {
        assert_eq!(steps(4, &[1, 2, 3, 2, 3, 4, 1, 5]), "...l..l.");
        let burst = judged(4, &[&run(100, 20), &run(106, 10), &run(116, 8)]);
        assert_eq!(burst, format!("{}{}{}", ".".repeat(20), "l".repeat(10), "lll....."));
    }

    #[test]
    fn a_clock_that_was_set_back_begins_a_new_window() {
        let hour = judged(4, &[&run(10_000, 5), &run(6_400, 5)]);
        assert_eq!(hour, ".....lb...");
        let natural = judged(4, &[&run(10_000, 5), &run(9_900, 110)]);
        assert_eq!(natural, format!(".....lb{}", ".".repeat(108)), "it passes its old time");
    }

    #[test]
    fn old_samples_between_new_ones_change_nothing() {
        assert_eq!(steps(4, &[1000, 1001, 1, 1002, 2, 1003, 3, 1004]), "..l.l.l.");
        assert_eq!(steps(4, &[1000, 1001, 1, 1, 1, 1002]), "..lll.", "the same one three times");
    }

    #[test]
    fn old_data_in_a_row_is_not_mixed_with_what_follows() {
        assert_eq!(steps(4, &[1000, 1001, 1, 2, 3, 1002, 1003]), "..lb.f.");
    }

    #[test]
    fn a_clock_that_jumped_forward_and_was_corrected_is_taken() {
        let corrected = judged(4, &[&run(1_000, 10), &run(4_600, 5), &run(1_015, 5)]);
        assert_eq!(corrected, format!("{}lb...", ".".repeat(15)));
    }

    #[test]
    fn samples_that_share_the_time_of_their_message_have_a_pace() {
        let batch = |at: i64| vec![at; 50];
        let parts: Vec<Vec<i64>> = (0..10).map(|n| batch(1_000 + n)).collect();
        let mut all = parts.concat();
        all.extend(batch(1_009 - 1));
        all.extend(batch(500));
        all.extend(batch(501));
        let judged = steps(50, &all);
        assert_eq!(&judged[500..550], "l".repeat(50), "one message late");
        assert_eq!(&judged[550..600], "l".repeat(50));
        assert_eq!(&judged[600..], format!("b{}", ".".repeat(49)));
    }
}
