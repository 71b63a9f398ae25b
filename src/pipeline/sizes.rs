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
const SNAPSHOT_DEVICE_SIZE: usize = 2 + TYPICAL_NAME_SIZE + 8 + 8 + (8 + 4 + 9 + 9) + (4 + 4 + 1);
/// Bytes of a journaled message without its values: device, three times, the id of the message.
const JOURNAL_MESSAGE_SIZE: usize = 22;

/// Bytes of the saved windows of this many devices with full windows; `None` for whole inputs, or if the
/// stream does not fit.
#[must_use]
pub fn saved_windows_size(
    stream: &Stream,
    card: &Card,
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
    devices: u32,
) -> Option<u64> {
    let shape = StreamPlan::new(stream, card, inputs, outputs).ok()?.shape?;
    let device =
        SNAPSHOT_DEVICE_SIZE.saturating_add(sample_size(&shape).saturating_mul(shape.length));
    Some(bytes(SNAPSHOT_FRAME_SIZE) + u64::from(devices).saturating_mul(bytes(device)))
}

/// Approximate bytes of a sample in a journal entry if every message has one sample; `None` as for
/// [`saved_windows_size`].
#[must_use]
pub fn journal_sample_size(
    stream: &Stream,
    card: &Card,
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
) -> Option<u64> {
    let shape = StreamPlan::new(stream, card, inputs, outputs).ok()?.shape?;
    Some(bytes(sample_size(&shape).saturating_add(JOURNAL_MESSAGE_SIZE)))
}

/// Bytes of the values of a sample.
fn sample_size(shape: &WindowShape) -> usize {
    shape.channels.saturating_mul(if shape.wide { 8 } else { 4 })
}

fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
