//! The last samples of every device, and when they make a window.
//!
//! Every device has a ring of samples. The first window is complete with `length` samples, each
//! next one `hop` samples later. A silence longer than `max_gap` starts the device's window over,
//! and so does a device's clock that was set back ([`order`]).
//! A message costs the same whether there are ten devices or a million: one look-up, one ring.

mod order;
mod ring;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use super::loss::{Fill, LossCause, WindowLoss, WindowLosses};
use super::outcome::Outcome;
use super::plan::Shape;
use super::policy::Memory;
use crate::clock::{Mono, Timestamp};
use crate::ids::DeviceKey;

pub(super) use self::ring::{Cells, Ring};
pub(super) use order::Aside;
use order::{Order, Step};

/// Everything remembered of the devices of a stream, at most `max_keys` of them.
#[derive(Debug)]
pub(super) struct Devices {
    /// The least recently used at the end.
    pub(super) known: LruCache<DeviceKey, Device>,
    ttl: Duration,
    /// The ring of a forgotten device, for the next new one.
    spare: Option<Ring>,
}

/// What is remembered of one device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Device {
    pub(super) ring: Ring,
    pub(super) memory: Memory,
    /// When the last sample was received, in microseconds of [`Mono`]; negative for what was
    /// restored from before the start.
    pub(super) seen: i64,
    /// The last sample's own time, where samples have one.
    pub(super) time: Option<Timestamp>,
    order: Order,
    /// Windows given up since the last complete one. Not saved.
    losses: u32,
}

/// Devices forgotten on the way to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Forgotten {
    pub(super) evicted: u32,
    pub(super) expired: u32,
    /// Of them, those whose window is missed.
    losses: WindowLosses,
}

impl Forgotten {
    /// Counts them; `length` is the samples in a window.
    pub(super) fn count_in(self, length: usize, outcome: &mut Outcome) {
        outcome.evicted = outcome.evicted.saturating_add(self.evicted);
        outcome.expired = outcome.expired.saturating_add(self.expired);
        outcome.losses.merge(self.losses, length);
    }

    /// Notes that a device without a prediction was forgotten.
    fn unpredicted(&mut self, key: &str, device: &Device, cause: LossCause) {
        if device.memory.run == 0 && device.ring.fresh > 0 {
            let in_a_row = device.losses.saturating_add(1);
            self.losses.note(cause, || device.loss(key, cause, 0, in_a_row));
        }
    }
}

/// Silent devices dropped per look-up: more than one, so that they go faster than new ones come.
const SWEEP: usize = 2;

impl Devices {
    pub(super) fn new(max_keys: usize, ttl: Duration) -> Self {
        let max_keys = NonZeroUsize::new(max_keys).unwrap_or(NonZeroUsize::MIN);
        Self { known: LruCache::sparse(max_keys), ttl, spare: None }
    }

    /// The device of that name, a new one if it is not known or was silent for too long. `None`
    /// where the name is none that a device may have.
    pub(super) fn device(
        &mut self,
        name: &str,
        now: Mono,
        forgotten: &mut Forgotten,
    ) -> Option<&mut Device> {
        self.device_at(name, micros(now), forgotten)
    }

    /// The same, at a time that may be before the start.
    pub(super) fn device_at(
        &mut self,
        name: &str,
        now: i64,
        forgotten: &mut Forgotten,
    ) -> Option<&mut Device> {
        self.sweep(name, now, forgotten);
        if !self.known.contains(name) {
            let key = DeviceKey::parse(name)?;
            let max_keys = self.known.cap().get();
            if self.known.len() == max_keys
                && let Some((key, old)) = self.known.pop_lru()
            {
                forgotten.unpredicted(key.as_str(), &old, LossCause::Evicted { max_keys });
                self.spare = Some(old.ring);
                forgotten.evicted = forgotten.evicted.saturating_add(1);
            }
            let mut ring = self.spare.take().unwrap_or_default();
            ring.clear();
            self.known.put(key, Device { ring, seen: now, ..Device::default() });
        }
        let ttl = self.ttl;
        let device = self.known.get_mut(name)?;
        if silent(device, now, ttl) {
            let cause = LossCause::Silence { silent: since(now, device.seen), ttl };
            if device.ring.fresh > 0 {
                let in_a_row = device.count_loss();
                forgotten.losses.note(cause, || device.loss(name, cause, 0, in_a_row));
            }
            device.forget();
            forgotten.expired = forgotten.expired.saturating_add(1);
        }
        Some(device)
    }

    /// Drops devices from the end that were silent for too long, but not the one that is asked for.
    fn sweep(&mut self, name: &str, now: i64, forgotten: &mut Forgotten) {
        let ttl = self.ttl;
        let gone =
            |(key, device): (&DeviceKey, &Device)| silent(device, now, ttl) && key.as_str() != name;
        for _ in 0..SWEEP {
            if !self.known.peek_lru().is_some_and(gone) {
                return;
            }
            if let Some((key, device)) = self.known.pop_lru() {
                forgotten.unpredicted(key.as_str(), &device, LossCause::Expired { ttl });
                self.spare = Some(device.ring);
            }
            forgotten.expired = forgotten.expired.saturating_add(1);
        }
    }

