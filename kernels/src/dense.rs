//! Dense layers and 1 x 1 convolutions, and products of two computed matrices.
use super::dispatch::{
    Kernels, group_size, group_size_for_one_row, needs_widening, staged_bytes, sum_rows,
};
use super::isa::Isa;
use super::operands::{Grid, GroupOffsets, Left, OutputOffset, PANEL, PackedView};
use super::pack::{MAX_SAFE_DEPTH, PackRuns, Panels, Weights, WeightsError, panel_bytes};
use super::requant::{OVERREAD, OutputBuffer};
use super::scratch::{Scratch, ScratchArena, bytes_for};
use super::tiles::STAGE_OVERREAD;

/// A dense layer: `[m][k]` activations times the transposed `[n][k]` weights.
#[derive(Clone, Debug)]
pub struct Dense {
    isa: Isa,
    k: usize,
    panels: Panels,
    offsets: GroupOffsets,
}

impl Dense {
    /// Packs the weights, one row of k for each of the n outputs.
    ///
    /// # Errors
    /// Lengths that do not agree, or an accumulator that could overflow.
    pub fn new(isa: Isa, weights: &Weights<'_>) -> Result<Self, WeightsError> {
        Self::packed(isa, weights, group_size(isa))
    }

    /// Packs the weights for runs of a single row; other runs are correct but slow.
    ///
    /// # Errors
    /// Same as [`Dense::new`].
    pub fn for_one_row(isa: Isa, weights: &Weights<'_>) -> Result<Self, WeightsError> {
        Self::packed(isa, weights, group_size_for_one_row(isa))
    }

    fn packed(isa: Isa, weights: &Weights<'_>, group_size: usize) -> Result<Self, WeightsError> {
        let k = weights.values.len() / weights.outputs.max(1);
        weights.check(k)?;
        let runs = PackRuns::dense(k);
        let panels = Panels::new(weights, &runs, group_size);
        Ok(Self { isa, k, panels, offsets: runs.offsets(group_size) })
    }

    /// Returns the length of a row of activations.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Returns the number of outputs per row.
    #[must_use]
    pub fn n(&self) -> usize {
        self.panels.columns
    }

    /// Returns the working memory for a run of `m` rows, in bytes.
    #[must_use]
    pub fn scratch_bytes(&self, m: usize) -> usize {
        bytes_for::<i32>(self.panels.start_len())
            + left_bytes(self.isa, self.panels.group_size, m, self.k)
    }

    /// Multiplies `m` rows. `zero` is their zero point if that was measured at run time (dynamic
    /// quantization); without it, the zero point the weights were packed with applies.
    ///
    /// # Panics
    /// If a buffer has the wrong length or the scratch memory is too small.
    #[inline(never)]
    pub fn run(
        &self,
        zero: Option<i8>,
        m: usize,
        input: &[i8],
        out: OutputBuffer<'_>,
        scratch: &mut Scratch,
    ) {
        self.run_in(zero, m, input, out, scratch.arena());
    }

    /// Runs in a part of the working memory.
    pub(super) fn run_in(
        &self,
        zero: Option<i8>,
        m: usize,
        input: &[i8],
        mut out: OutputBuffer<'_>,
        mut arena: ScratchArena<'_>,
    ) {
        let view = match zero {
            None => self.panels.view(),
            Some(zero) => {
                let start = arena.allocate(self.panels.start_len());
                self.panels.view_at(self.isa, zero, start)
            }
        };
        self.product(m, input, &view, &mut out, &mut arena);
    }

    fn product(
        &self,
        m: usize,
        input: &[i8],
        right: &PackedView<'_>,
        out: &mut OutputBuffer<'_>,
        arena: &mut ScratchArena<'_>,
    ) {
        assert_eq!(input.len(), m * self.k, "{m} rows of {} activations", self.k);
        out.check(m, right.columns);
        multiply_rows(self.isa, [m, self.k], input, &self.offsets, right, out, arena);
    }
}

/// Bytes of activations staged at a time; at least one block of rows is.
const MAX_CHUNK_BYTES: usize = 64 << 10;

/// Returns the number of rows per chunk if activations have to be staged.
fn chunk_rows(m: usize, k: usize) -> usize {
    /// A multiple of every kernel's block of rows.
    const BLOCK: usize = 12;
    (MAX_CHUNK_BYTES / (k * BLOCK * size_of::<i16>())).max(1).saturating_mul(BLOCK).min(m)
}

/// Returns the working memory of [`multiply_rows`], in bytes.
fn left_bytes(isa: Isa, group_size: usize, m: usize, k: usize) -> usize {
    bytes_for::<i32>(m) + staged_bytes(isa, group_size, chunk_rows(m, k) * k + STAGE_OVERREAD)
}

/// Multiplies `[m][k]` activations by packed columns of one run.
fn multiply_rows(
    isa: Isa,
    [m, k]: [usize; 2],
    input: &[i8],
    offsets: &GroupOffsets,
    right: &PackedView<'_>,
    out: &mut OutputBuffer<'_>,
    arena: &mut ScratchArena<'_>,
) {
    let sums = arena.allocate::<i32>(m);
    if right.zeros.is_some() {
        isa.run(
            #[inline(always)]
            || sum_rows(isa, input, &Grid::rows(m, k), &[0], k, sums),
        );
    }
    let len = chunk_rows(m, k) * k + STAGE_OVERREAD;
    if needs_widening(isa, right.group_size) {
        staged::<i16>(isa, [m, k], input, offsets, sums, right, out, arena.allocate(len));
    } else {
        staged::<i8>(isa, [m, k], input, offsets, sums, right, out, arena.allocate(len));
    }
}

