//! Encodes all devices of a stream, and restores them.
//!
//! Format 1, little-endian: `INFW`, version u16, the shape (length, hop, channels as u32, wide u8;
//! zeros for a stream without windows), the time of the snapshot (i64, us since 1970), the number
//! of devices (u32); then for each device, the least recently used first: its name (length u16,
//! UTF-8), its silence (u64, us), the time stamp of its last sample (i64, us; the smallest value for
//! none), the state of the publish rules (mark u64, run u32, inside and last each as u8 + u64), the
//! window (samples u32, fresh u32, again u8, the samples oldest first as f32 or f64); at the end the
//! CRC-32 of everything before.
//!
//! Format 2 is for streams whose values are joined: after the window each device has a flag (u8) and,
//! if it is 1, the state of its join; behind the devices is the fingerprint of the join (u32).
//!
//! Formats 3 and 4 are 1 and 2 with a section of carried states before the CRC-32: how many devices have
//! one (u32), for each its place among the devices (u32) and the bytes of its states; the bytes of the
//! states of a device (u32), the fingerprint of the states (u32), and the bytes of the section before
//! this number (u64). States of another fingerprint are left out, and the windows are restored.

use std::time::Duration;

use super::join::{JoinPlan, JoinState};
use super::journal::Kept;
use super::shape::WindowShape;
use super::snapshot_states::{load_states, save_states, split_states};
use super::state_codec::{Cursor, RestoreError, save_numbers, save_publish_state};
use super::window::{Cells, Device, Devices, SampleRing, micros};
use crate::clock::{Now, Timestamp};
use crate::ids::DeviceKey;

const MAGIC: &[u8; 4] = b"INFW";
const VERSION: u16 = 1;
/// With the state of joins.
const JOINED_VERSION: u16 = 2;
/// This is added where there are carried states.
const WITH_STATES: u16 = 2;
const NO_TIME: i64 = i64::MIN;

/// The result of a restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Devices that were restored.
    pub devices: usize,
    /// Devices that were left out: silent for too long, or beyond `max_keys`.
    pub dropped: usize,
    /// Journal entries that were left out: damaged, or after a missing one.
    pub left_out: usize,
}

/// Encodes all devices.
pub(super) fn save(devices: &Devices, kept: Kept<'_>, now: Now) -> Vec<u8> {
    let Kept { shape, join, carried } = kept;
    let mut out = Vec::new();
    out.extend(MAGIC);
    out.extend(version(kept).to_le_bytes());
    out.extend(shape_bytes(shape));
    out.extend(now.wall.0.to_le_bytes());
    out.extend(narrow(devices.known.len()).to_le_bytes());
    let taken = micros(now.mono);
    for (key, device) in devices.known.iter().rev() {
        let name = key.as_str().as_bytes();
        out.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend(name);
        let silent = u64::try_from(taken.saturating_sub(device.seen)).unwrap_or(0);
        out.extend(silent.to_le_bytes());
        out.extend(device.time.map_or(NO_TIME, |t| t.0).to_le_bytes());
        save_publish_state(&device.publish_state, &mut out);
        if let Some(shape) = shape {
            save_ring(&device.ring, shape, &mut out);
        }
        if join.is_some() {
            out.push(u8::from(device.join.is_some()));
            device.join.iter().for_each(|state| state.save(&mut out));
        }
    }
    out.extend(join.iter().flat_map(|join| join.fingerprint().to_le_bytes()));
    if let Some(carried) = carried {
        save_states(devices, carried, &mut out);
    }
    let crc = crc32fast::hash(&out);
    out.extend(crc.to_le_bytes());
    out
}

