//! Carried state: outputs of a model that are inputs of the next run of the same device, as
//! `[[state]]` of the card names them.
//!
//! The state is a value of the device, beside its window. Only a run that gave finite states changes
//! it, so a message that is refused or that the model fails on leaves it as it was.

mod model;
mod plan;
mod process;
#[cfg(test)]
mod tests;

pub(super) use model::StatefulModel;
pub(super) use plan::CarriedPlan;

use super::state_codec::{Cursor, RestoreError};
use crate::tensor::{Data, Dtype};

/// The states of one device after a run, in the order of the card.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CarriedState(pub(super) Vec<Data>);

/// What is carried for one device; `None`: the next run takes the first values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DeviceStates {
    pub(super) active: Option<Box<CarriedState>>,
    /// Of a candidate in a shadow run. Not saved.
    pub(super) candidate: Option<Box<CarriedState>>,
}

impl CarriedState {
    /// Encodes the elements, little-endian, without their types and numbers, which the plan has.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        for data in &self.0 {
            match data {
                Data::F32(values) => values.iter().for_each(|v| out.extend(v.to_le_bytes())),
                Data::F64(values) => values.iter().for_each(|v| out.extend(v.to_le_bytes())),
                Data::I32(values) => values.iter().for_each(|v| out.extend(v.to_le_bytes())),
                Data::I64(values) => values.iter().for_each(|v| out.extend(v.to_le_bytes())),
                // Cards with others are refused.
                _ => {}
            }
        }
    }

    /// Reads what [`CarriedState::save`] wrote.
    ///
    /// # Errors
    /// The bytes are too few, or a number is not finite.
    pub(super) fn load(plan: &CarriedPlan, bytes: &[u8]) -> Result<Self, RestoreError> {
        let mut cursor = Cursor::new(bytes);
        let mut all = Vec::with_capacity(plan.slots.len());
        for slot in &plan.slots {
            let bytes = cursor.take(slot.size())?;
            all.push(match slot.dtype() {
                Dtype::F64 => {
                    Data::F64(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect())
                }
                Dtype::I32 => {
                    Data::I32(bytes.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect())
                }
                Dtype::I64 => {
                    Data::I64(bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect())
                }
                _ => {
                    Data::F32(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
                }
            });
        }
        if cursor.is_empty() && all.iter().all(is_finite) {
            return Ok(Self(all));
        }
        Err(RestoreError::Damaged("carried state"))
    }
}

/// Whether all elements are; integers are.
fn is_finite(data: &Data) -> bool {
    match data {
        Data::F32(values) => values.iter().all(|value| value.is_finite()),
        Data::F64(values) => values.iter().all(|value| value.is_finite()),
        _ => true,
    }
}
