//! Recurrent layers of ONNX: LSTM, GRU and RNN, one direction and one sequence per run.
//!
//! The products of all inputs come first, several steps at a time; each step then adds the products
//! of the hidden state. The accumulator of a gate is one chain: bias (the sum of both), inputs, and
//! hidden state, with ascending index.
mod cells;
mod dynamic;

pub use dynamic::{DynamicLstm, DynamicRun, DynamicWeights};

use super::super::isa::Isa;
use super::super::operands::Grid;
use super::super::pack::WeightsError;
use super::super::scratch::{Scratch, bytes_for};
use super::activation::Activation;
use super::dispatch::product;
use super::operands::{Left, Output, PANEL, PackedView, Run};
use super::pack::{Panels, expect_len};
use super::unary::UnaryOp;
use cells::Elementwise;

/// The kind of a recurrent layer, with the order of its gates in the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Gates i, o, f, c; activations f, g, h. With `input_forget`, f is 1 - i.
    Lstm { input_forget: bool },
    /// Gates z, r, h; activations f, g. With `linear_before_reset`, the reset gate multiplies the
    /// product of the hidden state instead of the state.
    Gru { linear_before_reset: bool },
    /// One gate, one activation.
    Rnn,
}

impl Cell {
    /// Returns the number of gates.
    #[must_use]
    pub fn gates(self) -> usize {
        match self {
            Self::Lstm { .. } => 4,
            Self::Gru { .. } => 3,
            Self::Rnn => 1,
        }
    }

    /// Returns the number of activations.
    #[must_use]
    pub fn activations(self) -> usize {
        match self {
            Self::Lstm { .. } => 3,
            Self::Gru { .. } => 2,
            Self::Rnn => 1,
        }
    }
}

/// The weights of one direction, in the order of ONNX.
#[derive(Clone, Copy, Debug)]
pub struct RecurrentWeights<'a> {
    /// Elements of the input of a step.
    pub input: usize,
    /// Elements of the hidden state.
    pub hidden: usize,
    /// `[gates * hidden][input]`.
    pub w: &'a [f32],
    /// `[gates * hidden][hidden]`.
    pub r: &'a [f32],
    /// `[2 * gates * hidden]`: those of `w`, then those of `r`.
    pub bias: Option<&'a [f32]>,
    /// `[3 * hidden]` of i, o, f; of an LSTM only.
    pub peepholes: Option<&'a [f32]>,
}

/// A recurrent layer.
#[derive(Clone, Debug)]
pub struct Recurrent {
    isa: Isa,
    cell: Cell,
    input: usize,
    hidden: usize,
    /// All gates of the input.
    inputs: Panels,
    /// The gates of the hidden state, but for the last one of a GRU.
    states: Panels,
    /// The last gate of a GRU.
    candidate: Option<Panels>,
    elementwise: Elementwise,
}

/// The input and output of a run.
#[derive(Debug)]
pub struct Steps<'a> {
    /// Step t reads `x[t * x_stride..][..input]`.
    pub x: &'a [f32],
    pub x_stride: usize,
    /// How many steps.
    pub count: usize,
    /// Whether the last step runs first.
    pub reverse: bool,
    /// Step t writes its hidden state to `y[t * y_stride..][..hidden]`; nothing else is written.
    /// None if only the final state is wanted.
    pub y: Option<&'a mut [f32]>,
    pub y_stride: usize,
}

/// Steps whose input products are computed together.
const CHUNK: usize = 24;

impl Recurrent {
    /// Packs the weights. `activations` are those of [`Cell`]; `clip` bounds their inputs to
    /// `-clip..=clip`, but for h of an LSTM, as in ONNX Runtime.
    ///
    /// # Errors
    /// Lengths that do not agree, sizes of zero or too large, or peepholes that the cell lacks.
    pub fn new(
        isa: Isa,
        cell: Cell,
        activations: &[UnaryOp],
        clip: Option<f32>,
        weights: &RecurrentWeights<'_>,
    ) -> Result<Self, WeightsError> {
        let RecurrentWeights { input, hidden, w, r, bias, peepholes } = *weights;
        if [input, hidden].iter().any(|&n| n == 0 || n >= 1 << 28) {
            return Err(WeightsError::Geometry);
        }
        let gates = cell.gates() * hidden;
        expect_len("weights of the input", gates.saturating_mul(input), w.len())?;
        expect_len("weights of the state", gates.saturating_mul(hidden), r.len())?;
        expect_len("bias", 2 * gates, bias.map_or(2 * gates, <[f32]>::len))?;
        let holes = if matches!(cell, Cell::Lstm { .. }) { 3 * hidden } else { 0 };
        expect_len("peepholes", holes, peepholes.map_or(holes, <[f32]>::len))?;
        expect_len("activations", cell.activations(), activations.len())?;
        let [own, of_state] = [0, gates].map(|at| bias.map(|b| &b[at..at + gates]));
        let apart = matches!(cell, Cell::Gru { linear_before_reset: true });
        let start: Vec<f32> = (0..gates)
            .map(|g| {
                let of_state = if apart && g >= 2 * hidden { None } else { of_state };
                own.map_or(0.0, |b| b[g]) + of_state.map_or(0.0, |b| b[g])
            })
            .collect();
        let inputs = Panels::new([gates, input], Some(&start), w, |c| c * input, |i| i);
        let first = if matches!(cell, Cell::Gru { .. }) { 2 * hidden } else { gates };
        let states = Panels::new([first, hidden], None, r, |c| c * hidden, |i| i);
        let candidate = matches!(cell, Cell::Gru { .. }).then(|| {
            let bias = of_state.map(|b| &b[first..]);
            Panels::new([hidden, hidden], bias, r, |c| (first + c) * hidden, |i| i)
        });
        let elementwise = Elementwise::new(isa, activations, clip, peepholes);
        Ok(Self { isa, cell, input, hidden, inputs, states, candidate, elementwise })
    }

