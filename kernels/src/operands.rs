//! The operands that every instruction set's kernels share: plain structures over borrowed memory.
use super::scratch::Pod;

/// Columns of one panel of packed weights.
pub(super) const PANEL: usize = 16;

/// An activation as a kernel reads it: the byte itself, or widened to 16 bits.
pub(super) trait Activation: Pod + From<i8> + Into<i32> {
    /// Returns the input itself if this type needs no widening.
    fn as_is(input: &[i8]) -> Option<&[Self]>;
}

impl Activation for i8 {
    #[inline(always)]
    fn as_is(input: &[i8]) -> Option<&[Self]> {
        Some(input)
    }
}

impl Activation for i16 {
    #[inline(always)]
    fn as_is(_: &[i8]) -> Option<&[Self]> {
        None
    }
}

/// Positions where the rows of the left-hand side start in the staged activations: a grid with
/// `width` positions per line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) origin: usize,
    pub(super) count: usize,
    pub(super) width: usize,
    pub(super) step_x: usize,
    pub(super) step_y: usize,
}

impl Grid {
    /// Returns the grid of `rows` rows of `stride` elements.
    pub(super) fn rows(rows: usize, stride: usize) -> Self {
        Self { origin: 0, count: rows, width: rows.max(1), step_x: stride, step_y: 0 }
    }

    /// Returns the bases of all rows, one after the other.
    #[inline(always)]
    pub(super) fn bases(&self) -> Bases {
        Bases { next: self.origin, line: self.origin, x: 0, grid: *self }
    }

    /// Returns the largest base of all rows.
    pub(super) fn last(&self) -> usize {
        let (lines, rest) =
            ((self.count.max(1) - 1) / self.width, self.count.min(self.width).max(1) - 1);
        self.origin + lines * self.step_y + rest * self.step_x
    }
}

/// An endless walk over the bases of a [`Grid`] that needs no division.
pub(super) struct Bases {
    next: usize,
    line: usize,
    x: usize,
    grid: Grid,
}

impl Bases {
    /// Returns the next base.
    #[inline(always)]
    pub(super) fn step(&mut self) -> usize {
        let base = self.next;
        self.x += 1;
        self.next += self.grid.step_x;
        if self.x == self.grid.width {
            self.x = 0;
            self.line += self.grid.step_y;
            self.next = self.line;
        }
        base
    }

    /// Returns the next `R` bases.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        expect(dead_code, reason = "for kernels that take several rows")
    )]
    #[inline(always)]
    pub(super) fn take<const R: usize>(&mut self) -> [usize; R] {
        std::array::from_fn(|_| self.step())
    }
}

/// The start of the activations of each group of weights, relative to the row's first.
#[derive(Clone, Debug)]
pub(super) struct GroupOffsets {
    each: Vec<u32>,
    extent: usize,
}

impl GroupOffsets {
    /// Takes the offset of each group of `group_size` weights.
    pub(super) fn new(each: Vec<u32>, group_size: usize) -> Self {
        let extent = each.iter().max().map_or(0, |&o| o as usize + group_size);
        Self { each, extent }
    }

    #[inline(always)]
    pub(super) fn each(&self) -> &[u32] {
        &self.each
    }

    /// One past the last element that any group touches.
    #[inline(always)]
    pub(super) fn extent(&self) -> usize {
        self.extent
    }
}

/// Packed columns as a kernel reads them, wherever they are stored.
#[derive(Clone, Copy)]
pub(super) struct PackedView<'a> {
    pub(super) columns: usize,
    pub(super) groups: usize,
    pub(super) group_size: usize,
    pub(super) values: &'a [i8],
    /// `columns + OVERREAD` long.
    pub(super) start: &'a [i32],
    /// `columns + OVERREAD` long; none if all are zero.
    pub(super) zeros: Option<&'a [i32]>,
    /// Whether no weight is known to be -128.
    #[cfg_attr(not(target_arch = "aarch64"), expect(dead_code, reason = "only smlal profits"))]
    pub(super) no_min: bool,
}

impl<'a> PackedView<'a> {
    /// Returns the packed weights of columns `16 * index..`.
    #[inline(always)]
    pub(super) fn panel(&self, index: usize) -> &'a [i8] {
        let len = self.groups * self.group_size * PANEL;
        &self.values[index * len..(index + 1) * len]
    }

    pub(super) fn panels(&self) -> usize {
        self.columns.div_ceil(PANEL)
    }
}

/// The left-hand side of a product and its alignment to the weights: row r, group g starts at
/// `stage[base(r) + offsets[g]]`.
#[derive(Clone, Copy)]
pub(super) struct Left<'a, T> {
    pub(super) stage: &'a [T],
    pub(super) grid: Grid,
    pub(super) offsets: &'a GroupOffsets,
    /// Sum of each row's activations; needed if the weights' zero points are not zero.
    pub(super) row_sums: &'a [i32],
}

impl<T> Left<'_, T> {
    /// Checks that all reads stay inside the operands; kernels rely on it.
    ///
    /// # Panics
    /// If an element would be read outside the stage, the weights or the row sums.
    pub(super) fn check(&self, right: &PackedView<'_>) {
        let extent = self.offsets.extent();
        assert!(self.grid.last() + extent <= self.stage.len(), "stage too small");
        assert_eq!(self.offsets.each().len(), right.groups, "one offset per group");
        assert!(right.values.len() >= right.panels() * right.groups * right.group_size * PANEL);
        assert!(right.zeros.is_none() || self.row_sums.len() >= self.grid.count, "row sums");
    }
}

/// The position of a product's result in the whole output, which has `width` columns.
#[derive(Clone, Copy)]
pub(super) struct OutputOffset {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) width: usize,
}

/// A depthwise convolution of one staged tile of rows.
#[derive(Clone, Copy)]
pub(super) struct DepthwiseJob<'a, T> {
    pub(super) channels: usize,
    /// Position of each tap relative to the window's first element.
    pub(super) taps: &'a [u32],
    /// The filters' weights, widened.
    pub(super) weights: &'a [i16],
    pub(super) stage: &'a [T],
    /// Positions where the windows start in the stage.
    pub(super) grid: Grid,
    /// Initial value of the accumulators, per channel.
    pub(super) start: &'a [i32],
    /// Row of the first position in the output.
    pub(super) row: usize,
}

/// One operand of [`super::add`]: contributes `(x - zero) as f32 * ratio`.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    pub zero: i8,
    /// Scale of the operand / scale of the output.
    pub ratio: f32,
}

impl Term {
    #[inline(always)]
    pub(super) fn value(&self, x: i8) -> f32 {
        (i32::from(x) - i32::from(self.zero)) as f32 * self.ratio
    }
}
