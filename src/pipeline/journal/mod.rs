//! What came into the windows of a stream since they were saved: a base, and additions to it.
//!
//! A base is a snapshot with a number before it: `INFB`, the number (u64), the snapshot. Every
//! message that reaches a device's window is noted; from time to time what was noted is taken as an
//! addition. Base and additions together give the windows as they were ([`replay()`]). Nothing is
//! run again: what the publish rules remember is noted with the window that changed it.
//!
//! An addition, little-endian: `INFA`, the number of its base (u64), how many messages came between
//! the base and it (u64), when it was taken (i64, us since 1970) and how long after the base
//! (number, us of monotonic time), the messages, the CRC-32 of everything before. A number is
//! LEB128; one that may be negative is zigzag. A message is:
//!
//! - the device: 0 and its name (length as number, UTF-8), or n for the nth name of this addition;
//! - when it was received, after the message before (the first: after the base), and how long after
//!   that its device was looked up, both in us and signed;
//! - any of: 1 and a sample's numbers (f32 or f64, as in the snapshot); 2, its own time after the
//!   own time before it (the first: after 1970; signed, us) and its numbers; 3 and the memory of
//!   the publish rules; 4 and the input_id of the message: epoch and packet id after those before
//!   (signed), the checksum (u32); 5 where the window starts over before the next sample because the
//!   device's clock was set; 0 at the end.

mod replay;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::plan::Shape;
use super::policy::Memory;
use super::snapshot::{save_memory, save_numbers};
use super::window::micros;
use crate::clock::{Mono, Now, Timestamp};
use crate::codec::{put_bytes, put_signed, put_varint};
use crate::message::InputId;

pub use replay::base_number;
pub(super) use replay::replay;

const BASE: &[u8; 4] = b"INFB";
const ADDITION: &[u8; 4] = b"INFA";
/// Magic, base, position.
const HEAD: usize = 4 + 8 + 8;

const END: u8 = 0;
const SAMPLE: u8 = 1;
const TIMED: u8 = 2;
const MEMORY: u8 = 3;
const ORIGIN: u8 = 4;
const RESTART: u8 = 5;

/// What came after a base, or after the additions to it before this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// The base it belongs to.
    pub base: u64,
    /// Messages between that and this.
    pub from: u64,
    /// The same with the messages in this.
    pub upto: u64,
    pub bytes: Vec<u8>,
}

/// A snapshot as the base of additions.
pub(super) fn base(number: u64, snapshot: &[u8]) -> Vec<u8> {
    [&BASE[..], &number.to_le_bytes(), snapshot].concat()
}

/// Notes what comes into the windows after a base, once there is one.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    base: Option<u64>,
    began: i64,
    /// Messages in earlier additions.
    from: u64,
    /// Messages since.
    count: u64,
    messages: Vec<u8>,
    names: HashMap<Box<str>, u64>,
    before: Before,
    /// Of the device at hand.
    memory: Memory,
}

/// What the next message is told from.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    received: i64,
    time: i64,
    epoch: u64,
    packet: u16,
}

impl Recorder {
    pub(super) fn new(base: u64, now: Mono) -> Self {
        let before = Before { received: micros(now), ..Before::default() };
        Self { base: Some(base), began: micros(now), before, ..Self::default() }
    }

    pub(super) fn has_base(&self) -> bool {
        self.base.is_some()
    }

    /// A message reached its device.
    pub(super) fn begin(&mut self, device: &str, memory: &Memory, received: Mono, looked_up: Mono) {
        if !self.has_base() {
            return;
        }
        self.memory = *memory;
        match self.names.get(device) {
            Some(number) => put_varint(&mut self.messages, *number),
            None => {
                self.names.insert(device.into(), number(self.names.len()).saturating_add(1));
                put_varint(&mut self.messages, 0);
                put_bytes(&mut self.messages, device.as_bytes());
            }
        }
        let (received, looked_up) = (micros(received), micros(looked_up));
        put_signed(&mut self.messages, received.wrapping_sub(self.before.received));
        put_signed(&mut self.messages, looked_up.wrapping_sub(received));
        self.before.received = received;
    }

    /// A sample of it is in the window.
    pub(super) fn sample(&mut self, shape: &Shape, sample: &[f64], time: Option<Timestamp>) {
        if !self.has_base() {
            return;
        }
        match time {
            None => self.messages.push(SAMPLE),
            Some(Timestamp(time)) => {
                self.messages.push(TIMED);
                put_signed(&mut self.messages, time.wrapping_sub(self.before.time));
                self.before.time = time;
            }
        }
        save_numbers(sample, shape, &mut self.messages);
    }

    /// The window starts over before the next sample because the device's clock was set.
    pub(super) fn restart(&mut self) {
        if self.has_base() {
            self.messages.push(RESTART);
        }
    }

    /// What the publish rules remember of the device behind a window.
    pub(super) fn memory(&mut self, memory: &Memory) {
        if self.has_base() && self.memory != *memory {
            self.memory = *memory;
            self.messages.push(MEMORY);
            save_memory(memory, &mut self.messages);
        }
    }

    /// Nothing more comes of it. `input_id` names it where its samples are in the window.
    pub(super) fn end(&mut self, input_id: Option<InputId>) {
        if !self.has_base() {
            return;
        }
        if let Some(InputId { epoch, packet, content }) = input_id {
            self.messages.push(ORIGIN);
            put_signed(&mut self.messages, epoch.wrapping_sub(self.before.epoch).cast_signed());
            let packets = i64::from(packet) - i64::from(self.before.packet);
            put_signed(&mut self.messages, packets);
            self.messages.extend(content.to_le_bytes());
            (self.before.epoch, self.before.packet) = (epoch, packet);
        }
        self.messages.push(END);
        self.count += 1;
    }

    /// What was noted since the last time; `None` where that is nothing.
    pub(super) fn take(&mut self, now: Now) -> Option<Addition> {
        let base = self.base.filter(|_| self.count > 0)?;
        let (from, upto) = (self.from, self.from + self.count);
        let mut bytes = Vec::with_capacity(self.messages.len() + 64);
        bytes.extend(ADDITION);
        bytes.extend(base.to_le_bytes());
        bytes.extend(from.to_le_bytes());
        bytes.extend(now.wall.0.to_le_bytes());
        let passed = micros(now.mono).saturating_sub(self.began);
        put_varint(&mut bytes, u64::try_from(passed).unwrap_or(0));
        bytes.append(&mut self.messages);
        let crc = crc32fast::hash(&bytes);
        bytes.extend(crc.to_le_bytes());
        self.names.clear();
        self.before = Before { received: self.began, ..Before::default() };
        (self.from, self.count) = (upto, 0);
        Some(Addition { base, from, upto, bytes })
    }
}

/// What a message with one sample takes, about: beside its numbers the device, three times, and the
/// name of the message.
pub(super) fn sample_bytes(shape: &Shape) -> u64 {
    const BESIDE: usize = 22;
    let width = if shape.wide { 8 } else { 4 };
    number(shape.channels.saturating_mul(width).saturating_add(BESIDE))
}

fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