    /// Elements from one step's gates to the next: whole panels may be read from any gate on.
    fn gates_stride(&self) -> usize {
        self.inputs.columns.next_multiple_of(PANEL) + PANEL
    }

    /// Returns the working memory for a run, in bytes.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        bytes_for::<f32>(CHUNK * self.gates_stride())
            + bytes_for::<f32>(self.gates_stride())
            + 2 * bytes_for::<f32>(self.hidden)
    }

    /// Runs all steps from the state `h`, and of an LSTM `c` (otherwise empty), and leaves the final
    /// state there.
    ///
    /// # Panics
    /// If a buffer has the wrong length or the scratch memory is too small.
    #[inline(never)]
    pub fn run(&self, steps: Steps<'_>, h: &mut [f32], c: &mut [f32], scratch: &mut Scratch) {
        let Steps { x, x_stride, count, reverse, mut y, y_stride } = steps;
        let cells = if matches!(self.cell, Cell::Lstm { .. }) { self.hidden } else { 0 };
        assert_eq!(h.len(), self.hidden, "hidden state");
        assert_eq!(c.len(), cells, "cell state");
        let mut arena = scratch.arena();
        let chunk = arena.allocate::<f32>(CHUNK * self.gates_stride());
        let gates = arena.allocate::<f32>(self.gates_stride());
        let mut work = Work {
            gates,
            extra: [arena.allocate::<f32>(self.hidden), arena.allocate::<f32>(self.hidden)],
        };
        let mut done = 0;
        while done < count {
            let n = CHUNK.min(count - done);
            let first = if reverse { count - done - n } else { done };
            self.multiply_inputs(&x[first * x_stride..], x_stride, n, chunk);
            for i in 0..n {
                let i = if reverse { n - 1 - i } else { i };
                let start = &chunk[i * self.gates_stride()..][..self.gates_stride()];
                self.step(start, h, c, &mut work);
                if let Some(y) = &mut y {
                    y[(first + i) * y_stride..][..self.hidden].copy_from_slice(h);
                }
            }
            done += n;
        }
    }

    /// Writes the gates' accumulators after bias and inputs of `n` steps.
    fn multiply_inputs(&self, x: &[f32], stride: usize, n: usize, out: &mut [f32]) {
        let runs = [Run { start: 0, len: self.input as u32 }];
        let left = Left { stage: x, grid: Grid::rows(n, stride), runs: &runs };
        let width = self.gates_stride();
        let bounds = Activation::None.bounds();
        let mut output = Output { out, residual: None, bounds, row: 0, column: 0, width };
        product(self.isa, &left, &self.inputs.view(), &mut output);
    }

    /// Multiplies a state by packed columns; accumulators start at `start`, or at the bias.
    fn multiply_state(&self, h: &[f32], panels: &Panels, start: Option<&[f32]>, out: &mut [f32]) {
        let runs = [Run { start: 0, len: self.hidden as u32 }];
        let left = Left { stage: h, grid: Grid::rows(1, self.hidden), runs: &runs };
        let view = panels.view();
        let view = PackedView { start: start.unwrap_or(view.start), ..view };
        let width = panels.columns;
        let bounds = Activation::None.bounds();
        let mut output = Output { out, residual: None, bounds, row: 0, column: 0, width };
        product(self.isa, &left, &view, &mut output);
    }

    /// Runs one step, whose gates' accumulators after the inputs are `start`.
    fn step(&self, start: &[f32], h: &mut [f32], c: &mut [f32], work: &mut Work<'_>) {
        let hidden = self.hidden;
        let Work { gates, extra: [reset, candidate] } = work;
        self.multiply_state(h, &self.states, Some(start), gates);
        match (self.cell, &self.candidate) {
            (Cell::Lstm { input_forget }, _) => {
                self.elementwise.lstm(input_forget, &mut gates[..4 * hidden], h, c, reset);
            }
            (Cell::Gru { linear_before_reset }, Some(panels)) => {
                let gates = &mut gates[..2 * hidden];
                self.elementwise.gru_gates(gates);
                let start = &start[2 * hidden..];
                if linear_before_reset {
                    self.multiply_state(h, panels, None, candidate);
                    self.elementwise.gru_reset_product(&gates[hidden..], start, candidate);
                } else {
                    self.elementwise.gru_reset_state(&gates[hidden..], h, reset);
                    self.multiply_state(reset, panels, Some(start), candidate);
                }
                self.elementwise.gru(&gates[..hidden], candidate, h);
            }
            (Cell::Gru { .. } | Cell::Rnn, _) => self.elementwise.rnn(&mut gates[..hidden], h),
        }
    }
}

/// Working memory of a step.
struct Work<'a> {
    gates: &'a mut [f32],
    extra: [&'a mut [f32]; 2],
}
