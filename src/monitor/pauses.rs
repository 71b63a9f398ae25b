use std::time::Duration;

use crate::clock::Mono;

/// Sizes of pauses that are told apart: powers of two of a millisecond, up to a year.
const PAUSE_SIZES: usize = 36;
/// A size of pause that did not come again in this time is no longer usual.
const USUAL_PAUSE_TTL: Duration = Duration::from_secs(14 * 24 * 3600);
/// Pauses from which a usual one is known.
const MIN_PAUSES: u32 = 8;

/// The usual pauses between the messages of a stream.
///
/// A pause is usual once one of its size (a power of two) came at least twice in two weeks. So one
/// outage does not change what is usual, and a stream that pauses every night is not reported for
/// its nights after the second one. The memory is bounded, whatever comes.
#[derive(Debug, Clone)]
pub struct Pauses {
    last: Option<Mono>,
    known: u32,
    /// By size: when the latest two pauses ended, the later one first.
    seen: [[Option<Mono>; 2]; PAUSE_SIZES],
}

impl Default for Pauses {
    fn default() -> Self {
        Self { last: None, known: 0, seen: [[None; 2]; PAUSE_SIZES] }
    }
}

impl Pauses {
    /// A message came.
    pub fn record(&mut self, now: Mono) {
        if let Some(last) = self.last.replace(now) {
            self.known = self.known.saturating_add(1);
            let pause = now.since(last).as_millis();
            let size = usize::try_from(u128::BITS - pause.leading_zeros()).unwrap_or(PAUSE_SIZES);
            if let Some(seen) = self.seen.get_mut(size.min(PAUSE_SIZES - 1)) {
                *seen = [Some(now), seen[0]];
            }
        }
    }

    /// No message could come for a while: the time until the next one is no pause of the stream.
    pub fn interrupt(&mut self) {
        self.last = None;
    }

    /// The upper bound of the longest usual pause; `None` while too little is known.
    #[must_use]
    pub fn usual(&self, now: Mono) -> Option<Duration> {
        let usual =
            |seen: &[Option<Mono>; 2]| seen[1].is_some_and(|at| now.since(at) < USUAL_PAUSE_TTL);
        let size = self.seen.iter().rposition(usual).filter(|_| self.known >= MIN_PAUSES)?;
        Some(Duration::from_millis(1 << size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000)
    }

    /// One message a second from `from` until `to`.
    fn every_second(pauses: &mut Pauses, from: u64, to: u64) {
        (from..to).for_each(|second| pauses.record(at(second)));
    }

    #[test]
    fn nothing_is_usual_until_enough_is_known() {
        let mut pauses = Pauses::default();
        assert_eq!(pauses.usual(at(0)), None);
        every_second(&mut pauses, 0, 8);
        assert_eq!(pauses.usual(at(8)), None);
        every_second(&mut pauses, 8, 10);
        assert_eq!(pauses.usual(at(10)), Some(Duration::from_millis(1024)));
    }

    #[test]
    fn one_outage_is_not_usual_and_a_pause_of_every_night_is() {
        let mut pauses = Pauses::default();
        for day in 0..4 {
            every_second(&mut pauses, day * DAY, day * DAY + DAY / 2);
            let usual = pauses.usual(at(day * DAY + DAY / 2)).unwrap();
            // A night of 12 h, seen at the start of each day after the first.
            let nights = usual > Duration::from_secs(DAY / 2);
            assert_eq!(nights, day >= 2, "day {day}: {usual:?}");
        }
        let later = 30 * DAY;
        assert_eq!(pauses.usual(at(later)), None, "all of it is long ago");
        every_second(&mut pauses, later, later + 10);
        assert_eq!(pauses.usual(at(later + 10)), Some(Duration::from_millis(1024)));
    }

    #[test]
    fn a_time_without_the_broker_is_no_pause() {
        let mut pauses = Pauses::default();
        for hour in 0..5 {
            every_second(&mut pauses, hour * 3600, hour * 3600 + 60);
            pauses.interrupt();
        }
        assert_eq!(pauses.usual(at(18_000)), Some(Duration::from_millis(1024)));
    }

    #[test]
    fn the_extremes_have_a_size() {
        let mut pauses = Pauses::default();
        (0..20).for_each(|_| pauses.record(Mono(7)));
        assert_eq!(pauses.usual(Mono(7)), Some(Duration::from_millis(1)));
        pauses.record(Mono(u64::MAX));
        assert!(pauses.usual(Mono(u64::MAX)).is_none());
    }
}
