//! Packed weights: panels of columns, packed once, one byte per weight.
//!
//! With a for activations, w for weights, and their zero points, an accumulator is
//!
//! ```text
//! bias + sum (a - za)(w - zw)  =  [bias - za sum (w - zw)]  +  sum a w  -  zw sum a
//! ```
//!
//! The bracket depends on the column only and is the initial value of the accumulator. The last
//! term is zero for symmetric weights and otherwise needs one sum per row.
use super::isa::Isa;
#[cfg(target_feature = "neon")]
use super::neon;
use super::operands::{GroupOffsets, PANEL, PackedView};
use super::requant::{OVERREAD, spread};
use std::fmt;

/// The weights of one layer, in the order of the model.
///
/// There is one row per output, `values.len() / outputs` long; a convolution has its weights in the
/// order (kernel row, kernel column, input channel of the group).
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    pub values: &'a [i8],
    pub outputs: usize,
    /// Zero points of the weights: one for all, or one per output.
    pub zeros: &'a [i8],
    /// One per output, in units of input scale x weight scale.
    pub bias: Option<&'a [i32]>,
    /// Zero point of the activations, unless a run passes its own.
    pub input_zero: i8,
}

/// The largest number of products of two bytes whose sum always fits into 32 bits.
pub const MAX_SAFE_DEPTH: usize = i32::MAX as usize / (255 * 255);

/// The reason why weights are rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightsError {
    /// A length does not match the others.
    Shape { what: &'static str, expected: usize, found: usize },
    /// Sizes are zero, or too large for 32 bits.
    Geometry,
    /// Some input could overflow the 32-bit accumulator of this output.
    Overflow { output: usize },
}

impl fmt::Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { what, expected, found } => {
                write!(f, "{what}: expected {expected} elements, found {found}")
            }
            Self::Geometry => f.write_str("window sizes are zero or too large"),
            Self::Overflow { output } => {
                write!(f, "the 32-bit accumulator of output {output} could overflow")
            }
        }
    }
}

impl std::error::Error for WeightsError {}

impl Weights<'_> {
    /// Checks that the lengths agree with rows of `k` weights and that no accumulator can overflow:
    /// an activation is at most 255 away from any zero point.
    ///
    /// # Errors
    /// Lengths that do not agree, or the first output that could overflow.
    pub fn check(&self, k: usize) -> Result<(), WeightsError> {
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
            let extent: i64 = row.iter().map(|&w| 255 * (i64::from(w) - zero).abs()).sum();
            if extent + i64::from(self.bias(output)).abs() > i64::from(i32::MAX) {
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

    /// Returns the rows of one of `groups` equal groups of outputs.
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

/// Runs of `len` weights that meet `len` neighbouring activations, one run at each offset.
///
/// Every run is padded to whole groups of `group_size` with zero weights.
#[derive(Clone, Debug)]
pub(super) struct PackRuns {
    pub(super) len: usize,
    /// Position of each run's activations, relative to the row's first.
    pub(super) starts: Vec<u32>,
}

impl PackRuns {
    /// Returns the single run of a dense layer.
    pub(super) fn dense(k: usize) -> Self {
        Self { len: k, starts: vec![0] }
    }

    /// Returns the number of weights per row.
    pub(super) fn k(&self) -> usize {
        self.len * self.starts.len()
    }

    /// Returns the number of groups per row.
    pub(super) fn groups(&self, group_size: usize) -> usize {
        self.len.div_ceil(group_size) * self.starts.len()
    }

    /// Returns where the activations of each group start.
    pub(super) fn offsets(&self, group_size: usize) -> GroupOffsets {
        let step = |s: &u32| {
            let s = *s;
            (0..self.len).step_by(group_size).map(move |i| s + i as u32)
        };
        let each: Vec<u32> = self.starts.iter().flat_map(step).collect();
        GroupOffsets::new(each, group_size)
    }
}

/// Packed columns: `[column / 16][group][column % 16][lane]`, missing columns and lanes zero.
#[derive(Clone, Debug)]
pub(super) struct Panels {
    pub(super) columns: usize,
    pub(super) groups: usize,
    pub(super) group_size: usize,
    pub(super) values: Vec<i8>,
    /// Per column: sum (w - zw), bias, zw, and the initial accumulator for the zero point the
    /// weights were packed with; all padded by [`OVERREAD`].
    pub(super) sums: Vec<i32>,
    pub(super) bias: Vec<i32>,
    pub(super) zeros: Vec<i32>,
    pub(super) start: Vec<i32>,
    /// Whether any zero point is not zero, so that rows must be summed.
    pub(super) asymmetric: bool,
    /// Whether no weight is -128.
    pub(super) no_min: bool,
}

impl Panels {
    pub(super) fn new(weights: &Weights<'_>, runs: &PackRuns, group_size: usize) -> Self {
        let (n, k, groups) = (weights.outputs, runs.k(), runs.groups(group_size));
        let mut values = vec![0; panel_bytes(n, groups, group_size)];
        for (column, row) in weights.values.chunks_exact(k).enumerate() {
            let panel = column / PANEL * groups * PANEL;
            let mut slot = (panel + column % PANEL) * group_size;
            for piece in row.chunks_exact(runs.len).flat_map(|run| run.chunks(group_size)) {
                values[slot..slot + piece.len()].copy_from_slice(piece);
                slot += PANEL * group_size;
            }
        }
        let per_column = |f: &dyn Fn(usize) -> i32| {
            let mut all: Vec<i32> = (0..n).map(f).collect();
            all.resize(n + OVERREAD, 0);
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
        let asymmetric = zeros.iter().any(|&z| z != 0);
        let no_min = !values.contains(&i8::MIN);
        Self {
            columns: n,
            groups,
            group_size,
            values,
            sums,
            bias,
            zeros,
            start,
            asymmetric,
            no_min,
        }
    }

    pub(super) fn view(&self) -> PackedView<'_> {
        PackedView {
            columns: self.columns,
            groups: self.groups,
            group_size: self.group_size,
            values: &self.values,
            start: &self.start,
            zeros: self.asymmetric.then_some(&self.zeros),
            no_min: self.no_min,
        }
    }

    /// Returns the view for activations of another zero point. `start` is working memory for
    /// [`Panels::start_len`] elements.
    pub(super) fn view_at<'a>(
        &'a self,
        isa: Isa,
        zero: i8,
        start: &'a mut [i32],
    ) -> PackedView<'a> {
        fold(isa, [&self.bias, &self.sums], zero, start);
        PackedView { start, ..self.view() }
    }

    pub(super) fn start_len(&self) -> usize {
        self.start.len()
    }
}

/// Returns the size of `columns` packed columns, in bytes.
pub(super) fn panel_bytes(columns: usize, groups: usize, group_size: usize) -> usize {
    columns.div_ceil(PANEL) * PANEL * groups * group_size
}

/// Computes the initial accumulators bias - za * sum (w - zw); all slices have one length.
///
/// Single products may wrap, but the accumulators they end in were proven to fit.
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
