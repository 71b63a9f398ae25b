//! Estimates the size of saved windows, for flash wear.

use super::plan::StreamPlan;
use super::shape::WindowShape;
use crate::bundle::card::Card;
use crate::config::Stream;
use crate::tensor::TensorSpec;

/// Bytes of a typical device name.
const TYPICAL_NAME_SIZE: usize = 12;
/// Bytes of a snapshot without its devices: magic, version, shape, time, count, CRC-32.
const SNAPSHOT_FRAME_SIZE: usize = 4 + 2 + 13 + 8 + 4 + 4;
/// Bytes of a device in a snapshot without its samples: name, silence, time, publish state, window.
const SNAPSHOT_DEVICE_SIZE: usize = 2 + TYPICAL_NAME_SIZE + 8 + 8 + (8 + 4 + 9 + 9);
/// Bytes of a window in a snapshot without its samples.
const WINDOW_HEAD_SIZE: usize = 4 + 4 + 1;
/// Bytes of a device in a snapshot with carried states, without them.
const STATE_HEAD_SIZE: usize = 4;
/// Bytes of a snapshot with carried states: how many, bytes of each, fingerprint, size.
const STATE_FRAME_SIZE: usize = 4 + 4 + 4 + 8;
/// Bytes of a journaled message without its values: device, three times, the id of the message.
const JOURNAL_MESSAGE_SIZE: usize = 22;

/// Bytes of the saved windows and carried states of this many devices with full windows; `None` for
/// whole inputs of a model that carries no state, or if the stream does not fit.
#[must_use]
pub fn saved_windows_size(
    stream: &Stream,
    card: &Card,
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
    devices: u32,
) -> Option<u64> {
    let StreamPlan { shape, carried, .. } = StreamPlan::new(stream, card, inputs, outputs).ok()?;
    let window = match &shape {
        Some(shape) => WINDOW_HEAD_SIZE + sample_size(shape).saturating_mul(shape.length),
        None => carried.as_ref().map(|_| 0)?,
    };
    let (frame, state) = carried
        .map_or((0, 0), |carried| (STATE_FRAME_SIZE, STATE_HEAD_SIZE.saturating_add(carried.size)));
    let device = bytes(SNAPSHOT_DEVICE_SIZE.saturating_add(window).saturating_add(state));
    Some(bytes(SNAPSHOT_FRAME_SIZE + frame) + u64::from(devices).saturating_mul(device))
}

/// Approximate bytes of a sample in a journal entry if every message has one sample, and the most with
/// carried states; `None` as for [`saved_windows_size`].
#[must_use]
pub fn journal_sample_size(
    stream: &Stream,
    card: &Card,
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
) -> Option<u64> {
    let StreamPlan { shape, carried, .. } = StreamPlan::new(stream, card, inputs, outputs).ok()?;
    let sample = match &shape {
        Some(shape) => sample_size(shape),
        None => carried.as_ref().map(|_| 0)?,
    };
    let hop = shape.map_or(1, |shape| shape.hop.max(1));
    let state = carried.map_or(0, |carried| carried.size.div_ceil(hop));
    Some(bytes(sample.saturating_add(JOURNAL_MESSAGE_SIZE).saturating_add(state)))
}

/// Bytes of the values of a sample.
fn sample_size(shape: &WindowShape) -> usize {
    shape.channels.saturating_mul(if shape.wide { 8 } else { 4 })
}

fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
