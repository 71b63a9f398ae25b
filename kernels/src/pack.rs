//! Weights as the kernels read them: panels of columns, packed once, one byte per weight.
//!
//! With a for activations, w for weights, and their zero points, an accumulator is
//!
//! ```text
//! bias + sum (a - za)(w - zw)  =  [bias - za sum (w - zw)]  +  sum a w  -  zw sum a
//! ```
//!
//! The bracket depends on the column only and is what accumulation starts from; the last term is
//! zero for symmetric weights and otherwise takes one sum per row.
use super::isa::Isa;
#[cfg(target_feature = "neon")]
use super::neon;
use super::requant::{SPARE, spread};
use std::fmt;

/// Columns of one panel.
pub(super) const PANEL: usize = 16;

/// The weights of one layer as the model has them. One row per output, `values.len() / outputs`
/// long: for a convolution in the order (kernel row, kernel column, input channel of the group).
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    pub values: &'a [i8],
    pub outputs: usize,
    /// Zero points of the weights: one for all, or one per output.
    pub zeros: &'a [i8],
    /// One per output, in units of input scale x weight scale.
    pub bias: Option<&'a [i32]>,
    /// Zero point of the activations; runs that bring their own (`run_at`) ignore it.
    pub input_zero: i8,
}

/// Why weights cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightsError {
    /// A length does not fit the others.
    Shape { what: &'static str, expected: usize, found: usize },
    /// Window sizes of zero, or beyond what 32 bits can count.
    Window,
    /// Some input would overflow the 32-bit accumulator of this output.
    Overflow { output: usize },
}

impl fmt::Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { what, expected, found } => {
                write!(f, "{what}: expected {expected} elements, found {found}")
            }
            Self::Window => f.write_str("window sizes are zero or too large"),
            Self::Overflow { output } => {
                write!(f, "the 32-bit accumulator of output {output} could overflow")
            }
        }
    }
}

impl std::error::Error for WeightsError {}

impl Weights<'_> {
    /// Whether the lengths agree with rows of `k` weights and no accumulator can overflow: an
    /// activation is at most 255 away from its zero point, whatever that is.
    pub(super) fn check(&self, k: usize) -> Result<(), WeightsError> {
        let lengths = [
            ("weights", self.outputs.saturating_mul(k), self.values.len()),
            (
                "weight zero points",
                if self.zeros.len() == 1 { 1 } else { self.outputs },
                self.zeros.len(),
            ),
            ("bias", self.outputs, self.bias.map_or(self.outputs, <[i32]>::len)),
        ];
        for (what, expected, found) in lengths {
            if expected != found || k == 0 {
                return Err(WeightsError::Shape { what, expected, found });
            }
        }
        for (output, row) in self.values.chunks_exact(k).enumerate() {
            let zero = i64::from(self.zero(output));
            let reach: i64 = row.iter().map(|&w| 255 * (i64::from(w) - zero).abs()).sum();
            if reach + i64::from(self.bias(output)).abs() > i64::from(i32::MAX) {
                return Err(WeightsError::Overflow { output });
            }
        }
        Ok(())
    }

    pub(super) fn zero(&self, output: usize) -> i8 {
        self.zeros[if self.zeros.len() == 1 { 0 } else { output }]
    }

    pub(super) fn bias(&self, output: usize) -> i32 {
        self.bias.map_or(0, |b| b[output])
    }

    /// The rows of one of `groups` equal groups of outputs.
    pub(super) fn group(&self, index: usize, groups: usize) -> Weights<'_> {
        let n = self.outputs / groups;
        let k = self.values.len() / self.outputs;
        let rows = index * n..(index + 1) * n;
        Weights {
            values: &self.values[rows.start * k..rows.end * k],
            outputs: n,
            zeros: if self.zeros.len() == 1 { self.zeros } else { &self.zeros[rows.clone()] },
            bias: self.bias.map(|b| &b[rows]),
            input_zero: self.input_zero,
        }
    }
}

/// Runs of `len` weights that meet `len` neighbouring activations, one run starting at each
/// offset; every run is padded to whole groups of `depth` with zero weights.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    pub(super) len: usize,
    /// Where each run's activations start, relative to the row's first.
    pub(super) starts: Vec<u32>,
}

impl Runs {
    /// One run of `k`: a dense layer.
    pub(super) fn dense(k: usize) -> Self {
        Self { len: k, starts: vec![0] }
    }

    /// Weights per row.
    pub(super) fn k(&self) -> usize {
        self.len * self.starts.len()
    }

    /// Groups per row.
    pub(super) fn groups(&self, depth: usize) -> usize {
        self.len.div_ceil(depth) * self.starts.len()
    }

    /// Where the activations of each group start.
    pub(super) fn offsets(&self, depth: usize) -> Offsets {
        let step = |s: &u32| {
            let s = *s;
            (0..self.len).step_by(depth).map(move |i| s + i as u32)
        };
        let each: Vec<u32> = self.starts.iter().flat_map(step).collect();
        let reach = each.iter().max().map_or(0, |&o| o as usize + depth);
        Offsets { each, reach }
    }
}

/// Where the activations of each group of weights start, relative to the row's first.
#[derive(Clone, Debug)]
pub(super) struct Offsets {
    each: Vec<u32>,
    reach: usize,
}

