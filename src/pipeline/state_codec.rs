//! The common parts of snapshots and journal entries: values, publish states, and a reader.

use super::publish_state::PublishState;
use super::shape::WindowShape;
use crate::codec::Reader;

/// Why saved windows were not restored; the stream starts with empty ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error("saved windows are damaged ({0}) and are left out; every device starts a new window")]
    Damaged(&'static str),
    #[error(
        "saved windows have format {0}, this version reads {1}; every device starts a new window"
    )]
    Version(u16, u16),
    #[error(
        "saved windows are of another shape than the model's; every device starts a new window"
    )]
    Shape,
}

pub(super) fn save_publish_state(state: &PublishState, out: &mut Vec<u8>) {
    out.extend(state.mark.to_le_bytes());
    out.extend(state.run.to_le_bytes());
    for option in [state.inside, state.last] {
        out.push(u8::from(option.is_some()));
        out.extend(option.unwrap_or(0).to_le_bytes());
    }
}

/// Encodes the values of windows.
pub(super) fn save_numbers(numbers: &[f64], shape: &WindowShape, out: &mut Vec<u8>) {
    #[expect(clippy::cast_possible_truncation, reason = "windows keep no more of them")]
    for number in numbers {
        if shape.wide {
            out.extend(number.to_le_bytes());
        } else {
            out.extend((*number as f32).to_le_bytes());
        }
    }
}

/// The bytes that are left to read. Reading beyond them is an error.
pub(super) struct Cursor<'b>(Reader<'b>);

impl<'b> Cursor<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self(Reader::new(bytes))
    }

    pub(super) fn rest(self) -> &'b [u8] {
        self.0.rest()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn number(&mut self) -> Result<u64, RestoreError> {
        self.0.number().ok_or(RestoreError::Damaged("number"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, RestoreError> {
        self.0.signed().ok_or(RestoreError::Damaged("number"))
    }

    /// Numbers as windows keep them.
    pub(super) fn numbers(
        &mut self,
        shape: &WindowShape,
        count: usize,
        into: &mut Vec<f64>,
    ) -> Result<(), RestoreError> {
        into.clear();
        if shape.wide {
            let (numbers, _) = self.take(count.saturating_mul(8))?.as_chunks();
            into.extend(numbers.iter().map(|n| f64::from_le_bytes(*n)));
        } else {
            let (numbers, _) = self.take(count.saturating_mul(4))?.as_chunks();
            into.extend(numbers.iter().map(|n| f64::from(f32::from_le_bytes(*n))));
        }
        Ok(())
    }

    /// What the publish rules remember.
    pub(super) fn publish_state(&mut self) -> Result<PublishState, RestoreError> {
        let (mark, run) = (self.u64()?, self.u32()?);
        Ok(PublishState { mark, run, inside: self.option()?, last: self.option()? })
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'b [u8], RestoreError> {
        self.0.take(n).ok_or(RestoreError::Damaged("ends too early"))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RestoreError> {
        self.0.array().ok_or(RestoreError::Damaged("ends too early"))
    }

    pub(super) fn u32(&mut self) -> Result<u32, RestoreError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, RestoreError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn usize(&mut self) -> Result<usize, RestoreError> {
        usize::try_from(self.u32()?).map_err(|_| RestoreError::Damaged("number"))
    }

    pub(super) fn flag(&mut self) -> Result<bool, RestoreError> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(RestoreError::Damaged("flag")),
        }
    }

    fn option(&mut self) -> Result<Option<u64>, RestoreError> {
        let some = self.flag()?;
        Ok(Some(self.u64()?).filter(|_| some))
    }
}