/// Stages the rows if necessary, and multiplies them.
#[expect(clippy::too_many_arguments, reason = "one run's whole state")]
fn staged<T: Kernels>(
    isa: Isa,
    [m, k]: [usize; 2],
    input: &[i8],
    offsets: &GroupOffsets,
    sums: &[i32],
    right: &PackedView<'_>,
    out: &mut OutputBuffer<'_>,
    stage: &mut [T],
) {
    let output = |row| OutputOffset { row, column: 0, width: right.columns };
    // Kernels read whole groups, so the last group must end where the input ends.
    if let Some(stage) = T::as_is(input).filter(|_| k.is_multiple_of(right.group_size)) {
        let left = Left { stage, grid: Grid::rows(m, k), offsets, row_sums: sums };
        return T::gemm(isa, &left, right, output(0), out);
    }
    let rows = chunk_rows(m, k);
    for (chunk, input) in input.chunks(rows * k).enumerate() {
        isa.run(
            #[inline(always)]
            || stage.iter_mut().zip(input).for_each(|(to, &from)| *to = T::from(from)),
        );
        let (row, grid) = (chunk * rows, Grid::rows(input.len() / k, k));
        let left = Left { stage: &*stage, grid, offsets, row_sums: &sums[row..] };
        T::gemm(isa, &left, right, output(row), out);
    }
}

/// The memory layout of the right-hand side of a [`Matmul`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `[k][n]`, as in ONNX MatMul.
    RowMajor,
    /// `[n][k]`.
    Transposed,
}

/// The product of two matrices that are both computed: `[m][k]` by `[k][n]`.
#[derive(Clone, Debug)]
pub struct Matmul {
    isa: Isa,
    m: usize,
    k: usize,
    n: usize,
    layout: Layout,
    offsets: GroupOffsets,
}

impl Matmul {
    /// Prepares the product of these sizes.
    ///
    /// # Errors
    /// Sizes of zero, or a `k` so large that accumulators could overflow.
    pub fn new(isa: Isa, [m, k, n]: [usize; 3], layout: Layout) -> Result<Self, WeightsError> {
        if k > MAX_SAFE_DEPTH {
            return Err(WeightsError::Overflow { output: 0 });
        }
        if m == 0 || k == 0 || n == 0 {
            return Err(WeightsError::Geometry);
        }
        let offsets = PackRuns::dense(k).offsets(group_size(isa));
        Ok(Self { isa, m, k, n, layout, offsets })
    }

    /// Returns the working memory for a run, in bytes.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        let groups = self.offsets.each().len();
        bytes_for::<i8>(panel_bytes(self.n, groups, group_size(self.isa)))
            + 2 * bytes_for::<i32>(self.n + OVERREAD)
            + left_bytes(self.isa, group_size(self.isa), self.m, self.k)
    }

    /// Multiplies two matrices; `zeros` are the zero points of the left and the right side.
    ///
    /// # Panics
    /// If a buffer has the wrong length or the scratch memory is too small.
    #[inline(never)]
    pub fn run(
        &self,
        left: &[i8],
        right: &[i8],
        zeros: [i8; 2],
        mut out: OutputBuffer<'_>,
        scratch: &mut Scratch,
    ) {
        assert_eq!(left.len(), self.m * self.k, "left-hand side");
        assert_eq!(right.len(), self.k * self.n, "right-hand side");
        out.check(self.m, self.n);
        let (group_size, groups) = (group_size(self.isa), self.offsets.each().len());
        let mut arena = scratch.arena();
        let values = arena.allocate::<i8>(panel_bytes(self.n, groups, group_size));
        let start = arena.allocate::<i32>(self.n + OVERREAD);
        let zero_row = arena.allocate::<i32>(self.n + OVERREAD);
        self.pack(right, group_size, values);
        self.sum_columns(right, zeros[1], start);
        start.iter_mut().for_each(|s| *s = s.wrapping_mul(-i32::from(zeros[0])));
        zero_row.fill(i32::from(zeros[1]));
        let zeros = (zeros[1] != 0).then_some(&*zero_row);
        let view =
            PackedView { columns: self.n, groups, group_size, values, start, zeros, no_min: false };
        multiply_rows(self.isa, [self.m, self.k], left, &self.offsets, &view, &mut out, &mut arena);
    }

    /// Returns the element at row `i`, column `j` of the right-hand side.
    #[inline(always)]
    fn at(&self, right: &[i8], i: usize, j: usize) -> i8 {
        match self.layout {
            Layout::RowMajor => right[i * self.n + j],
            Layout::Transposed => right[j * self.k + i],
        }
    }

    /// Packs the right-hand side into panels.
    fn pack(&self, right: &[i8], group_size: usize, values: &mut [i8]) {
        let panel = self.offsets.each().len() * group_size * PANEL;
        for (p, panel) in values.chunks_exact_mut(panel).enumerate() {
            for (g, group) in panel.chunks_exact_mut(group_size * PANEL).enumerate() {
                for (at, slot) in group.iter_mut().enumerate() {
                    let (i, j) = (g * group_size + at % group_size, p * PANEL + at / group_size);
                    *slot = if i < self.k && j < self.n { self.at(right, i, j) } else { 0 };
                }
            }
        }
    }

    /// Writes sum (w - zw) of each column.
    fn sum_columns(&self, right: &[i8], zero: i8, sums: &mut [i32]) {
        for (j, sum) in sums.iter_mut().enumerate() {
            let column =
                || (0..self.k).map(|i| i32::from(self.at(right, i, j)) - i32::from(zero)).sum();
            *sum = if j < self.n { column() } else { 0 };
        }
    }
}