impl Offsets {
    #[inline(always)]
    pub(super) fn each(&self) -> &[u32] {
        &self.each
    }

    /// One past the last element that any group touches.
    #[inline(always)]
    pub(super) fn reach(&self) -> usize {
        self.reach
    }
}

/// Packed columns: `[column / 16][group][column % 16][lane]`, missing columns and lanes zero.
#[derive(Clone, Debug)]
pub(super) struct Panels {
    pub(super) columns: usize,
    pub(super) groups: usize,
    pub(super) depth: usize,
    pub(super) values: Vec<i8>,
    /// Per column: sum (w - zw); bias; zw; and what accumulation starts from for the zero point
    /// the weights were packed with. [`SPARE`] more behind.
    pub(super) sums: Vec<i32>,
    pub(super) bias: Vec<i32>,
    pub(super) zeros: Vec<i32>,
    pub(super) start: Vec<i32>,
    /// Whether any zero point is not zero, so that rows must be summed.
    pub(super) skewed: bool,
    /// Whether no weight is -128.
    pub(super) narrow: bool,
}

impl Panels {
    pub(super) fn new(weights: &Weights<'_>, runs: &Runs, depth: usize) -> Self {
        let (n, k, groups) = (weights.outputs, runs.k(), runs.groups(depth));
        let mut values = vec![0; panel_bytes(n, groups, depth)];
        for (column, row) in weights.values.chunks_exact(k).enumerate() {
            let panel = column / PANEL * groups * PANEL;
            let mut slot = (panel + column % PANEL) * depth;
            for piece in row.chunks_exact(runs.len).flat_map(|run| run.chunks(depth)) {
                values[slot..slot + piece.len()].copy_from_slice(piece);
                slot += PANEL * depth;
            }
        }
        let per_column = |f: &dyn Fn(usize) -> i32| {
            let mut all: Vec<i32> = (0..n).map(f).collect();
            all.resize(n + SPARE, 0);
            all
        };
        let zeros = per_column(&|c| i32::from(weights.zero(c)));
        let sums = per_column(&|c| {
            let row = &weights.values[c * k..(c + 1) * k];
            row.iter().map(|&w| i32::from(w) - zeros[c]).sum()
        });
        let bias = per_column(&|c| weights.bias(c));
        let mut start = spread(&[0], n, 0);
        fold(Isa::SCALAR, [&bias, &sums], weights.input_zero, &mut start);
        let skewed = zeros.iter().any(|&z| z != 0);
        let narrow = !values.contains(&i8::MIN);
        Self { columns: n, groups, depth, values, sums, bias, zeros, start, skewed, narrow }
    }

    pub(super) fn view(&self) -> View<'_> {
        View {
            columns: self.columns,
            groups: self.groups,
            depth: self.depth,
            values: &self.values,
            start: &self.start,
            zeros: self.skewed.then_some(&self.zeros),
            narrow: self.narrow,
        }
    }

    /// The view for activations of another zero point; `start` is working memory for
    /// [`Panels::start_len`] elements.
    pub(super) fn view_at<'a>(&'a self, isa: Isa, zero: i8, start: &'a mut [i32]) -> View<'a> {
        fold(isa, [&self.bias, &self.sums], zero, start);
        View { start, ..self.view() }
    }

    pub(super) fn start_len(&self) -> usize {
        self.start.len()
    }
}

/// Bytes of `columns` packed columns.
pub(super) fn panel_bytes(columns: usize, groups: usize, depth: usize) -> usize {
    columns.div_ceil(PANEL) * PANEL * groups * depth
}

/// What accumulation starts from: bias - za * sum (w - zw), all of one length. The products of the
/// single terms may wrap; the accumulators they end in were proven to fit.
pub(super) fn fold(isa: Isa, [bias, sums]: [&[i32]; 2], zero: i8, start: &mut [i32]) {
    #[cfg(target_feature = "neon")]
    let ([bias, sums], start) = if isa.has_neon() {
        neon::fold([bias, sums], zero.into(), start)
    } else {
        ([bias, sums], start)
    };
    isa.run(
        #[inline(always)]
        || {
            for ((s, &b), &sum) in start.iter_mut().zip(bias).zip(sums) {
                *s = b.wrapping_sub(sum.wrapping_mul(i32::from(zero)));
            }
        },
    );
}

/// Packed columns as a kernel gets them, wherever they are kept.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) columns: usize,
    pub(super) groups: usize,
    pub(super) depth: usize,
    pub(super) values: &'a [i8],
    /// `columns + SPARE` long.
    pub(super) start: &'a [i32],
    /// `columns + SPARE` long; none where all are zero.
    pub(super) zeros: Option<&'a [i32]>,
    /// Whether it is known that no weight is -128.
    #[cfg_attr(not(target_arch = "aarch64"), expect(dead_code, reason = "only smlal profits"))]
    pub(super) narrow: bool,
}

impl<'a> View<'a> {
    /// The packed weights of columns `16 * index..`.
    #[inline(always)]
    pub(super) fn panel(&self, index: usize) -> &'a [i8] {
        let len = self.groups * self.depth * PANEL;
        &self.values[index * len..(index + 1) * len]
    }

    pub(super) fn panels(&self) -> usize {
        self.columns.div_ceil(PANEL)
    }
}
