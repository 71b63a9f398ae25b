//! The last samples of a device, as a ring that grows to one window.

use super::super::shape::WindowShape;

/// The last samples of a device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::pipeline) struct SampleRing {
    pub(in crate::pipeline) cells: Cells,
    /// The number of the oldest sample's row, once the ring is full.
    pub(in crate::pipeline) head: usize,
    /// Samples held, at most a window's length.
    pub(in crate::pipeline) len: usize,
    /// Samples since the window before was complete, or since the start.
    pub(in crate::pipeline) fresh: usize,
    /// A window was complete since the start, so that the next one takes `hop` samples.
    pub(in crate::pipeline) again: bool,
}

/// Numbers as they are kept: half the memory, unless the model needs more.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::pipeline) enum Cells {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Default for Cells {
    fn default() -> Self {
        Self::F32(Vec::new())
    }
}

impl SampleRing {
    pub(in crate::pipeline) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets the samples and keeps their memory.
    pub(in crate::pipeline) fn clear(&mut self) {
        match &mut self.cells {
            Cells::F32(cells) => cells.clear(),
            Cells::F64(cells) => cells.clear(),
        }
        (self.head, self.len, self.fresh, self.again) = (0, 0, 0, false);
    }

    /// Adds a sample, and says whether a window is complete with it.
    pub(in crate::pipeline) fn push(&mut self, shape: &WindowShape, sample: &[f64]) -> bool {
        if shape.wide && matches!(self.cells, Cells::F32(_)) {
            self.cells = Cells::F64(Vec::new());
        }
        if self.len == 0 && shape.lead > 0 {
            let zeros = shape.lead.saturating_mul(shape.channels);
            match &mut self.cells {
                Cells::F32(cells) => cells.resize(zeros, 0.0),
                Cells::F64(cells) => cells.resize(zeros, 0.0),
            }
            self.len = shape.lead;
        }
        let full = self.len >= shape.length;
        let row = full.then_some(self.head);
        match &mut self.cells {
            #[expect(clippy::cast_possible_truncation, reason = "decoded numbers fit 32 bits")]
            Cells::F32(cells) => write(cells, shape, row, sample, |v| v as f32),
            Cells::F64(cells) => write(cells, shape, row, sample, |v| v),
        }
        if full {
            self.head = if self.head.saturating_add(1) >= shape.length { 0 } else { self.head + 1 };
        } else {
            self.len = self.len.saturating_add(1);
        }
        self.fresh = self.fresh.saturating_add(1);
        let complete = self.missing(shape) == 0;
        if complete {
            (self.fresh, self.again) = (0, true);
        }
        complete
    }

    /// Samples until the next window is complete.
    pub(in crate::pipeline) fn missing(&self, shape: &WindowShape) -> usize {
        let first = shape.length.saturating_sub(shape.lead);
        let wanted = if self.again { shape.hop } else { first };
        wanted.saturating_sub(self.fresh)
    }

    /// The sample that was added last.
    pub(in crate::pipeline) fn last(&self, shape: &WindowShape) -> Option<Vec<f64>> {
        let newest = self.len.checked_sub(1)?;
        let row = if self.head == 0 { newest } else { self.head.saturating_sub(1) };
        let start = row.checked_mul(shape.channels)?;
        let cells = start..start.checked_add(shape.channels)?;
        match &self.cells {
            Cells::F32(all) => Some(all.get(cells)?.iter().map(|&v| f64::from(v)).collect()),
            Cells::F64(all) => Some(all.get(cells)?.to_vec()),
        }
    }

    /// Copies the samples, oldest first.
    pub(in crate::pipeline) fn read(&self, shape: &WindowShape, into: &mut Vec<f64>) {
        into.clear();
        let split = self.head.saturating_mul(shape.channels);
        match &self.cells {
            Cells::F32(cells) => {
                let (new, old) = cells.split_at_checked(split).unwrap_or((&[], cells));
                into.extend(old.iter().map(|&v| f64::from(v)));
                into.extend(new.iter().map(|&v| f64::from(v)));
            }
            Cells::F64(cells) => {
                let (new, old) = cells.split_at_checked(split).unwrap_or((&[], cells));
                into.extend(old);
                into.extend(new);
            }
        }
    }
}

/// Writes a sample over the given row, or after the last one. Memory grows with the samples up to
/// one window, so that names seen once cost little.
fn write<T: Copy>(
    cells: &mut Vec<T>,
    shape: &WindowShape,
    row: Option<usize>,
    sample: &[f64],
    narrow: impl Fn(f64) -> T,
) {
    let Some(row) = row else {
        let whole = shape.length.saturating_mul(shape.channels);
        if cells.capacity() < cells.len().saturating_add(sample.len()) {
            let room = cells.len().max(sample.len().saturating_mul(4));
            cells.reserve_exact(room.min(whole.saturating_sub(cells.len())));
        }
        cells.extend(sample.iter().map(|&v| narrow(v)));
        return;
    };
    let start = row.saturating_mul(shape.channels);
    for (cell, &value) in cells.iter_mut().skip(start).zip(sample) {
        *cell = narrow(value);
    }
}
