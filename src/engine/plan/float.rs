//! Steps of float kernels.

use inferd_kernels::float::{
    Activation, Binary, Conv, Dense, Matmul, Normalize, Pool, Recurrent, ReduceOp, UnaryOp,
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
/// `[steps][batch][input]`, and the initial states where they are not constants. The result is
/// every hidden state `[steps][direction][batch][hidden]`, then the last hidden states
/// `[direction][batch][hidden]`, then for an LSTM the last cell states.
#[derive(Debug)]
pub(in crate::engine) struct RecurrentStep {
    /// With whether the last step runs first.
    pub directions: Vec<(Recurrent, bool)>,
    pub steps: usize,
    pub batch: usize,
    pub input: usize,
    pub hidden: usize,
    pub has_cells: bool,
    /// Whether there is a source with the initial hidden states, and one with the cell states.
    pub initial: [bool; 2],
}

impl FloatStep {
    /// Working memory for a run.
    pub(super) fn scratch_bytes(&self) -> usize {
        match self {
            Self::Conv { conv, .. } => conv.scratch_bytes(),
            Self::Matmul { matmul, .. } => matmul.scratch_bytes(),
            Self::Recurrent(step) => {
                step.directions.iter().map(|(r, _)| r.scratch_bytes()).max().unwrap_or(0)
            }
            _ => 0,
        }
    }
}
