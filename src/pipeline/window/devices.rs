//! The devices of a stream, at most `max_keys` of them.

use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use super::device::{Device, micros, since};
use super::ring::SampleRing;
use crate::clock::Mono;
use crate::ids::DeviceKey;
use crate::pipeline::carried::DeviceStates;
use crate::pipeline::shape::WindowShape;
use crate::pipeline::step_report::StepReport;
use crate::pipeline::window_loss::{LossCause, WindowLosses};

/// Everything remembered of the devices of a stream, at most `max_keys` of them.
#[derive(Debug)]
pub(in crate::pipeline) struct Devices {
    /// The least recently used at the end.
    pub(in crate::pipeline) known: LruCache<DeviceKey, Device>,
    ttl: Duration,
    /// The ring of a forgotten device, for the next new one.
    spare: Option<SampleRing>,
}

/// Devices forgotten on the way to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::pipeline) struct ForgottenDevices {
    pub(in crate::pipeline) evicted: u32,
    pub(in crate::pipeline) expired: u32,
    /// Of them, those whose window is missed.
    pub(super) losses: WindowLosses,
}

impl ForgottenDevices {
    /// Counts them; `length` is the samples in a window.
    pub(in crate::pipeline) fn count_in(self, length: usize, outcome: &mut StepReport) {
        outcome.evicted = outcome.evicted.saturating_add(self.evicted);
        outcome.expired = outcome.expired.saturating_add(self.expired);
        outcome.losses.merge(self.losses, length);
    }

    /// Notes that a device without a prediction was forgotten.
    fn unpredicted(&mut self, key: &str, device: &Device, cause: LossCause) {
        if device.publish_state.run == 0 && device.ring.fresh > 0 {
            let in_a_row = device.losses.saturating_add(1);
            self.losses.note(cause, || device.loss(key, cause, 0, in_a_row));
        }
    }
}

/// Silent devices dropped per look-up: more than one, so that they go faster than new ones come.
const SWEEP: usize = 2;

impl Devices {
    pub(in crate::pipeline) fn new(max_keys: usize, ttl: Duration) -> Self {
        let max_keys = NonZeroUsize::new(max_keys).unwrap_or(NonZeroUsize::MIN);
        Self { known: LruCache::sparse(max_keys), ttl, spare: None }
    }

    /// The device of that name, a new one if it is not known or was silent for too long. `None`
    /// where the name is none that a device may have.
    pub(in crate::pipeline) fn device(
        &mut self,
        name: &str,
        now: Mono,
        forgotten: &mut ForgottenDevices,
    ) -> Option<&mut Device> {
        self.device_at(name, micros(now), forgotten)
    }

    /// The same, at a time that may be before the start.
    pub(in crate::pipeline) fn device_at(
        &mut self,
        name: &str,
        now: i64,
        forgotten: &mut ForgottenDevices,
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
            self.known.put(key, Device::new(ring, now));
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
    fn sweep(&mut self, name: &str, now: i64, forgotten: &mut ForgottenDevices) {
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

    /// Has each device hold the numbers of the last sample in its window, as of that sample's time.
    pub(in crate::pipeline) fn hold_last_samples(&mut self, shape: &WindowShape) {
        for (_, device) in &mut self.known {
            if let Some(sample) = device.ring.last(shape) {
                let at = device.time.map_or(device.seen, |time| time.0);
                device.held.restore(&sample, at);
            }
        }
    }

    /// Puts other devices in the place of these, the least recently used first.
    pub(in crate::pipeline) fn replace(&mut self, devices: Vec<(DeviceKey, Device)>) {
        self.known.clear();
        for (key, device) in devices {
            self.known.push(key, device);
        }
    }

    /// Drops all that were silent for too long.
    pub(in crate::pipeline) fn drop_silent(&mut self, now: i64) {
        let ttl = self.ttl;
        let gone = self.known.iter().filter(|(_, device)| silent(device, now, ttl));
        let gone: Vec<DeviceKey> = gone.map(|(key, _)| key.clone()).collect();
        gone.iter().for_each(|key| drop(self.known.pop(key)));
    }

    /// None yet, with the same bounds.
    pub(in crate::pipeline) fn another(&self) -> Self {
        Self { known: LruCache::sparse(self.known.cap()), ttl: self.ttl, spare: None }
    }

    pub(in crate::pipeline) fn len(&self) -> usize {
        self.known.len()
    }

    /// Forgets the carried state of every device: the model is another one.
    pub(in crate::pipeline) fn clear_states(&mut self) {
        self.known.iter_mut().for_each(|(_, device)| device.carried = DeviceStates::default());
    }

    /// Forgets the state of a candidate, which is another one or has ended.
    pub(in crate::pipeline) fn clear_candidate_states(&mut self) {
        self.known.iter_mut().for_each(|(_, device)| device.carried.candidate = None);
    }

    /// Empties every window and keeps what the publish rules remember.
    pub(in crate::pipeline) fn clear_windows(&mut self) {
        self.spare = None;
        for (_, device) in &mut self.known {
            device.ring = SampleRing::default();
            device.join = None;
        }
    }
}

fn silent(device: &Device, now: i64, ttl: Duration) -> bool {
    since(now, device.seen) > ttl
}
