//! How large saved windows become, for estimates of flash wear.

use super::plan::StreamPlan;
use super::shape::WindowShape;
use crate::bundle::card::Card;
use crate::config::Stream;
use crate::tensor::TensorSpec;

/// Bytes of a device's name of usual length.
const TYPICAL_NAME_SIZE: usize = 12;
/// Bytes of a snapshot around its devices: magic, version, shape, time, count, CRC-32.
const SNAPSHOT_FRAME_SIZE: usize = 4 + 2 + 13 + 8 + 4 + 4;
/// Bytes of a device in a snapshot beside its samples: name, silence, time, publish state, window.
const SNAPSHOT_DEVICE_SIZE: usize = 2 + TYPICAL_NAME_SIZE + 8 + 8 + (8 + 4 + 9 + 9) + (4 + 4 + 1);
/// Bytes of a journaled message beside its numbers: device, three times, the id of the message.
const JOURNAL_MESSAGE_SIZE: usize = 22;

/// Bytes of the saved windows of this many devices, every window full; `None` where messages are
/// whole inputs, or where the stream does not fit.
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

/// Bytes that a sample takes in a journal entry, about, where every message has one sample; `None`
/// as for [`saved_windows_size`].
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

/// Bytes of a sample's numbers.
fn sample_size(shape: &WindowShape) -> usize {
    shape.channels.saturating_mul(if shape.wide { 8 } else { 4 })
}

fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
