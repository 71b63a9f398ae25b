//! Records the samples that reach the windows.

use std::collections::{BTreeMap, HashMap};

use super::entry::{DeltaBase, ENTRY_MAGIC, JournalEntry, STATES_MAGIC, Tag};
use crate::clock::{Mono, Now, Timestamp};
use crate::codec::{put_bytes, put_signed, put_varint};
use crate::message::InputId;
use crate::pipeline::carried::{CarriedPlan, DeviceStates};
use crate::pipeline::join::ChannelValues;
use crate::pipeline::publish_state::PublishState;
use crate::pipeline::shape::WindowShape;
use crate::pipeline::state_codec::{save_numbers, save_publish_state};
use crate::pipeline::window::micros;

/// Records what reaches the windows after a base, once there is one.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct JournalRecorder {
    base: Option<u64>,
    began: i64,
    /// Messages in earlier entries.
    from: u64,
    /// Messages since then.
    count: u64,
    messages: Vec<u8>,
    names: HashMap<Box<str>, u64>,
    before: DeltaBase,
    /// The state of the current device.
    publish_state: PublishState,
    /// The number of the current device in this entry.
    device: u64,
    /// The carried state of devices after the last of the messages: empty where it starts over.
    states: BTreeMap<u64, Vec<u8>>,
}

impl JournalRecorder {
    pub(in crate::pipeline) fn new(base: u64, now: Mono) -> Self {
        let before = DeltaBase { received: micros(now), ..DeltaBase::default() };
        Self { base: Some(base), began: micros(now), before, ..Self::default() }
    }

    pub(in crate::pipeline) fn has_base(&self) -> bool {
        self.base.is_some()
    }

    /// Records that a message reached its device.
    pub(in crate::pipeline) fn begin(
        &mut self,
        device: &str,
        state: &PublishState,
        received: Mono,
        looked_up: Mono,
    ) {
        if !self.has_base() {
            return;
        }
        self.publish_state = *state;
        match self.names.get(device) {
            Some(number) => {
                self.device = *number;
                put_varint(&mut self.messages, *number);
            }
            None => {
                self.device = number(self.names.len()).saturating_add(1);
                self.names.insert(device.into(), self.device);
                put_varint(&mut self.messages, 0);
                put_bytes(&mut self.messages, device.as_bytes());
            }
        }
        let (received, looked_up) = (micros(received), micros(looked_up));
        put_signed(&mut self.messages, received.wrapping_sub(self.before.received));
        put_signed(&mut self.messages, looked_up.wrapping_sub(received));
        self.before.received = received;
    }

    /// Records a sample that is in the window.
    pub(in crate::pipeline) fn sample(
        &mut self,
        shape: &WindowShape,
        sample: &[f64],
        time: Option<Timestamp>,
    ) {
        if !self.has_base() {
            return;
        }
        self.tag(time, [Tag::Sample, Tag::TimedSample]);
        save_numbers(sample, shape, &mut self.messages);
    }

    /// Records a whole input of a model that carries state.
    pub(in crate::pipeline) fn input(&mut self, time: Option<Timestamp>) {
        if self.has_base() {
            self.tag(time, [Tag::Input, Tag::TimedInput]);
        }
    }

    /// Adds the tag without a time or the one with it, and the time since the last.
    fn tag(&mut self, time: Option<Timestamp>, [untimed, timed]: [Tag; 2]) {
        match time {
            None => self.messages.push(untimed as u8),
            Some(Timestamp(time)) => {
                self.messages.push(timed as u8);
                put_signed(&mut self.messages, time.wrapping_sub(self.before.time));
                self.before.time = time;
            }
        }
    }

    /// Records what is carried of the device after a message, where the model carries something; `ran`: the
    /// model ran. Only the last state of an entry is kept.
    pub(in crate::pipeline) fn state(
        &mut self,
        plan: Option<&CarriedPlan>,
        states: &DeviceStates,
        ran: bool,
    ) {
        if !self.has_base() || plan.is_none() {
            return;
        }
        match &states.active {
            Some(state) if ran => {
                let saved = self.states.entry(self.device).or_default();
                saved.clear();
                state.save(saved);
            }
            Some(_) => {}
            None => drop(self.states.insert(self.device, Vec::new())),
        }
    }

    /// Values of it were given to its join, late ones as well: they may say that its clock was set.
    pub(in crate::pipeline) fn values(&mut self, taken: &ChannelValues<'_>) {
        if !self.has_base() {
            return;
        }
        self.messages.push(Tag::Values as u8);
        let count = number(taken.values.len()).saturating_mul(2);
        put_varint(&mut self.messages, count.saturating_add(u64::from(taken.by_arrival)));
        put_signed(&mut self.messages, taken.time.wrapping_sub(self.before.time));
        self.before.time = taken.time;
        for (channel, value) in taken.values {
            put_varint(&mut self.messages, number(*channel));
            self.messages.extend(value.to_le_bytes());
        }
    }

    /// Records that the window is reset before the next sample because the device's clock was set.
    pub(in crate::pipeline) fn restart(&mut self) {
        if self.has_base() {
            self.messages.push(Tag::Restart as u8);
        }
    }

    /// Records the state of the publish rules of the device after a window.
    pub(in crate::pipeline) fn publish_state(&mut self, state: &PublishState) {
        if self.has_base() && self.publish_state != *state {
            self.publish_state = *state;
            self.messages.push(Tag::PublishState as u8);
            save_publish_state(state, &mut self.messages);
        }
    }

    /// Ends the record of a message. `input_id` is its id if its samples are in the window.
    pub(in crate::pipeline) fn end(&mut self, input_id: Option<InputId>) {
        if !self.has_base() {
            return;
        }
        if let Some(InputId { epoch, packet, content }) = input_id {
            self.messages.push(Tag::Origin as u8);
            put_signed(&mut self.messages, epoch.wrapping_sub(self.before.epoch).cast_signed());
            let packets = i64::from(packet) - i64::from(self.before.packet);
            put_signed(&mut self.messages, packets);
            self.messages.extend(content.to_le_bytes());
            (self.before.epoch, self.before.packet) = (epoch, packet);
        }
        self.messages.push(Tag::End as u8);
        self.count += 1;
    }

    /// Takes the records since the last call; `None` if there are none.
    pub(in crate::pipeline) fn take(&mut self, now: Now) -> Option<JournalEntry> {
        let base = self.base.filter(|_| self.count > 0)?;
        let (from, upto) = (self.from, self.from + self.count);
        let mut bytes = Vec::with_capacity(self.messages.len() + 64);
        bytes.extend(if self.states.is_empty() { ENTRY_MAGIC } else { STATES_MAGIC });
        bytes.extend(base.to_le_bytes());
        bytes.extend(from.to_le_bytes());
        bytes.extend(now.wall.0.to_le_bytes());
        let passed = micros(now.mono).saturating_sub(self.began);
        put_varint(&mut bytes, u64::try_from(passed).unwrap_or(0));
        if !self.states.is_empty() {
            put_varint(&mut bytes, number(self.states.len()));
        }
        for (device, state) in std::mem::take(&mut self.states) {
            put_varint(&mut bytes, device);
            put_bytes(&mut bytes, &state);
        }
        bytes.append(&mut self.messages);
        let crc = crc32fast::hash(&bytes);
        bytes.extend(crc.to_le_bytes());
        self.names.clear();
        self.before = DeltaBase { received: self.began, ..DeltaBase::default() };
        (self.from, self.count) = (upto, 0);
        Some(JournalEntry { base, from, upto, bytes })
    }
}

fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
