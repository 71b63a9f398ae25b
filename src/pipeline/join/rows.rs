//! What goes into a join, and what comes out of it.

use std::time::Duration;

use crate::clock::Timestamp;

/// Values of one device at one time.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct ChannelValues<'a> {
    /// Each value with the place of its channel.
    pub(in crate::pipeline) values: &'a [(usize, f64)],
    /// Microseconds since 1970.
    pub(in crate::pipeline) time: i64,
    /// The time is that of the arrival: it is in order, whatever the wall clock did.
    pub(in crate::pipeline) by_arrival: bool,
}

/// The samples that values completed. The buffers are used again.
#[derive(Clone, Debug, Default)]
pub(in crate::pipeline) struct JoinedRows {
    pub(super) values: Vec<f64>,
    pub(super) times: Vec<i64>,
    /// By channel, for [`Self::missing`].
    missing: Vec<u32>,
    /// Before the samples the device's clock was set back, by this many microseconds: what was
    /// there of the device is gone.
    pub(super) restarted: Option<i64>,
}

impl JoinedRows {
    pub(super) fn clear(&mut self, channels: usize) {
        self.values.clear();
        self.times.clear();
        self.missing.clear();
        self.missing.resize(channels, 0);
        self.restarted = None;
    }

    pub(super) fn miss(&mut self, channel: usize, samples: u32) {
        if let Some(count) = self.missing.get_mut(channel) {
            *count = count.saturating_add(samples);
        }
    }

    /// By how much the device's clock was set back before these samples.
    pub(in crate::pipeline) fn restarted(&self) -> Option<Duration> {
        Some(Duration::from_micros(u64::try_from(self.restarted?).unwrap_or(0)))
    }

    /// By channel: samples that were not made because it had no value.
    pub(super) fn missing(&self) -> &[u32] {
        &self.missing
    }

    /// Each sample with its time, oldest first.
    pub(in crate::pipeline) fn iter(&self) -> impl Iterator<Item = (&[f64], Timestamp)> {
        let rows = self.values.chunks_exact(self.missing.len().max(1));
        rows.zip(self.times.iter().map(|time| Timestamp(*time)))
    }
}
