use crate::clock::Mono;

/// Minutes that count as recent.
const MINUTES: u64 = 5;
const MINUTE_US: u64 = 60_000_000;
/// The same as an array's length.
const SLOTS: usize = 5;

/// Outcomes that are judged even if they are older than [`RECENT_MINUTES`].
const LAST: u32 = 20;

/// The span that [`Recent`] counts over, in minutes.
pub const RECENT_MINUTES: u64 = MINUTES;

/// Counts of the last [`RECENT_MINUTES`] minutes, in steps of one minute. Bounded, without a clock.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    /// The minute and its count, at the minute modulo the length.
    slots: [(u64, u64); SLOTS],
}

impl Recent {
    pub fn add(&mut self, now: Mono, count: u64) {
        let minute = now.0 / MINUTE_US;
        let index = usize::try_from(minute % MINUTES).unwrap_or(0);
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.0 != minute {
            *slot = (minute, 0);
        }
        slot.1 = slot.1.saturating_add(count);
    }

    /// What was added in the last minutes.
    #[must_use]
    pub fn total(&self, now: Mono) -> u64 {
        let minute = now.0 / MINUTE_US;
        let recent = self.slots.iter().filter(|(of, _)| minute.saturating_sub(*of) < MINUTES);
        recent.map(|(_, count)| count).fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// How many of some outcomes were bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub total: u64,
    pub bad: u64,
}

/// Outcomes of equal acts, judged over the last [`RECENT_MINUTES`] minutes, or over the last 20
/// where fewer happened in that time: so one failure a week ago is forgotten, and a sensor that
/// reports once an hour is judged all the same.
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    good: Recent,
    bad: Recent,
    /// The last ones, the newest in the lowest bit; 1 is bad.
    last: u32,
    known: u32,
}

impl Outcomes {
    pub fn add(&mut self, now: Mono, is_good: bool) {
        let count = if is_good { &mut self.good } else { &mut self.bad };
        count.add(now, 1);
        self.last = (self.last << 1 | u32::from(!is_good)) & ((1 << LAST) - 1);
        self.known = (self.known + 1).min(LAST);
    }

    #[must_use]
    pub fn tally(&self, now: Mono) -> Tally {
        let (good, bad) = (self.good.total(now), self.bad.total(now));
        if good + bad >= u64::from(LAST) {
            return Tally { total: good + bad, bad };
        }
        Tally { total: u64::from(self.known), bad: u64::from(self.last.count_ones()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000)
    }

    #[test]
    fn only_the_last_minutes_count() {
        let mut recent = Recent::default();
        recent.add(at(0), 1);
        recent.add(at(59), 2);
        recent.add(at(60), 4);
        assert_eq!(recent.total(at(60)), 7);
        assert_eq!(recent.total(at(299)), 7);
        assert_eq!(recent.total(at(300)), 4);
        recent.add(at(301), 8);
        assert_eq!(recent.total(at(301)), 12, "the slot of minute 0 is used again");
        assert_eq!(recent.total(at(10_000)), 0);
    }

    #[test]
    fn a_busy_stream_is_judged_by_its_last_minutes() {
        let mut outcomes = Outcomes::default();
        (0..1000).for_each(|_| outcomes.add(at(0), false));
        assert_eq!(outcomes.tally(at(1)), Tally { total: 1000, bad: 1000 });
        (400..500).for_each(|second| outcomes.add(at(second), true));
        assert_eq!(outcomes.tally(at(500)), Tally { total: 100, bad: 0 });
    }

    #[test]
    fn a_slow_stream_is_judged_by_its_last_outcomes() {
        let mut outcomes = Outcomes::default();
        assert_eq!(outcomes.tally(at(0)), Tally::default());
        (0..3).for_each(|hour| outcomes.add(at(hour * 3600), false));
        assert_eq!(outcomes.tally(at(20_000)), Tally { total: 3, bad: 3 });
        (4..30).for_each(|hour| outcomes.add(at(hour * 3600), true));
        assert_eq!(outcomes.tally(at(200_000)), Tally { total: 20, bad: 0 }, "it recovers");
    }
}