fn version(kept: Kept<'_>) -> u16 {
    let version = if kept.join.is_some() { JOINED_VERSION } else { VERSION };
    version + if kept.carried.is_some() { WITH_STATES } else { 0 }
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn shape_bytes(shape: Option<&WindowShape>) -> [u8; 13] {
    let mut bytes = [0; 13];
    let Some(shape) = shape else { return bytes };
    let numbers = [narrow(shape.length), narrow(shape.hop), narrow(shape.channels)];
    let parts = numbers.iter().flat_map(|n| n.to_le_bytes()).chain([u8::from(shape.wide)]);
    bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
    bytes
}

fn save_ring(ring: &SampleRing, shape: &WindowShape, out: &mut Vec<u8>) {
    out.extend(narrow(ring.len).to_le_bytes());
    out.extend(narrow(ring.fresh).to_le_bytes());
    out.push(u8::from(ring.again));
    let mut samples = Vec::with_capacity(ring.len.saturating_mul(shape.channels));
    ring.read(shape, &mut samples);
    save_numbers(&samples, shape, out);
}

/// The time of a snapshot on the monotonic clock of this start, in microseconds; negative if it was
/// taken before. If the clock was set back, or was not set at that time, no time has passed.
pub(super) fn taken_at(bytes: &[u8], now: Now) -> Result<i64, RestoreError> {
    let mut cursor = Cursor::new(bytes);
    cursor.take(4 + 2 + 13)?;
    let saved = Timestamp(i64::from_le_bytes(cursor.array()?));
    let away = if saved.is_set() { now.wall.since(saved) } else { Duration::ZERO };
    let away = i64::try_from(away.as_micros()).unwrap_or(i64::MAX);
    Ok(micros(now.mono).saturating_sub(away))
}

/// The number of devices in its header.
pub(super) fn devices(bytes: &[u8]) -> Result<usize, RestoreError> {
    let mut cursor = Cursor::new(bytes);
    cursor.take(4 + 2 + 13 + 8)?;
    cursor.usize()
}

/// Replaces the devices with the saved ones, as of the time `taken`. Returns what else is to be
/// restored: without carried states if they are of another model, or if there are none.
///
/// # Errors
/// The bytes are damaged, or of another version or window shape; nothing is changed.
pub(super) fn load<'k>(
    bytes: &[u8],
    devices: &mut Devices,
    kept: Kept<'k>,
    taken: i64,
) -> Result<Kept<'k>, RestoreError> {
    let Kept { shape, join, carried } = kept;
    let damaged = RestoreError::Damaged;
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or(damaged("too short"))?;
    let mut cursor = Cursor::new(body);
    if &cursor.array::<4>()? != MAGIC {
        return Err(damaged("not a snapshot"));
    }
    let saved = u16::from_le_bytes(cursor.array()?);
    if !(VERSION..=JOINED_VERSION + WITH_STATES).contains(&saved) {
        return Err(RestoreError::Version(saved, version(kept)));
    }
    if crc32fast::hash(body).to_le_bytes() != *crc {
        return Err(damaged("checksum"));
    }
    let has_states = saved > JOINED_VERSION;
    let windows = if has_states { saved - WITH_STATES } else { saved };
    let without = Kept { carried: None, ..kept };
    if cursor.array()? != shape_bytes(shape) || windows != version(without) {
        return Err(RestoreError::Shape);
    }
    let split = has_states.then(|| split_states(body)).transpose()?;
    let (body, states) = split.map_or((body, None), |(front, states)| (front, Some(states)));
    let mut cursor = Cursor::new(body);
    cursor.take(4 + 2 + 13)?;
    let fingerprint = join.map_or([0; 4], |join| join.fingerprint().to_le_bytes());
    if join.is_some() && !body.ends_with(&fingerprint) {
        return Err(RestoreError::Shape);
    }
    cursor.take(8)?;
    let mut read = Vec::new();
    for _ in 0..cursor.u32()? {
        let (key, mut device) = load_device(&mut cursor, shape, join)?;
        // Up to here `seen` is the silence of the device when it was saved.
        device.seen = taken.saturating_sub(device.seen);
        read.push((key, device));
    }
    if join.is_some() {
        cursor.take(fingerprint.len())?;
    }
    if !cursor.is_empty() {
        return Err(damaged("bytes after the last device"));
    }
    let states = states.zip(carried).filter(|(it, plan)| it.fingerprint == plan.fingerprint);
    if let Some((states, plan)) = &states {
        load_states(states, plan, &mut read)?;
    }
    devices.replace(read);
    Ok(if states.is_some() { kept } else { without })
}

fn load_device(
    cursor: &mut Cursor<'_>,
    shape: Option<&WindowShape>,
    join: Option<&JoinPlan>,
) -> Result<(DeviceKey, Device), RestoreError> {
    let length = u16::from_le_bytes(cursor.array()?);
    let name = std::str::from_utf8(cursor.take(usize::from(length))?).ok();
    let key = name.and_then(DeviceKey::parse).ok_or(RestoreError::Damaged("device name"))?;
    let seen = i64::try_from(cursor.u64()?).unwrap_or(i64::MAX);
    let time = Some(i64::from_le_bytes(cursor.array()?)).filter(|&t| t != NO_TIME).map(Timestamp);
    let publish_state = cursor.publish_state()?;
    let ring = match shape {
        Some(shape) => load_ring(cursor, shape)?,
        None => SampleRing::default(),
    };
    let mut device = Device::restored(ring, publish_state, seen, time);
    if let Some(join) = join
        && cursor.flag()?
    {
        device.join = Some(Box::new(JoinState::load(cursor, join)?));
    }
    Ok((key, device))
}

fn load_ring(cursor: &mut Cursor<'_>, shape: &WindowShape) -> Result<SampleRing, RestoreError> {
    let (len, fresh, again) = (cursor.usize()?, cursor.usize()?, cursor.flag()?);
    if len > shape.length || fresh >= if again { shape.hop } else { shape.length } {
        return Err(RestoreError::Damaged("window"));
    }
    let cells = len.saturating_mul(shape.channels);
    let cells = if shape.wide {
        let (numbers, _) = cursor.take(cells.saturating_mul(8))?.as_chunks();
        Cells::F64(numbers.iter().map(|n| f64::from_le_bytes(*n)).collect())
    } else {
        let (numbers, _) = cursor.take(cells.saturating_mul(4))?.as_chunks();
        Cells::F32(numbers.iter().map(|n| f32::from_le_bytes(*n)).collect())
    };
    Ok(SampleRing { cells, len, fresh, again, ..SampleRing::default() })
}
