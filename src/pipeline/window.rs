//! The last samples of every device, and when they make a window.
//!
//! Every device has a ring of samples. The first window is complete with `length` samples, each
//! next one `hop` samples later. A silence longer than `max_gap` starts the device's window anew.
//! A message costs the same whether there are ten devices or a million: one look-up, one ring.

#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use super::outcome::Outcome;
use super::plan::Shape;
use super::policy::Memory;
use crate::clock::{Mono, Timestamp};
use crate::ids::DeviceKey;

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
}

/// Devices forgotten on the way to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Forgotten {
    pub(super) evicted: u32,
    pub(super) expired: u32,
}

impl Forgotten {
    pub(super) fn count_in(self, outcome: &mut Outcome) {
        outcome.evicted = outcome.evicted.saturating_add(self.evicted);
        outcome.expired = outcome.expired.saturating_add(self.expired);
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
        self.sweep(now, forgotten);
        if !self.known.contains(name) {
            let key = DeviceKey::parse(name)?;
            if self.known.len() == self.known.cap().get()
                && let Some((_, old)) = self.known.pop_lru()
            {
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
            device.forget();
            forgotten.expired = forgotten.expired.saturating_add(1);
        }
        Some(device)
    }

    /// Drops devices from the end that were silent for too long.
    fn sweep(&mut self, now: i64, forgotten: &mut Forgotten) {
        for _ in 0..SWEEP {
            if !self.known.peek_lru().is_some_and(|(_, device)| silent(device, now, self.ttl)) {
                return;
            }
            self.spare = self.known.pop_lru().map(|(_, device)| device.ring);
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Added {
    /// A window is complete and can be read.
    pub(super) complete: bool,
    /// Samples that were in no window yet were thrown away because of a gap before this one.
    pub(super) gap: bool,
}

impl Device {
    /// Adds a sample; `time` is its own time stamp. `Err` says by how much it is older than the one
    /// before, and changes nothing. Equal times are in order.
    pub(super) fn add(
        &mut self,
        shape: &Shape,
        sample: &[f64],
        time: Option<Timestamp>,
        received: Mono,
    ) -> Result<Added, Duration> {
        self.add_at(shape, sample, time, micros(received))
    }

    /// The same for one received at a time that may be before the start.
    pub(super) fn add_at(
        &mut self,
        shape: &Shape,
        sample: &[f64],
        time: Option<Timestamp>,
        received: i64,
    ) -> Result<Added, Duration> {
        let gap = match (time, self.time) {
            (Some(new), Some(last)) if new < last => return Err(last.since(new)),
            (Some(new), Some(last)) => new.since(last),
            (_, _) => since(received, self.seen),
        };
        (self.seen, self.time) = (received, time);
        let restart = !self.ring.is_empty() && shape.max_gap.is_some_and(|max| gap > max);
        let lost = restart && self.ring.fresh > 0;
        if restart {
            self.ring.clear();
        }
        Ok(Added { complete: self.ring.push(shape, sample), gap: lost })
    }

    /// Notes a sign of life.
    pub(super) fn touch(&mut self, received: Mono) {
        self.seen = micros(received);
    }

    /// Starts anew and keeps the ring's memory.
    fn forget(&mut self) {
        let mut ring = std::mem::take(&mut self.ring);
        ring.clear();
        *self = Self { ring, seen: self.seen, ..Self::default() };
    }
}

/// The last samples of a device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ring {
    pub(super) cells: Cells,
    /// The number of the oldest sample's row, once the ring is full.
    pub(super) head: usize,
    /// Samples held, at most a window's length.
    pub(super) len: usize,
    /// Samples since the window before was complete, or since the start.
    pub(super) fresh: usize,
    /// A window was complete since the start, so that the next one takes `hop` samples.
    pub(super) again: bool,
}

/// Numbers as they are kept: half the memory, unless the model needs more.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cells {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Default for Cells {
    fn default() -> Self {
        Self::F32(Vec::new())
    }
}

impl Ring {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets the samples and keeps their memory.
    pub(super) fn clear(&mut self) {
        match &mut self.cells {
            Cells::F32(cells) => cells.clear(),
            Cells::F64(cells) => cells.clear(),
        }
        (self.head, self.len, self.fresh, self.again) = (0, 0, 0, false);
    }

    /// Adds a sample, and says whether a window is complete with it.
    pub(super) fn push(&mut self, shape: &Shape, sample: &[f64]) -> bool {
        if shape.wide && matches!(self.cells, Cells::F32(_)) {
            self.cells = Cells::F64(Vec::new());
        }
        let full = self.len >= shape.length;
        let row = full.then_some(self.head);
        match &mut self.cells {
            #[expect(clippy::cast_possible_truncation, reason = "decoded numbers fit 32 bits")]
            Cells::F32(cells) => write(cells, shape, row, sample, |v| v as f32),
            Cells::F64(cells) => write(cells, shape, row, sample, |v| v),
        }
        if full {
            self.head = if self.head.saturating_add(1) >= shape.length { 0 } else { self.head + 1 };
        } else {
            self.len = self.len.saturating_add(1);
        }
        self.fresh = self.fresh.saturating_add(1);
        let wanted = if self.again { shape.hop } else { shape.length };
        let complete = self.fresh >= wanted;
        if complete {
            (self.fresh, self.again) = (0, true);
        }
        complete
    }

    /// Copies the samples, oldest first.
    pub(super) fn read(&self, shape: &Shape, into: &mut Vec<f64>) {
        into.clear();
        let split = self.head.saturating_mul(shape.channels);
        match &self.cells {
            Cells::F32(cells) => {
                let (new, old) = cells.split_at_checked(split).unwrap_or((&[], cells));
                into.extend(old.iter().map(|&v| f64::from(v)));
                into.extend(new.iter().map(|&v| f64::from(v)));
            }
            Cells::F64(cells) => {
                let (new, old) = cells.split_at_checked(split).unwrap_or((&[], cells));
                into.extend(old);
                into.extend(new);
            }
        }
    }
}

/// Writes a sample over the given row, or after the last one. Memory grows with the samples up to
/// one window, so that names seen once cost little.
fn write<T: Copy>(
    cells: &mut Vec<T>,
    shape: &Shape,
    row: Option<usize>,
    sample: &[f64],
    narrow: impl Fn(f64) -> T,
) {
    let Some(row) = row else {
        let whole = shape.length.saturating_mul(shape.channels);
        if cells.capacity() < cells.len().saturating_add(sample.len()) {
            let room = cells.len().max(sample.len().saturating_mul(4));
            cells.reserve_exact(room.min(whole.saturating_sub(cells.len())));
        }
        cells.extend(sample.iter().map(|&v| narrow(v)));
        return;
    };
    let start = row.saturating_mul(shape.channels);
    for (cell, &value) in cells.iter_mut().skip(start).zip(sample) {
        *cell = narrow(value);
    }
}
