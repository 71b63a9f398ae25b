//! Bounds of bins with the same number of values each, found while values arrive.

use crate::drift::progress::saved_fields;
use crate::drift::quantity::BINS;

/// Cells of the histogram that the bounds are read from.
const CELLS: usize = 64;
/// Values that its first range is made of.
const FIRST: usize = 32;

/// A histogram whose range doubles when a value is outside, so that it takes bounded memory.
#[derive(Clone, Debug)]
pub(super) struct EdgeFinder {
    /// The values before there is a range.
    first: Vec<f64>,
    low: f64,
    width: f64,
    cells: [u32; CELLS],
}

saved_fields!(EdgeFinder { first, low, width, cells });

impl EdgeFinder {
    pub(super) fn new() -> Self {
        Self { first: Vec::with_capacity(FIRST), low: 0.0, width: 0.0, cells: [0; CELLS] }
    }

    pub(super) fn add(&mut self, value: f64) {
        if self.width > 0.0 {
            return self.count(value);
        }
        self.first.push(value);
        let low = self.first.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.first.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Equal values give no range: it waits for another one.
        if self.first.len() < FIRST {
            return;
        }
        if high <= low {
            self.first.truncate(FIRST - 1);
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "64 cells")]
        let cells = CELLS as f64;
        self.width = (high - low) * 2.0 / cells;
        self.low = low - (high - low) / 2.0;
        let first = std::mem::take(&mut self.first);
        first.into_iter().for_each(|value| self.count(value));
    }

    fn count(&mut self, value: f64) {
        #[expect(clippy::cast_precision_loss, reason = "64 cells")]
        let cells = CELLS as f64;
        let mut place = (value - self.low) / self.width;
        // A value a thousand ranges away is counted at the end, or the range would lose all detail.
        for _ in 0..10 {
            if (0.0..cells).contains(&place) {
                break;
            }
            self.widen(place < 0.0);
            place = (value - self.low) / self.width;
        }
        #[expect(clippy::cast_possible_truncation, reason = "clamped to the cells")]
        #[expect(clippy::cast_sign_loss, reason = "clamped to the cells")]
        let cell = place.clamp(0.0, cells - 1.0) as usize;
        if let Some(count) = self.cells.get_mut(cell) {
            *count = count.saturating_add(1);
        }
    }

    /// Doubles the width of the cells, towards lower or higher values.
    fn widen(&mut self, down: bool) {
        let mut wide = [0; CELLS];
        let offset = if down { CELLS / 2 } else { 0 };
        for (cell, count) in self.cells.iter().enumerate() {
            if let Some(into) = wide.get_mut(offset + cell / 2) {
                *into += count;
            }
        }
        if down {
            #[expect(clippy::cast_precision_loss, reason = "64 cells")]
            let cells = CELLS as f64;
            self.low -= self.width * cells;
        }
        self.cells = wide;
        self.width *= 2.0;
    }

    /// The bounds, ascending; none where all values were equal.
    pub(super) fn edges(&self) -> Vec<f64> {
        let total: u64 = self.cells.iter().map(|count| u64::from(*count)).sum();
        let mut edges = Vec::with_capacity(BINS - 1);
        let (mut below, mut cell) = (0_u64, 0);
        for i in 1..BINS {
            let wanted = total * u64::try_from(i).unwrap_or(0) / u64::try_from(BINS).unwrap_or(1);
            let mut count = self.cells.get(cell).copied().map_or(0, u64::from);
            while below + count <= wanted && cell + 1 < CELLS {
                below += count;
                cell += 1;
                count = self.cells.get(cell).copied().map_or(0, u64::from);
            }
            #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
            let part = (wanted - below.min(wanted)) as f64 / count.max(1) as f64;
            #[expect(clippy::cast_precision_loss, reason = "64 cells")]
            let edge = self.low + self.width * (cell as f64 + part);
            if total > 0 && edges.last().is_none_or(|last| edge > *last) {
                edges.push(edge);
            }
        }
        edges
    }
}
