//! Dense layers and 1 x 1 convolutions, and products of two computed matrices.
use super::gemm::{self, Grid, Left, Place};
use super::isa::Isa;
use super::lane::{Lane, depth, depth_of_one_row, staged_bytes, widens};
use super::pack::{Offsets, PANEL, Panels, Runs, View, Weights, WeightsError, panel_bytes};
use super::requant::{Out, SPARE};
use super::scratch::{Carver, Scratch, bytes_for};
use super::stage::SLACK;

/// A dense layer: `[m][k]` activations times the transposed `[n][k]` weights.
#[derive(Clone, Debug)]
pub struct Dense {
    isa: Isa,
    k: usize,
    panels: Panels,
    offsets: Offsets,
}

impl Dense {
    /// Packs the weights, one row of k for each of the n outputs.
    ///
    /// # Errors
    /// Lengths that do not agree, or an accumulator that could overflow.
    pub fn new(isa: Isa, weights: &Weights<'_>) -> Result<Self, WeightsError> {
        Self::packed(isa, weights, depth(isa))
    }

    /// As [`Dense::new`], packed for runs of a single row; others are right but slow.
    ///
    /// # Errors
    /// As [`Dense::new`].
    pub fn for_one_row(isa: Isa, weights: &Weights<'_>) -> Result<Self, WeightsError> {
        Self::packed(isa, weights, depth_of_one_row(isa))
    }

    fn packed(isa: Isa, weights: &Weights<'_>, depth: usize) -> Result<Self, WeightsError> {
        let k = weights.values.len() / weights.outputs.max(1);
        weights.check(k)?;
        let runs = Runs::dense(k);
        let panels = Panels::new(weights, &runs, depth);
        Ok(Self { isa, k, panels, offsets: runs.offsets(depth) })
    }

    /// Length of a row of activations.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Outputs per row.
    #[must_use]
    pub fn n(&self) -> usize {
        self.panels.columns
    }

    /// Working memory for a run of `m` rows.
    #[must_use]
    pub fn scratch_bytes(&self, m: usize) -> usize {
        bytes_for::<i32>(self.panels.start_len())
            + left_bytes(self.isa, self.panels.depth, m, self.k)
    }

    /// Runs `m` rows whose zero point is the one the weights were packed with.
    ///
    /// # Panics
    /// When a buffer has the wrong length or the scratch memory is too small.
    #[inline(never)]
    pub fn run(&self, m: usize, input: &[i8], mut out: Out<'_>, scratch: &mut Scratch) {
        let mut carver = scratch.carve();
        self.product(m, input, &self.panels.view(), &mut out, &mut carver);
    }

    /// Runs `m` rows of another zero point: dynamic quantization.
    ///
    /// # Panics
    /// As [`Dense::run`].
    #[inline(never)]
    pub fn run_at(
        &self,
        zero: i8,
        m: usize,
        input: &[i8],
        mut out: Out<'_>,
        scratch: &mut Scratch,
    ) {
        let mut carver = scratch.carve();
        let start = carver.take(self.panels.start_len());
        self.product(m, input, &self.panels.view_at(self.isa, zero, start), &mut out, &mut carver);
    }

    fn product(
        &self,
        m: usize,
        input: &[i8],
        right: &View<'_>,
        out: &mut Out<'_>,
        carver: &mut Carver<'_>,
    ) {
        assert_eq!(input.len(), m * self.k, "{m} rows of {} activations", self.k);
        out.check(m, right.columns);
        rows_times(self.isa, [m, self.k], input, &self.offsets, right, out, carver);
    }
}

/// Activations staged at a time, at least one block of rows.
const CHUNK_BYTES: usize = 64 << 10;

/// Rows that are taken at a time where activations have to be staged.
fn chunk_rows(m: usize, k: usize) -> usize {
    /// A multiple of every kernel's block of rows.
    const BLOCK: usize = 12;
    (CHUNK_BYTES / (k * BLOCK * size_of::<i16>())).max(1).saturating_mul(BLOCK).min(m)
}

/// Working memory [`rows_times`] takes.
fn left_bytes(isa: Isa, depth: usize, m: usize, k: usize) -> usize {
    bytes_for::<i32>(m) + staged_bytes(isa, depth, chunk_rows(m, k) * k + SLACK)
}

/// `[m][k]` activations times packed columns of one run.
fn rows_times(
    isa: Isa,
    [m, k]: [usize; 2],
    input: &[i8],
    offsets: &Offsets,
    right: &View<'_>,
    out: &mut Out<'_>,
    carver: &mut Carver<'_>,
) {
    let sums = carver.take::<i32>(m);
    if right.zeros.is_some() {
        isa.run(
            #[inline(always)]
            || gemm::sum_rows(isa, input, &Grid::rows(m, k), &[0], k, sums),
        );
    }
    let len = chunk_rows(m, k) * k + SLACK;
    if widens(isa, right.depth) {
        staged::<i16>(isa, [m, k], input, offsets, sums, right, out, carver.take(len));
    } else {
        staged::<i8>(isa, [m, k], input, offsets, sums, right, out, carver.take(len));
    }
}

