//! Whether a device sends as often as it usually does.

use super::cusum::Cusum;
use crate::clock::Timestamp;

/// Intervals from which the usual one is known.
const LEARNED: u16 = 16;
/// The least spread of the logarithm of an interval: 10 %.
const LEAST_SPREAD: f64 = 0.1;
/// One interval counts for at most so many standard deviations: a single pause is no other rate.
const MOST: f64 = 4.0;
/// Allowance and threshold of the CUSUM: by Siegmund's approximation one false alarm in 10^7
/// windows of a device.
const ALLOWANCE: f64 = 0.5;
const THRESHOLD: f64 = 14.0;
/// The shortest interval, in microseconds: samples of one message may have one time.
const SHORTEST_US: f64 = 1_000.0;

/// The intervals between the windows of one device.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DeviceRate {
    last: Option<Timestamp>,
    count: u16,
    is_changed: bool,
    /// Of the logarithm of the usual interval.
    mean: f32,
    /// The mean absolute deviation from it.
    deviation: f32,
    up: f32,
    down: f32,
}

/// A device that sends at another rate than it did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateChange {
    /// Its rate over the usual one.
    pub factor: f64,
}

impl DeviceRate {
    /// A window of the device ended at `time`. Returns the change if its rate is not the usual one.
    #[expect(clippy::cast_possible_truncation, reason = "kept per device, three digits suffice")]
    pub fn window(&mut self, time: Timestamp) -> Option<RateChange> {
        let last = self.last.replace(time)?;
        #[expect(clippy::cast_precision_loss, reason = "intervals are far below 2^53 us")]
        let interval = (time.0.saturating_sub(last.0) as f64).max(SHORTEST_US).ln();
        let mean = f64::from(self.mean);
        if self.count < LEARNED {
            self.count += 1;
            let weight = 1.0 / f64::from(self.count);
            let off = interval - mean;
            self.mean = (mean + off * weight) as f32;
            if self.count > 1 {
                let deviation = f64::from(self.deviation);
                self.deviation = (deviation + (off.abs() - deviation) * weight) as f32;
            }
            return None;
        }
        // The mean absolute deviation of a normal variable is 0.8 of its standard deviation.
        let spread = (f64::from(self.deviation) / 0.8).max(LEAST_SPREAD);
        let z = ((interval - mean) / spread).clamp(-MOST, MOST);
        let mut cusum = Cusum { up: f64::from(self.up), down: f64::from(self.down) };
        cusum.add(z, [ALLOWANCE; 2]);
        cusum.cap([THRESHOLD * 1.25; 2]);
        (self.up, self.down) = (cusum.up as f32, cusum.down as f32);
        let most = cusum.up.max(cusum.down);
        self.is_changed = most >= if self.is_changed { THRESHOLD / 2.0 } else { THRESHOLD };
        self.is_changed.then(|| RateChange { factor: (mean - interval).exp() })
    }

    /// No window could end for a while: the next interval does not count.
    pub fn interrupt(&mut self) {
        self.last = None;
    }
}
