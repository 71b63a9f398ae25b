//! Steps of float kernels.

use inferd_kernels::float::{
    Activation, Binary, Conv, ConvTranspose, Dense, DynamicLstm, Matmul, Normalize, Pool,
    Recurrent, ReduceOp, UnaryOp,
};

/// A step that reads and writes floats.
#[derive(Debug)]
pub(in crate::engine) enum FloatStep {
    /// `batch` pictures; a second source is the residual. `then` applies to the result.
    Conv {
        conv: Conv,
        batch: usize,
        then: Option<UnaryOp>,
    },
    /// `batch` pictures.
    ConvTranspose {
        conv: ConvTranspose,
        batch: usize,
    },
    /// `rows` rows; a second source is the residual. `then` applies to the result.
    Dense {
        dense: Dense,
        rows: usize,
        then: Option<UnaryOp>,
    },
    /// Products of two computed matrices. Each starts at these elements of both sources.
    Matmul {
        matmul: Matmul,
        starts: Vec<[usize; 2]>,
        lengths: [usize; 2],
    },
    Pool {
        pool: Pool,
        batch: usize,
    },
    Unary(UnaryOp),
    Binary(Binary),
    /// `x * scale[c] + shift[c]`, channels last.
    Affine {
        scale: Vec<f32>,
        shift: Vec<f32>,
        activation: Activation,
    },
    /// The middle one of three axes.
    Reduce {
        op: ReduceOp,
        sizes: [usize; 3],
    },
    /// Rows, or their logarithm.
    Softmax {
        row: usize,
        log: bool,
    },
    Normalize(Normalize),
    Fill(f32),
    Recurrent(Box<RecurrentStep>),
}

/// A recurrent layer in one or two directions over a batch. The sources are the input
/// `[steps][batch][input]`, the initial states where they are not constants, and the lengths of the
/// sequences if a run has them. The result is every hidden state `[steps][direction][batch][hidden]`,
/// then the last hidden states `[direction][batch][hidden]`, then for an LSTM the last cell states.
#[derive(Debug)]
pub(in crate::engine) struct RecurrentStep {
    /// With whether the last step runs first.
    pub directions: Vec<(RecurrentLayer, bool)>,
    pub steps: usize,
    pub batch: usize,
    pub input: usize,
    pub hidden: usize,
    pub has_cells: bool,
    /// Whether there is a source with the initial hidden states, and one with the cell states.
    pub initial: [bool; 2],
    pub lengths: Lengths,
}

/// The kernel of one direction.
#[derive(Debug)]
pub(in crate::engine) enum RecurrentLayer {
    Float(Recurrent),
    Dynamic(DynamicLstm),
}

/// How many steps each sequence of a batch has.
#[derive(Debug)]
pub(in crate::engine) enum Lengths {
    /// All.
    Whole,
    Fixed(Vec<usize>),
    /// They are the last source.
    Given,
}

impl FloatStep {
    /// Working memory for a run.
    pub(super) fn scratch_bytes(&self) -> usize {
        match self {
            Self::Conv { conv, .. } => conv.scratch_bytes(),
            Self::ConvTranspose { conv, .. } => conv.scratch_bytes(),
            Self::Matmul { matmul, .. } => matmul.scratch_bytes(),
            Self::Recurrent(step) => {
                let bytes = |layer: &RecurrentLayer| match layer {
                    RecurrentLayer::Float(layer) => layer.scratch_bytes(),
                    RecurrentLayer::Dynamic(layer) => layer.scratch_bytes(step.steps, step.batch),
                };
                step.directions.iter().map(|(layer, _)| bytes(layer)).max().unwrap_or(0)
            }
            _ => 0,
        }
    }
}
