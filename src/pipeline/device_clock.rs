//! Clocks of devices that count from a moment of their own.

use std::time::Duration;

use crate::clock::Timestamp;

/// A device's clock and ours are no further apart than this: else one of them was set, the device was
/// restarted, or their rates differ.
const MAX_DRIFT: Duration = Duration::from_secs(60);

/// Where a device's clock starts by ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClockOrigin {
    /// The device's zero, in microseconds since 1970.
    zero: Option<i64>,
    /// The last time of the device's own.
    last: i64,
}

impl ClockOrigin {
    /// Turns the times of one message into times since 1970. The last one is that of the arrival
    /// where the origin is set; later messages keep their distances to it. No time is later than the
    /// arrival.
    pub(super) fn date(&mut self, times: &mut [Option<Timestamp>], arrival: Timestamp) {
        let Some(last) = times.iter().rev().find_map(|time| *time).map(|time| time.0) else {
            return;
        };
        let fresh = arrival.0.saturating_sub(last);
        let keeps = |zero: i64| {
            let late = fresh.saturating_sub(zero);
            let max = i64::try_from(MAX_DRIFT.as_micros()).unwrap_or(i64::MAX);
            last >= self.last && (0..=max).contains(&late)
        };
        let zero = self.zero.filter(|zero| keeps(*zero)).unwrap_or(fresh);
        (self.zero, self.last) = (Some(zero), last);
        for time in times.iter_mut().flatten() {
            *time = Timestamp(time.0.saturating_add(zero));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000;

    fn dated(origin: &mut ClockOrigin, own: &[i64], arrival: i64) -> Vec<i64> {
        let mut times: Vec<_> = own.iter().map(|own| Some(Timestamp(own * SECOND))).collect();
        origin.date(&mut times, Timestamp(arrival * SECOND));
        times.iter().map(|time| time.unwrap().0 / SECOND).collect()
    }

    #[test]
    fn distances_are_kept_and_the_origin_is_the_arrival() {
        let mut origin = ClockOrigin::default();
        assert_eq!(dated(&mut origin, &[10, 11, 12], 1000), [998, 999, 1000]);
        assert_eq!(dated(&mut origin, &[13], 1005), [1001], "a late message");
        assert_eq!(dated(&mut origin, &[16], 1003), [1003], "the first one was late itself");
        assert_eq!(dated(&mut origin, &[17], 1004), [1004]);
        assert_eq!(dated(&mut origin, &[2], 1010), [1010], "a restart");
        assert_eq!(dated(&mut origin, &[100], 1200), [1200], "the clocks are apart");
        assert_eq!(dated(&mut origin, &[], 1300), [0; 0]);
    }

    proptest! {
        #[test]
        fn no_sample_is_later_than_its_arrival(
            messages in prop::collection::vec((any::<i64>(), any::<i64>()), 1..20),
        ) {
            let mut origin = ClockOrigin::default();
            for (own, arrival) in messages {
                let mut times = [Some(Timestamp(own / 4))];
                origin.date(&mut times, Timestamp(arrival / 4));
                prop_assert!(times[0].unwrap().0 <= arrival / 4);
            }
        }
    }
}
