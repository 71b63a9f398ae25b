//! LSTMs whose products are of integers, as `DynamicQuantizeLSTM` of ONNX Runtime computes them.
//!
//! The input of the whole run is quantized with one scale, the hidden states of all sequences of a
//! step with another one, each by its range (`DynamicQuantizeLinear`). A gate is (product of the
//! input + product of the state) + bias; the products are exact sums, rounded once and scaled once.
//! What follows is in floats, as in [`Recurrent`](super::Recurrent).
//!
//! Source of the order: `uni_directional_lstm.cc` of ONNX Runtime with one thread. With more
//! threads, it quantizes the states of parts of a batch each with a scale of their own.
use super::super::super::dense::Dense;
use super::super::super::elementwise::mul_scalar;
use super::super::super::isa::Isa;
use super::super::super::pack::{Weights, WeightsError};
use super::super::super::quantize::quantize_dynamic;
use super::super::super::requant::{OutputBuffer, Scale};
use super::super::super::scratch::{Scratch, ScratchArena, bytes_for};
use super::super::pack::expect_len;
use super::super::unary::UnaryOp;
use super::cells::Elementwise;

/// The weights of one direction. There is one row for each of the 4 * `hidden` gates, in the order
/// i, o, f, c.
#[derive(Clone, Copy, Debug)]
pub struct DynamicWeights<'a> {
    /// Elements of the input of a step.
    pub input: usize,
    /// Elements of the hidden state.
    pub hidden: usize,
    /// `[4 * hidden][input]`.
    pub w: Weights<'a>,
    /// `[4 * hidden][hidden]`.
    pub r: Weights<'a>,
    /// The scales of `w` and of `r`, one per row.
    pub scales: [&'a [f32]; 2],
    /// `[8 * hidden]`: those of `w`, then those of `r`.
    pub bias: Option<&'a [f32]>,
    /// `[3 * hidden]` of i, o, f.
    pub peepholes: Option<&'a [f32]>,
}

/// An LSTM of one direction with products of integers.
#[derive(Clone, Debug)]
pub struct DynamicLstm {
    isa: Isa,
    input: usize,
    hidden: usize,
    /// The weights of the input and of the state.
    dense: [Dense; 2],
    scales: [Vec<f32>; 2],
    bias: Vec<f32>,
    input_forget: bool,
    elementwise: Elementwise,
}

/// The input and output of a run over a batch of sequences.
pub struct DynamicRun<'a> {
    /// `[step][sequence][input]`.
    pub x: &'a [f32],
    pub batch: usize,
    /// The number of steps of a sequence, at most those of `x`.
    pub length: &'a dyn Fn(usize) -> usize,
    /// Whether the last step runs first.
    pub reverse: bool,
    /// Sequence b writes its hidden state of step t to `y[t * y_stride + b * hidden..][..hidden]`;
    /// nothing else is written.
    pub y: &'a mut [f32],
    pub y_stride: usize,
}

