use super::health::{JoinFacts, Rejection, WindowFacts};
use super::{Outcomes, Pauses, Recent};
use crate::clock::Now;

/// What a stream's state is judged by, kept by its worker.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    pub last_message: Option<Now>,
    pub pauses: Pauses,
    /// Messages; a bad one was rejected, or most of its samples were.
    pub inputs: Outcomes,
    /// Runs of the model; a bad one gave no prediction.
    pub runs: Outcomes,
    pub last_reject: Option<Rejection>,
    pub last_failure: Option<Rejection>,
    /// Messages of QoS 0 that found a queue full.
    pub dropped: Recent,
    /// Since the last run of the model; its length and runs are not set.
    pub since_run: WindowFacts,
    /// Since the last joined sample.
    pub since_joined: JoinFacts,
}

impl Condition {
    /// A message came at `received`: so many of its samples were taken and rejected.
    pub fn message(&mut self, received: Now, taken: u64, rejected: u64) {
        self.last_message = Some(received);
        self.pauses.record(received.mono);
        if taken > 0 || rejected > 0 {
            self.inputs.add(received.mono, taken > 0 && taken >= rejected);
        }
    }

    /// Values were joined, which gave so many samples; some were not made because channels had no
    /// value.
    pub fn joined(&mut self, values: u64, samples: u64, missing: &[(String, u32)]) {
        if samples > 0 {
            self.since_joined = JoinFacts { was_made: true, ..JoinFacts::default() };
        }
        self.since_joined.values += values;
        for (channel, samples) in missing {
            *self.since_joined.missing.entry(channel.clone()).or_default() += u64::from(*samples);
        }
    }

    /// The model ran.
    pub fn ran(&mut self, now: Now, good: u64, failed: u64) {
        (0..good).for_each(|_| self.runs.add(now.mono, true));
        (0..failed).for_each(|_| self.runs.add(now.mono, false));
        if good > 0 || failed > 0 {
            self.since_run = WindowFacts::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Mono, Timestamp};
    use crate::monitor::Tally;

    fn now() -> Now {
        Now { wall: Timestamp(0), mono: Mono(0) }
    }

    #[test]
    fn a_message_is_bad_if_more_of_it_was_rejected_than_taken() {
        for (taken, rejected, total, bad) in
            [(1, 0, 1, 0), (2, 2, 1, 0), (1, 2, 1, 1), (0, 1, 1, 1)]
        {
            let mut condition = Condition::default();
            condition.message(now(), taken, rejected);
            assert_eq!(condition.inputs.tally(Mono(0)), Tally { total, bad }, "{taken} {rejected}");
        }
        let mut condition = Condition::default();
        condition.message(now(), 0, 0);
        assert_eq!(condition.inputs.tally(Mono(0)), Tally::default(), "nothing was in it");
    }

    #[test]
    fn a_run_begins_the_count_of_windows_again() {
        let mut condition = Condition::default();
        condition.since_run.gaps = 7;
        condition.ran(now(), 0, 0);
        assert_eq!(condition.since_run.gaps, 7);
        condition.ran(now(), 2, 1);
        assert_eq!(condition.since_run.gaps, 0);
        assert_eq!(condition.runs.tally(Mono(0)), Tally { total: 3, bad: 1 });
    }
}
