//! The operands of the float kernels.
use super::super::operands::Grid;

/// Columns of one panel of packed weights.
pub(super) const PANEL: usize = 16;

/// Neighbouring activations that meet neighbouring weights: `len` elements from `start` on,
/// relative to the first element of the row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// Packed columns: `[columns / PANEL][k][PANEL]`, the last panel filled up with zeros.
#[derive(Clone, Copy)]
pub(super) struct PackedView<'a> {
    pub(super) columns: usize,
    pub(super) k: usize,
    pub(super) values: &'a [f32],
    /// Initial accumulators, whole panels.
    pub(super) start: &'a [f32],
}

impl PackedView<'_> {
    pub(super) fn panels(&self) -> usize {
        self.columns.div_ceil(PANEL)
    }
}

/// Rows of activations: row r consists of the elements of all runs from base(r) on.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) stage: &'a [f32],
    pub(super) grid: Grid,
    pub(super) runs: &'a [Run],
}

impl Left<'_> {
    /// Checks that all reads stay inside the operands; kernels rely on it.
    ///
    /// # Panics
    /// If an element would be read outside the stage or the weights.
    pub(super) fn check(&self, right: &PackedView<'_>) {
        let extent = self.runs.iter().map(|r| r.start as usize + r.len as usize).max();
        assert!(self.grid.last() + extent.unwrap_or(0) <= self.stage.len(), "stage too small");
        let k: usize = self.runs.iter().map(|r| r.len as usize).sum();
        assert_eq!(k, right.k, "one weight per activation");
        assert!(right.values.len() >= right.panels() * PANEL * right.k, "weights");
        assert!(right.start.len() >= right.panels() * PANEL, "initial accumulators");
    }
}

/// Where results go: row r, column c to `(row + r) * width + column + c`.
pub(super) struct Output<'a> {
    pub(super) out: &'a mut [f32],
    /// Added before the activation; the same layout as `out`.
    pub(super) residual: Option<&'a [f32]>,
    pub(super) bounds: [f32; 2],
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) width: usize,
}

impl Output<'_> {
    /// Checks that `rows` rows of `columns` results fit.
    ///
    /// # Panics
    /// If they do not.
    pub(super) fn check(&self, rows: usize, columns: usize) {
        assert!(self.column + columns <= self.width, "output columns");
        assert!((self.row + rows) * self.width <= self.out.len(), "output rows");
        assert!(self.residual.is_none_or(|r| r.len() == self.out.len()), "residual");
    }

    /// Returns the same output from another row on.
    pub(super) fn at(&mut self, row: usize, column: usize) -> Output<'_> {
        let Output { ref mut out, residual, bounds, width, .. } = *self;
        Output { out, residual, bounds, row, column, width }
    }
}

/// A depthwise convolution of one staged tile of rows.
#[derive(Clone, Copy)]
pub(super) struct DepthwiseJob<'a> {
    pub(super) channels: usize,
    /// Position of each tap relative to the window's first element.
    pub(super) taps: &'a [u32],
    /// `[tap][channel]`.
    pub(super) weights: &'a [f32],
    /// One per channel.
    pub(super) start: &'a [f32],
    pub(super) stage: &'a [f32],
    /// Positions where the windows start in the stage.
    pub(super) grid: Grid,
}

impl DepthwiseJob<'_> {
    /// Checks that all reads stay inside the operands; kernels rely on it.
    ///
    /// # Panics
    /// If an element would be read outside of one.
    pub(super) fn check(&self) {
        let extent = self.taps.iter().max().map_or(0, |&t| t as usize) + self.channels;
        assert!(self.grid.last() + extent <= self.stage.len(), "stage too small");
        assert_eq!(self.weights.len(), self.taps.len() * self.channels, "filters");
        assert_eq!(self.start.len(), self.channels, "initial accumulators");
    }
}