impl std::fmt::Debug for DynamicRun<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DynamicRun").field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl DynamicLstm {
    /// Packs the weights. `activations` are f, g and h; `clip` bounds the inputs of f and g.
    /// `one_sequence`: every run has a batch of one.
    ///
    /// # Errors
    /// Lengths that do not agree, sizes of zero or too large, or sums that could overflow.
    pub fn new(
        isa: Isa,
        activations: &[UnaryOp],
        [input_forget, one_sequence]: [bool; 2],
        clip: Option<f32>,
        weights: &DynamicWeights<'_>,
    ) -> Result<Self, WeightsError> {
        let DynamicWeights { input, hidden, w, r, scales, bias, peepholes } = *weights;
        if [input, hidden].iter().any(|&n| n == 0 || n >= 1 << 28) {
            return Err(WeightsError::Geometry);
        }
        let gates = 4 * hidden;
        for (what, weights, k) in
            [("weights of the input", &w, input), ("weights of the state", &r, hidden)]
        {
            expect_len(what, gates.saturating_mul(k), weights.values.len())?;
            expect_len("gates", gates, weights.outputs)?;
        }
        for scales in scales {
            expect_len("scales", gates, scales.len())?;
        }
        expect_len("bias", 2 * gates, bias.map_or(2 * gates, <[f32]>::len))?;
        expect_len("peepholes", 3 * hidden, peepholes.map_or(3 * hidden, <[f32]>::len))?;
        expect_len("activations", 3, activations.len())?;
        let pack = if one_sequence { Dense::for_one_row } else { Dense::new };
        let bias = bias.map_or_else(
            || vec![0.0; gates],
            |b| b[..gates].iter().zip(&b[gates..]).map(|(w, r)| w + r).collect(),
        );
        Ok(Self {
            isa,
            input,
            hidden,
            dense: [Dense::new(isa, &w)?, pack(isa, &r)?],
            scales: scales.map(<[f32]>::to_vec),
            bias,
            input_forget,
            elementwise: Elementwise::new(isa, activations, clip, peepholes),
        })
    }

    /// Returns the working memory for a run of `steps` steps of `batch` sequences, in bytes.
    #[must_use]
    pub fn scratch_bytes(&self, steps: usize, batch: usize) -> usize {
        let (rows, gates) = (steps * batch, 4 * self.hidden);
        let of_dense = [(0, rows), (1, batch)].map(|(i, m)| self.dense[i].scratch_bytes(m));
        bytes_for::<f32>(rows * gates)
            + bytes_for::<f32>(batch * gates)
            + bytes_for::<f32>(batch * self.hidden)
            + bytes_for::<f32>(self.hidden)
            + bytes_for::<f32>(gates)
            + bytes_for::<i8>((rows * self.input).max(batch * self.hidden))
            + of_dense[0].max(of_dense[1])
    }

    /// Runs every sequence from its states in `h` and `c`, `[sequence][hidden]`, and leaves its final
    /// states there; those of a sequence without steps are zero.
    ///
    /// # Panics
    /// If a buffer has the wrong length or the scratch memory is too small.
    #[inline(never)]
    pub fn run(
        &self,
        run: &mut DynamicRun<'_>,
        h: &mut [f32],
        c: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let (batch, hidden, gates) = (run.batch, self.hidden, 4 * self.hidden);
        assert_eq!(h.len(), batch * hidden, "hidden states");
        assert_eq!(c.len(), batch * hidden, "cell states");
        let steps = (0..batch).map(run.length).max().unwrap_or(0);
        let rows = steps * batch;
        let mut arena = scratch.arena();
        let inputs = arena.allocate::<f32>(rows * gates);
        let sums = arena.allocate::<f32>(batch * gates);
        let states = arena.allocate::<f32>(batch * hidden);
        let work = arena.allocate::<f32>(hidden);
        let row = arena.allocate::<f32>(gates);
        let bytes = arena.allocate::<i8>((rows * self.input).max(batch * hidden));
        states.copy_from_slice(h);
        for b in (0..batch).filter(|&b| (run.length)(b) == 0) {
            let own = b * hidden..(b + 1) * hidden;
            for all in [&mut *h, &mut *c, &mut *states] {
                all[own.clone()].fill(0.0);
            }
        }
        if steps == 0 {
            return;
        }
        self.multiply(0, &run.x[..rows * self.input], bytes, row, inputs, arena.nested());
        for step in 0..steps {
            self.multiply(1, states, bytes, row, sums, arena.nested());
            for b in (0..batch).filter(|&b| step < (run.length)(b)) {
                let last = (run.length)(b) - 1;
                let t = if run.reverse { last - step } else { step };
                let gates = &mut sums[b * gates..(b + 1) * gates];
                let own = b * hidden..(b + 1) * hidden;
                self.add(&inputs[(t * batch + b) * gates.len()..], gates);
                let (h_now, c) = (&mut states[own.clone()], &mut c[own.clone()]);
                self.elementwise.lstm(self.input_forget, gates, h_now, c, work);
                run.y[t * run.y_stride + b * hidden..][..hidden].copy_from_slice(h_now);
                if step == last {
                    h[own].copy_from_slice(h_now);
                    // A sequence that has ended does not count for the range of the others.
                    h_now.fill(0.0);
                }
            }
        }
    }

    /// Adds the products of the input, then the bias.
    fn add(&self, inputs: &[f32], gates: &mut [f32]) {
        self.isa.run(
            #[inline(always)]
            || {
                for ((gate, &input), &bias) in gates.iter_mut().zip(inputs).zip(&self.bias) {
                    *gate = (input + *gate) + bias;
                }
            },
        );
    }

    /// Quantizes floats and multiplies them by the weights of the input (0) or of the state (1).
    fn multiply(
        &self,
        which: usize,
        x: &[f32],
        bytes: &mut [i8],
        scales: &mut [f32],
        out: &mut [f32],
        arena: ScratchArena<'_>,
    ) {
        let dense = &self.dense[which];
        let bytes = &mut bytes[..x.len()];
        let (scale, zero) = quantize_dynamic(self.isa, x, bytes);
        mul_scalar(self.isa, scale, &self.scales[which], scales);
        let out = OutputBuffer::F32(out, Scale { scale: scales, bias: None });
        dense.run_in(Some(zero), x.len() / dense.k(), bytes, out, arena);
    }
}
