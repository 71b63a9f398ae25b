//! One device and its window.

use std::time::Duration;

use super::clock_order::{ClockOrder, PendingSample, TimeStep};
use super::ring::SampleRing;
use crate::clock::{Mono, Timestamp};
use crate::drift::DeviceRate;
use crate::pipeline::carried::DeviceStates;
use crate::pipeline::device_clock::ClockOrigin;
use crate::pipeline::holes::HeldValues;
use crate::pipeline::join::JoinState;
use crate::pipeline::publish_state::PublishState;
use crate::pipeline::shape::WindowShape;
use crate::pipeline::window_loss::{LossCause, WindowFill, WindowLoss};

/// What is remembered of one device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::pipeline) struct Device {
    pub(in crate::pipeline) ring: SampleRing,
    pub(in crate::pipeline) publish_state: PublishState,
    /// When the last sample was received, in microseconds of [`Mono`]; negative for what was
    /// restored from before the start.
    pub(in crate::pipeline) seen: i64,
    /// The last sample's own time, where samples have one.
    pub(in crate::pipeline) time: Option<Timestamp>,
    /// Values that are not in a sample yet, or that later samples need too.
    pub(in crate::pipeline) join: Option<Box<JoinState>>,
    /// What the model gave for its next run.
    pub(in crate::pipeline) carried: DeviceStates,
    order: ClockOrder,
    /// Numbers that stand for missing ones. Not saved: the last sample of a restored window is.
    pub(in crate::pipeline) held: HeldValues,
    /// Where its own clock starts. Not saved: the next message sets it.
    pub(in crate::pipeline) origin: ClockOrigin,
    /// Not saved.
    pub(in crate::pipeline) rate: DeviceRate,
    /// Windows given up since the last complete one. Not saved.
    pub(super) losses: u32,
}

/// What a sample did to its device's window.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::pipeline) struct AddedSample {
    /// A window is complete and can be read.
    pub(in crate::pipeline) complete: bool,
    /// The window started over before this sample.
    pub(in crate::pipeline) restart: Option<LossCause>,
    /// Samples that were in no window yet and were thrown away with that.
    pub(in crate::pipeline) lost: usize,
    /// An earlier sample that had been refused and begins the new window.
    pub(in crate::pipeline) first: Option<Box<PendingSample>>,
}

impl Device {
    /// A device that was seen for the first time; `ring` is an empty one whose memory is reused.
    pub(super) fn new(ring: SampleRing, seen: i64) -> Self {
        Self { ring, seen, ..Self::default() }
    }

    /// What is restored of a device.
    pub(in crate::pipeline) fn restored(
        ring: SampleRing,
        publish_state: PublishState,
        seen: i64,
        time: Option<Timestamp>,
    ) -> Self {
        Self { ring, publish_state, seen, time, ..Self::default() }
    }

    /// Adds a sample; `time` is its own time stamp. `Err` says by how much it is older than the one
    /// before, and leaves the window as it is. Equal times are in order.
    pub(in crate::pipeline) fn add(
        &mut self,
        shape: &WindowShape,
        sample: &[f64],
        time: Option<Timestamp>,
        received: Mono,
    ) -> Result<AddedSample, Duration> {
        let step = match (time, self.time) {
            (Some(new), Some(last)) => self.order.judge(last, new, sample, shape.length),
            (_, _) => TimeStep::InOrder,
        };
        let (restart, first) = match step {
            TimeStep::InOrder => (None, None),
            TimeStep::Late(by) => return Err(by),
            TimeStep::SetBack { by, first } => {
                (Some(LossCause::Clock { by, back: true }), Some(first))
            }
            TimeStep::JumpedForward { by } => (Some(LossCause::Clock { by, back: false }), None),
        };
        let lost = self.ring.fresh;
        if restart.is_some() {
            self.start_over();
        }
        // Of windows of one sample it would have been one by itself, and is late for that.
        let first = first.filter(|_| shape.length > 1);
        if let Some(first) = &first {
            self.put(shape, &first.sample, Some(first.time), micros(received));
        }
        let mut added = self.put(shape, sample, time, micros(received));
        if restart.is_some() {
            (added.restart, added.lost) = (restart, lost);
        }
        Ok(AddedSample { first, ..added })
    }

