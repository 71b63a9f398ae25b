//! Dense layers, and products of two computed matrices.
use super::super::dense::Layout;
use super::super::isa::Isa;
use super::super::operands::Grid;
use super::super::pack::WeightsError;
use super::super::scratch::{Scratch, bytes_for};
use super::activation::Activation;
use super::dispatch::product;
use super::operands::{Left, Output, PANEL, PackedView, Run};
use super::pack::{Panels, expect_len};

/// A dense layer: `[m][k]` activations times weights, plus bias, activated.
#[derive(Clone, Debug)]
pub struct Dense {
    isa: Isa,
    panels: Panels,
    bounds: [f32; 2],
}

impl Dense {
    /// Packs `k * n` weights in the given layout, and a bias of n.
    ///
    /// # Errors
    /// Lengths that do not agree, sizes of zero or too large.
    pub fn new(
        isa: Isa,
        [k, n]: [usize; 2],
        layout: Layout,
        weights: &[f32],
        bias: Option<&[f32]>,
        activation: Activation,
    ) -> Result<Self, WeightsError> {
        check_sizes(&[k, n])?;
        expect_len("weights", k.saturating_mul(n), weights.len())?;
        expect_len("bias", n, bias.map_or(n, <[f32]>::len))?;
        let panels = match layout {
            Layout::RowMajor => Panels::new([n, k], bias, weights, |c| c, |i| i * n),
            Layout::Transposed => Panels::new([n, k], bias, weights, |c| c * k, |i| i),
        };
        Ok(Self { isa, panels, bounds: activation.bounds() })
    }

    /// Returns the length of a row of activations.
    #[must_use]
    pub fn k(&self) -> usize {
        self.panels.k
    }

    /// Returns the number of outputs per row.
    #[must_use]
    pub fn n(&self) -> usize {
        self.panels.columns
    }

    /// Multiplies `m` rows to `[m][n]` results. The residual, of their length, is added before the
    /// activation.
    ///
    /// # Panics
    /// If a buffer has the wrong length.
    #[inline(never)]
    pub fn run(&self, m: usize, input: &[f32], residual: Option<&[f32]>, out: &mut [f32]) {
        let (k, n) = (self.k(), self.n());
        assert_eq!(input.len(), m * k, "{m} rows of {k} activations");
        assert_eq!(out.len(), m * n, "{m} rows of {n} results");
        let runs = [Run { start: 0, len: k as u32 }];
        let left = Left { stage: input, grid: Grid::rows(m, k), runs: &runs };
        let bounds = self.bounds;
        let mut output = Output { out, residual, bounds, row: 0, column: 0, width: n };
        if m > 0 {
            product(self.isa, &left, &self.panels.view(), &mut output);
        }
    }
}

/// Checks that no size is zero or beyond 32 bits.
fn check_sizes(sizes: &[usize]) -> Result<(), WeightsError> {
    let sound = sizes.iter().all(|&s| s > 0 && s < 1 << 31);
    if sound { Ok(()) } else { Err(WeightsError::Geometry) }
}

/// The product of two matrices that are both computed: `[m][k]` by `[k][n]`.
#[derive(Clone, Debug)]
pub struct Matmul {
    isa: Isa,
    m: usize,
    k: usize,
    n: usize,
    layout: Layout,
}

impl Matmul {
    /// Prepares the product of these sizes; `layout` is that of the right-hand side.
    ///
    /// # Errors
    /// Sizes of zero or too large.
    pub fn new(isa: Isa, [m, k, n]: [usize; 3], layout: Layout) -> Result<Self, WeightsError> {
        check_sizes(&[m, k, n])?;
        Ok(Self { isa, m, k, n, layout })
    }

    /// Returns the working memory for a run, in bytes.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        let padded = self.n.next_multiple_of(PANEL);
        bytes_for::<f32>(padded * self.k) + bytes_for::<f32>(padded)
    }

    /// Multiplies two matrices.
    ///
    /// # Panics
    /// If a buffer has the wrong length or the scratch memory is too small.
    #[inline(never)]
    pub fn run(&self, left: &[f32], right: &[f32], out: &mut [f32], scratch: &mut Scratch) {
        let Self { isa, m, k, n, layout } = *self;
        assert_eq!(left.len(), m * k, "left-hand side");
        assert_eq!(right.len(), k * n, "right-hand side");
        assert_eq!(out.len(), m * n, "result");
        let mut arena = scratch.arena();
        let padded = n.next_multiple_of(PANEL);
        let values = arena.allocate::<f32>(padded * k);
        let start = arena.allocate::<f32>(padded);
        start.fill(0.0);
        for (p, panel) in values.as_chunks_mut::<PANEL>().0.chunks_exact_mut(k).enumerate() {
            let first = p * PANEL;
            let columns = PANEL.min(n - first);
            match layout {
                Layout::RowMajor => copy_rows(right, [n, first, columns], panel),
                Layout::Transposed => copy_columns(&right[first * k..], columns, panel),
            }
        }
        let view = PackedView { columns: n, k, values, start };
        let runs = [Run { start: 0, len: k as u32 }];
        let left = Left { stage: left, grid: Grid::rows(m, k), runs: &runs };
        let bounds = Activation::None.bounds();
        let mut output = Output { out, residual: None, bounds, row: 0, column: 0, width: n };
        product(isa, &left, &view, &mut output);
    }
}

/// Fills a panel with `columns` columns from `first` on of rows of `n`, and with zeros.
fn copy_rows(right: &[f32], [n, first, columns]: [usize; 3], panel: &mut [[f32; PANEL]]) {
    for (to, row) in panel.iter_mut().zip(right.chunks_exact(n)) {
        let from = &row[first..first + columns];
        match <&[f32; PANEL]>::try_from(from) {
            Ok(whole) => *to = *whole,
            Err(_) => {
                to[..columns].copy_from_slice(from);
                to[columns..].fill(0.0);
            }
        }
    }
}

/// Fills a panel with `columns` columns that are stored one after the other, and with zeros.
fn copy_columns(right: &[f32], columns: usize, panel: &mut [[f32; PANEL]]) {
    if columns < PANEL {
        panel.fill([0.0; PANEL]);
    }
    for (c, column) in right.chunks_exact(panel.len()).take(columns).enumerate() {
        panel.iter_mut().zip(column).for_each(|(to, &w)| to[c] = w);
    }
}
