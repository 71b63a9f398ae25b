//! The section of a snapshot with the carried states of its devices.

use super::carried::{CarriedPlan, CarriedState};
use super::state_codec::{Cursor, RestoreError};
use super::window::{Device, Devices};
use crate::ids::DeviceKey;

/// The bytes behind the states: of a device, fingerprint, of the section.
const TAIL_SIZE: usize = 4 + 4 + 8;

/// The section, as far as it is read without a plan.
pub(super) struct SavedStates<'a> {
    pub(super) fingerprint: u32,
    size: usize,
    /// The count and the states.
    bytes: &'a [u8],
}

pub(super) fn save_states(devices: &Devices, plan: &CarriedPlan, out: &mut Vec<u8>) {
    let start = out.len();
    let states = devices.known.iter().rev().zip(0_u32..);
    let states = states.filter_map(|((_, device), place)| {
        device.carried.active.as_ref().map(|state| (place, state))
    });
    let states: Vec<_> = states.collect();
    out.extend(u32::try_from(states.len()).unwrap_or(u32::MAX).to_le_bytes());
    for (place, state) in states {
        out.extend(place.to_le_bytes());
        state.save(out);
    }
    out.extend(u32::try_from(plan.size).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(plan.fingerprint.to_le_bytes());
    let section = u64::try_from(out.len().saturating_sub(start)).unwrap_or(u64::MAX);
    out.extend(section.to_le_bytes());
}

/// Splits a snapshot with states, without its CRC-32, into what is before the section, and the section.
pub(super) fn split_states(body: &[u8]) -> Result<(&[u8], SavedStates<'_>), RestoreError> {
    let damaged = RestoreError::Damaged("carried states");
    let (front, tail) = body.split_last_chunk::<TAIL_SIZE>().ok_or(damaged.clone())?;
    let mut cursor = Cursor::new(tail);
    let (size, fingerprint) = (cursor.usize()?, cursor.u32()?);
    let section = usize::try_from(cursor.u64()?).map_err(|_| damaged.clone())?;
    // The length of the section is behind the section itself.
    let states = section.checked_sub(TAIL_SIZE - 8).ok_or(damaged.clone())?;
    let split = front.len().checked_sub(states).ok_or(damaged.clone())?;
    let (front, bytes) = front.split_at_checked(split).ok_or(damaged)?;
    Ok((front, SavedStates { fingerprint, size, bytes }))
}

/// Puts the states into the devices, which are in the order of the snapshot.
pub(super) fn load_states(
    saved: &SavedStates<'_>,
    plan: &CarriedPlan,
    devices: &mut [(DeviceKey, Device)],
) -> Result<(), RestoreError> {
    let damaged = || RestoreError::Damaged("carried states");
    if saved.size != plan.size {
        return Err(damaged());
    }
    let mut cursor = Cursor::new(saved.bytes);
    for _ in 0..cursor.u32()? {
        let place = cursor.usize()?;
        let state = CarriedState::load(plan, cursor.take(plan.size)?)?;
        let (_, device) = devices.get_mut(place).ok_or_else(damaged)?;
        device.carried.active = Some(Box::new(state));
    }
    if cursor.is_empty() { Ok(()) } else { Err(damaged()) }
}