    /// Empties the window, and forgets the carried state, because the device's clock was set.
    pub(in crate::pipeline) fn start_over(&mut self) {
        self.ring.clear();
        self.time = None;
        self.carried = DeviceStates::default();
    }

    /// Judges the time of a whole input of a model that carries state. Returns whether it starts over
    /// because the device's clock was set. `Err` says by how much it is older than the one before.
    pub(in crate::pipeline) fn order_input(
        &mut self,
        time: Option<Timestamp>,
    ) -> Result<bool, Duration> {
        let (Some(new), Some(last)) = (time, self.time) else { return Ok(false) };
        match self.order.judge(last, new, &[], 1) {
            TimeStep::InOrder => Ok(false),
            TimeStep::Late(by) => Err(by),
            TimeStep::SetBack { .. } | TimeStep::JumpedForward { .. } => {
                self.start_over();
                Ok(true)
            }
        }
    }

    /// Takes a whole input of a model that carries state: a gap of more than `max` starts it over.
    pub(in crate::pipeline) fn take_input(
        &mut self,
        max: Option<Duration>,
        time: Option<Timestamp>,
        received: i64,
    ) {
        let (gap, _) = self.pass(time, received);
        self.drop_state_after(gap, max);
    }

    /// The time since the last sample, whether by the device's clock, and notes this one's.
    fn pass(&mut self, time: Option<Timestamp>, received: i64) -> (Duration, bool) {
        let passed = match (time, self.time) {
            (Some(new), Some(last)) => (new.since(last), true),
            (_, _) => (since(received, self.seen), false),
        };
        (self.seen, self.time) = (received, time);
        passed
    }

    fn drop_state_after(&mut self, gap: Duration, max: Option<Duration>) {
        if max.is_some_and(|max| gap > max) {
            self.carried = DeviceStates::default();
        }
    }

    /// Adds a sample that is in order, received at a time that may be before the start.
    pub(in crate::pipeline) fn put(
        &mut self,
        shape: &WindowShape,
        sample: &[f64],
        time: Option<Timestamp>,
        received: i64,
    ) -> AddedSample {
        let (gap, own_time) = self.pass(time, received);
        self.drop_state_after(gap, shape.state_gap);
        let too_long = shape.max_gap.filter(|&max| !self.ring.is_empty() && gap > max);
        let restart = too_long.map(|max| LossCause::Gap { gap, max, own_time });
        let lost = if restart.is_some() { self.ring.fresh } else { 0 };
        if restart.is_some() {
            self.ring.clear();
        }
        let complete = self.ring.push(shape, sample);
        if complete && lost == 0 {
            self.losses = 0;
        }
        AddedSample { complete, restart, lost, first: None }
    }

    /// Counts a window that is given up; how many were so in a row.
    pub(in crate::pipeline) fn count_loss(&mut self) -> u32 {
        self.losses = self.losses.saturating_add(1);
        self.losses
    }

    /// The loss of this device's window.
    pub(super) fn loss(
        &self,
        key: &str,
        cause: LossCause,
        length: usize,
        in_a_row: u32,
    ) -> WindowLoss {
        let device = key.to_owned();
        WindowLoss { device, cause, samples: self.ring.fresh, length, in_a_row }
    }

    /// How full its window is.
    pub(in crate::pipeline) fn fill(&self, shape: &WindowShape) -> WindowFill {
        let missing = self.ring.missing(shape);
        WindowFill { length: shape.length, filled: shape.length.saturating_sub(missing), missing }
    }

    /// Notes a sign of life.
    pub(in crate::pipeline) fn touch(&mut self, received: Mono) {
        self.seen = micros(received);
    }

    /// Starts over and keeps the ring's memory.
    pub(super) fn forget(&mut self) {
        let mut ring = std::mem::take(&mut self.ring);
        ring.clear();
        let losses = self.losses;
        *self = Self { ring, seen: self.seen, losses, ..Self::default() };
    }
}

pub(in crate::pipeline) fn micros(at: Mono) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

pub(super) fn since(now: i64, then: i64) -> Duration {
    Duration::from_micros(u64::try_from(now.saturating_sub(then)).unwrap_or(0))
}
