//! The last samples of every device, and when they make a window.
//!
//! Every device has a ring of samples. The first window is complete with `length` samples, each
//! next one `hop` samples later. A silence longer than `max_gap` starts the device's window anew.
//! A message costs the same whether there are ten devices or a million: one look-up, one ring.

use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use super::outcome::Outcome;
use super::plan::Shape;
use super::policy::Memory;
use super::snapshot::Restored;
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
        let now = micros(now);
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
    pub(super) fn replace(&mut self, devices: Vec<(DeviceKey, Device)>, now: Mono) -> Restored {
        self.known.clear();
        let mut restored = Restored::default();
        for (key, device) in devices {
            if silent(&device, micros(now), self.ttl) {
                restored.dropped = restored.dropped.saturating_add(1);
            } else if self.known.push(key, device).is_some() {
                restored.dropped = restored.dropped.saturating_add(1);
            }
        }
        restored.devices = self.known.len();
        restored
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
        let received = micros(received);
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
                into.extend(old.iter().chain(new).map(|&v| f64::from(v)));
            }
            Cells::F64(cells) => {
                let (new, old) = cells.split_at_checked(split).unwrap_or((&[], cells));
                into.extend(old.iter().chain(new));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(length: usize, hop: usize, channels: usize, wide: bool) -> Shape {
        Shape { length, hop, channels, wide, max_gap: Some(Duration::from_secs(1)) }
    }

    #[test]
    fn a_million_devices_leave_as_much_memory_as_a_thousand() {
        let shape = shape(50, 50, 2, false);
        let mut devices = Devices::new(1000, Duration::from_secs(600));
        let mut forgotten = Forgotten::default();
        for n in 0..1_000_000_u32 {
            let device = devices.device(&format!("d{n}"), Mono(0), &mut forgotten).unwrap();
            device.add(&shape, &[1.0, 2.0], None, Mono(0)).unwrap();
        }
        assert_eq!(devices.known.len(), 1000);
        assert_eq!(forgotten, Forgotten { evicted: 999_000, expired: 0 });
        let held = |ring: &Ring| match &ring.cells {
            Cells::F32(cells) => cells.capacity(),
            Cells::F64(cells) => cells.capacity(),
        };
        let all: usize = devices.known.iter().map(|(_, d)| held(&d.ring)).sum();
        assert!(all <= 1000 * 8, "{all} numbers are held for 2000");
    }

    #[test]
    fn a_ring_never_holds_more_than_a_window() {
        let shape = shape(7, 3, 2, false);
        let mut ring = Ring::default();
        for _ in 0..100 {
            ring.push(&shape, &[1.0, 2.0]);
        }
        let Cells::F32(cells) = &ring.cells else { panic!() };
        assert_eq!((cells.len(), cells.capacity()), (14, 14));
    }

    #[test]
    fn numbers_that_32_bits_would_round_are_kept_where_the_model_needs_them() {
        let value = 16_777_217.0;
        for (wide, kept) in [(false, 16_777_216.0), (true, value)] {
            let shape = shape(1, 1, 1, wide);
            let (mut ring, mut window) = (Ring::default(), Vec::new());
            assert!(ring.push(&shape, &[value]));
            ring.read(&shape, &mut window);
            assert_eq!(window, [kept]);
        }
    }

    #[test]
    fn a_name_that_no_device_may_have_makes_none() {
        let mut devices = Devices::new(2, Duration::from_secs(1));
        assert!(devices.device("", Mono(0), &mut Forgotten::default()).is_none());
        assert_eq!(devices.known.len(), 0);
    }

    /// Windows as one would write them down: all samples since the last gap, cut out.
    fn naive(shape: &Shape, samples: &[(u64, f64)]) -> Vec<Vec<f64>> {
        let (mut run, mut windows, mut last) = (Vec::new(), Vec::new(), None);
        for &(at, value) in samples {
            if last.is_some_and(|last| at - last > 1_000_000) {
                run.clear();
            }
            last = Some(at);
            run.push(value);
            if run.len() >= shape.length && (run.len() - shape.length) % shape.hop == 0 {
                windows.push(run[run.len() - shape.length..].to_vec());
            }
        }
        windows
    }

    proptest! {
        #[test]
        fn rings_give_the_windows_of_a_naive_model(
            length in 1_usize..6,
            hop in 1_usize..9,
            wide in any::<bool>(),
            by_own_time in any::<bool>(),
            pauses in prop::collection::vec((0_u64..3, 0_usize..3), 0..80),
        ) {
            let shape = shape(length, hop, 1, wide);
            let mut devices = Devices::new(10, Duration::from_secs(3600));
            let mut forgotten = Forgotten::default();
            let mut samples: Vec<Vec<(u64, f64)>> = vec![Vec::new(); 3];
            let mut windows: Vec<Vec<Vec<f64>>> = vec![Vec::new(); 3];
            let mut now = 0;
            for (value, (pause, device)) in pauses.into_iter().enumerate() {
                now += pause * 400_000;
                let value = f64::from(u32::try_from(value).unwrap());
                samples[device].push((now, value));
                let name = ["x", "y", "z"][device];
                let state = devices.device(name, Mono(now), &mut forgotten).unwrap();
                let own = by_own_time.then(|| Timestamp(i64::try_from(now).unwrap()));
                if state.add(&shape, &[value], own, Mono(now)).unwrap().complete {
                    let mut window = Vec::new();
                    state.ring.read(&shape, &mut window);
                    windows[device].push(window);
                }
            }
            for (samples, windows) in samples.iter().zip(&windows) {
                prop_assert_eq!(&naive(&shape, samples), windows);
            }
            prop_assert_eq!(forgotten, Forgotten::default());
        }
    }
}