/// Stages the rows if they have to be, and multiplies them.
#[expect(clippy::too_many_arguments, reason = "one run's whole state")]
fn staged<T: Lane>(
    isa: Isa,
    [m, k]: [usize; 2],
    input: &[i8],
    offsets: &Offsets,
    sums: &[i32],
    right: &View<'_>,
    out: &mut Out<'_>,
    stage: &mut [T],
) {
    let place = |row| Place { row, column: 0, width: right.columns };
    // Kernels read whole groups, so the last row's must end where the input does.
    if let Some(stage) = T::as_is(input).filter(|_| k.is_multiple_of(right.depth)) {
        let left = Left { stage, grid: Grid::rows(m, k), offsets, row_sums: sums };
        return T::gemm(isa, &left, right, place(0), out);
    }
    let rows = chunk_rows(m, k);
    for (chunk, input) in input.chunks(rows * k).enumerate() {
        isa.run(
            #[inline(always)]
            || stage.iter_mut().zip(input).for_each(|(to, &from)| *to = T::from(from)),
        );
        let (row, grid) = (chunk * rows, Grid::rows(input.len() / k, k));
        let left = Left { stage: &*stage, grid, offsets, row_sums: &sums[row..] };
        T::gemm(isa, &left, right, place(row), out);
    }
}

/// How the right-hand side of a [`Matmul`] lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `[k][n]`, as ONNX MatMul has it.
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
    offsets: Offsets,
}

impl Matmul {
    /// # Errors
    /// Sizes of zero, or a `k` so large that accumulators could overflow.
    pub fn new(isa: Isa, [m, k, n]: [usize; 3], layout: Layout) -> Result<Self, WeightsError> {
        if k > i32::MAX as usize / (255 * 255) {
            return Err(WeightsError::Overflow { output: 0 });
        }
        if m == 0 || k == 0 || n == 0 {
            return Err(WeightsError::Window);
        }
        let offsets = Runs::dense(k).offsets(depth(isa));
        Ok(Self { isa, m, k, n, layout, offsets })
    }

    /// Working memory for a run.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        let groups = self.offsets.each().len();
        bytes_for::<i8>(panel_bytes(self.n, groups, depth(self.isa)))
            + 2 * bytes_for::<i32>(self.n + SPARE)
            + left_bytes(self.isa, depth(self.isa), self.m, self.k)
    }

    /// Multiplies; `zeros` are the zero points of the left and the right side.
    ///
    /// # Panics
    /// When a buffer has the wrong length or the scratch memory is too small.
    #[inline(never)]
    pub fn run(
        &self,
        left: &[i8],
        right: &[i8],
        zeros: [i8; 2],
        mut out: Out<'_>,
        scratch: &mut Scratch,
    ) {
        assert_eq!(left.len(), self.m * self.k, "left-hand side");
        assert_eq!(right.len(), self.k * self.n, "right-hand side");
        out.check(self.m, self.n);
        let (depth, groups) = (depth(self.isa), self.offsets.each().len());
        let mut carver = scratch.carve();
        let values = carver.take::<i8>(panel_bytes(self.n, groups, depth));
        let start = carver.take::<i32>(self.n + SPARE);
        let zero_row = carver.take::<i32>(self.n + SPARE);
        self.pack(right, depth, values);
        self.sum_columns(right, zeros[1], start);
        start.iter_mut().for_each(|s| *s = s.wrapping_mul(-i32::from(zeros[0])));
        zero_row.fill(i32::from(zeros[1]));
        let zeros = (zeros[1] != 0).then_some(&*zero_row);
        let view = View { columns: self.n, groups, depth, values, start, zeros, narrow: false };
        rows_times(self.isa, [self.m, self.k], left, &self.offsets, &view, &mut out, &mut carver);
    }

    /// The element at row `i`, column `j` of the right-hand side.
    #[inline(always)]
    fn at(&self, right: &[i8], i: usize, j: usize) -> i8 {
        match self.layout {
            Layout::RowMajor => right[i * self.n + j],
            Layout::Transposed => right[j * self.k + i],
        }
    }

    fn pack(&self, right: &[i8], depth: usize, values: &mut [i8]) {
        let panel = self.offsets.each().len() * depth * PANEL;
        for (p, panel) in values.chunks_exact_mut(panel).enumerate() {
            for (g, group) in panel.chunks_exact_mut(depth * PANEL).enumerate() {
                for (at, slot) in group.iter_mut().enumerate() {
                    let (i, j) = (g * depth + at % depth, p * PANEL + at / depth);
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