    /// Puts other devices in the place of these, the least recently used first.
    pub(super) fn replace(&mut self, devices: Vec<(DeviceKey, Device)>) {
        self.known.clear();
        for (key, device) in devices {
            self.known.push(key, device);
        }
    }

    /// Drops all that were silent for too long.
    pub(super) fn drop_silent(&mut self, now: i64) {
        let ttl = self.ttl;
        let gone = self.known.iter().filter(|(_, device)| silent(device, now, ttl));
        let gone: Vec<DeviceKey> = gone.map(|(key, _)| key.clone()).collect();
        gone.iter().for_each(|key| drop(self.known.pop(key)));
    }

    /// None yet, with the same bounds.
    pub(super) fn another(&self) -> Self {
        Self { known: LruCache::sparse(self.known.cap()), ttl: self.ttl, spare: None }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Empties every window and keeps what the publish rules remember.
    pub(super) fn clear_windows(&mut self) {
        self.spare = None;
        for (_, device) in &mut self.known {
            device.ring = Ring::default();
        }
    }
}

fn silent(device: &Device, now: i64, ttl: Duration) -> bool {
    since(now, device.seen) > ttl
}

pub(super) fn micros(at: Mono) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

fn since(now: i64, then: i64) -> Duration {
    Duration::from_micros(u64::try_from(now.saturating_sub(then)).unwrap_or(0))
}

/// What a sample did to its device's window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Added {
    /// A window is complete and can be read.
    pub(super) complete: bool,
    /// The window started over before this sample.
    pub(super) restart: Option<LossCause>,
    /// Samples that were in no window yet and were thrown away with that.
    pub(super) lost: usize,
    /// An earlier sample that had been refused and begins the new window.
    pub(super) first: Option<Box<Aside>>,
}

impl Device {
    /// What is restored of a device.
    pub(super) fn restored(ring: Ring, memory: Memory, seen: i64, time: Option<Timestamp>) -> Self {
        Self { ring, memory, seen, time, ..Self::default() }
    }

    /// Adds a sample; `time` is its own time stamp. `Err` says by how much it is older than the one
    /// before, and leaves the window as it is. Equal times are in order.
    pub(super) fn add(
        &mut self,
        shape: &Shape,
        sample: &[f64],
        time: Option<Timestamp>,
        received: Mono,
    ) -> Result<Added, Duration> {
        let step = match (time, self.time) {
            (Some(new), Some(last)) => self.order.judge(last, new, sample, shape.length),
            (_, _) => Step::On,
        };
        let (restart, first) = match step {
            Step::On => (None, None),
            Step::Late(by) => return Err(by),
            Step::Back { by, first } => (Some(LossCause::Clock { by, back: true }), Some(first)),
            Step::Forward { by } => (Some(LossCause::Clock { by, back: false }), None),
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
        Ok(Added { first, ..added })
    }

    /// Empties the window because the device's clock was set.
    pub(super) fn start_over(&mut self) {
        self.ring.clear();
        self.time = None;
    }

    /// Adds a sample that is in order, received at a time that may be before the start.
    pub(super) fn put(
        &mut self,
        shape: &Shape,
        sample: &[f64],
        time: Option<Timestamp>,
        received: i64,
    ) -> Added {
        let (gap, own_time) = match (time, self.time) {
            (Some(new), Some(last)) => (new.since(last), true),
            (_, _) => (since(received, self.seen), false),
        };
        (self.seen, self.time) = (received, time);
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
        Added { complete, restart, lost, first: None }
    }

    /// Counts a window that is given up; how many were so in a row.
    pub(super) fn count_loss(&mut self) -> u32 {
        self.losses = self.losses.saturating_add(1);
        self.losses
    }

    /// The loss of this device's window.
    fn loss(&self, key: &str, cause: LossCause, length: usize, in_a_row: u32) -> WindowLoss {
        let device = key.to_owned();
        WindowLoss { device, cause, samples: self.ring.fresh, length, in_a_row }
    }

    /// How full its window is.
    pub(super) fn fill(&self, shape: &Shape) -> Fill {
        let missing = self.ring.missing(shape);
        Fill { length: shape.length, filled: shape.length.saturating_sub(missing), missing }
    }

    /// Notes a sign of life.
    pub(super) fn touch(&mut self, received: Mono) {
        self.seen = micros(received);
    }

    /// Starts anew and keeps the ring's memory.
    fn forget(&mut self) {
        let mut ring = std::mem::take(&mut self.ring);
        ring.clear();
        let losses = self.losses;
        *self = Self { ring, seen: self.seen, losses, ..Self::default() };
    }
}
