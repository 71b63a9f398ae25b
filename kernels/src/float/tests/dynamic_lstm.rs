//! LSTMs with products of integers against their definition, bit for bit.
use super::super::super::{Scratch, Weights};
use super::*;

/// One layer with random weights, and a batch.
struct Case {
    input: usize,
    hidden: usize,
    reverse: bool,
    input_forget: bool,
    lengths: Vec<usize>,
    w: Vec<i8>,
    r: Vec<i8>,
    zeros: [Vec<i8>; 2],
    scales: [Vec<f32>; 2],
    bias: Option<Vec<f32>>,
    peepholes: Option<Vec<f32>>,
    x: Vec<f32>,
    h: Vec<f32>,
    c: Vec<f32>,
}

impl Case {
    fn random(dice: &mut Dice) -> Self {
        let (input, hidden) = (dice.pick(1, 20), dice.pick(1, 40));
        let batch = dice.pick(1, 3);
        let lengths: Vec<usize> = (0..batch).map(|_| dice.pick(0, 9)).collect();
        let (steps, gates) = (lengths.iter().copied().max().unwrap_or(0), 4 * hidden);
        let bytes = |dice: &mut Dice, n: usize| -> Vec<i8> {
            (0..n).map(|_| (dice.pick(0, 255) as i32 - 128) as i8).collect()
        };
        let columns = if dice.pick(0, 1) == 0 { 1 } else { gates };
        Self {
            input,
            hidden,
            reverse: dice.pick(0, 1) == 0,
            input_forget: dice.pick(0, 4) == 0,
            w: bytes(dice, gates * input),
            r: bytes(dice, gates * hidden),
            zeros: [bytes(dice, columns), vec![0]],
            scales: [dice.f32s(gates, 0.001, 0.01), dice.f32s(gates, 0.001, 0.01)],
            bias: (dice.pick(0, 2) > 0).then(|| dice.f32s(2 * gates, -0.5, 0.5)),
            peepholes: (dice.pick(0, 2) == 0).then(|| dice.f32s(3 * hidden, -0.5, 0.5)),
            x: dice.f32s(steps * batch * input, -1.0, 1.5),
            h: dice.f32s(batch * hidden, -1.0, 1.0),
            c: dice.f32s(batch * hidden, -1.0, 1.0),
            lengths,
        }
    }

    fn steps(&self) -> usize {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// The weights of the input (0) or of the state (1).
    fn weights(&self, which: usize) -> Weights<'_> {
        let (values, zeros) = ([&self.w, &self.r][which], &self.zeros[which]);
        Weights { values, outputs: 4 * self.hidden, zeros, bias: None, input_zero: 0 }
    }

    fn run(&self, isa: Isa) -> Vec<f32> {
        let weights = DynamicWeights {
            input: self.input,
            hidden: self.hidden,
            w: self.weights(0),
            r: self.weights(1),
            scales: [&self.scales[0], &self.scales[1]],
            bias: self.bias.as_deref(),
            peepholes: self.peepholes.as_deref(),
        };
        let batch = self.lengths.len();
        let usual = [UnaryOp::Sigmoid, UnaryOp::Tanh, UnaryOp::Tanh];
        let flags = [self.input_forget, batch == 1];
        let layer = DynamicLstm::new(isa, &usual, flags, None, &weights).unwrap();
        let mut scratch = Scratch::with_bytes(layer.scratch_bytes(self.steps(), batch));
        let (mut h, mut c) = (self.h.clone(), self.c.clone());
        let mut y = vec![7.0; self.steps() * batch * self.hidden];
        let mut run = DynamicRun {
            x: &self.x,
            batch,
            length: &|b| self.lengths[b],
            reverse: self.reverse,
            y: &mut y,
            y_stride: batch * self.hidden,
        };
        layer.run(&mut run, &mut h, &mut c, &mut scratch);
        y.into_iter().chain(h).chain(c).collect()
    }

    /// `(stored - zero, scale)` of DynamicQuantizeLinear.
    fn quantized(values: &[f32]) -> (Vec<i32>, f32) {
        let low = values.iter().fold(0.0f32, |a, &b| a.min(b));
        let high = values.iter().fold(0.0f32, |a, &b| a.max(b));
        let scale = if high == low { 1.0 } else { (high - low) / 255.0 };
        let zero = ((0.0 - low) / scale).round_ties_even().clamp(0.0, 255.0) as i32;
        let stored = |x: f32| ((x / scale).round_ties_even() as i32 + zero).clamp(0, 255) - zero;
        (values.iter().map(|&x| stored(x)).collect(), scale)
    }

    /// The products of rows of quantized floats by the weights of the input (0) or the state (1).
    fn products(&self, which: usize, values: &[f32]) -> Vec<f32> {
        let (weights, k) = [(&self.w, self.input), (&self.r, self.hidden)][which];
        let (stored, scale) = Self::quantized(values);
        let zeros = &self.zeros[which];
        let mut out = Vec::new();
        for row in stored.chunks(k) {
            for (column, weights) in weights.chunks(k).enumerate() {
                let zero = i32::from(zeros[if zeros.len() == 1 { 0 } else { column }]);
                let sum: i32 =
                    row.iter().zip(weights).map(|(a, &w)| a * (i32::from(w) - zero)).sum();
                out.push(sum as f32 * (scale * self.scales[which][column]));
            }
        }
        out
    }

    fn expected(&self) -> Vec<f32> {
        let (batch, n) = (self.lengths.len(), self.hidden);
        let gates = 4 * n;
        let apply = |op: UnaryOp, x: f32| {
            let mut x = [x];
            unary_in_place(Isa::SCALAR, op, &mut x);
            x[0]
        };
        let (mut h, mut c) = (self.h.clone(), self.c.clone());
        let mut ended = vec![0.0; batch * n];
        let mut y = vec![7.0; self.steps() * batch * n];
        for b in (0..batch).filter(|&b| self.lengths[b] == 0) {
            h[b * n..][..n].fill(0.0);
            c[b * n..][..n].fill(0.0);
        }
        let inputs = self.products(0, &self.x);
        let bias = |g: usize| self.bias.as_ref().map_or(0.0, |b| b[g] + b[gates + g]);
        let peep = |part: usize, j: usize, c: f32, gate: f32| {
            self.peepholes.as_ref().map_or(gate, |p| p[part * n + j].mul_add(c, gate))
        };
        for step in 0..self.steps() {
            let states = self.products(1, &h);
            for b in (0..batch).filter(|&b| step < self.lengths[b]) {
                let t = if self.reverse { self.lengths[b] - 1 - step } else { step };
                for j in 0..n {
                    let gate = |g: usize| {
                        let at = g * n + j;
                        (inputs[(t * batch + b) * gates + at] + states[b * gates + at]) + bias(at)
                    };
                    let old = c[b * n + j];
                    let i = apply(UnaryOp::Sigmoid, peep(0, j, old, gate(0)));
                    let f = apply(UnaryOp::Sigmoid, peep(2, j, old, gate(2)));
                    let f = if self.input_forget { 1.0 - i } else { f };
                    let new = f.mul_add(old, i * apply(UnaryOp::Tanh, gate(3)));
                    let o = apply(UnaryOp::Sigmoid, peep(1, j, new, gate(1)));
                    c[b * n + j] = new;
                    h[b * n + j] = o * apply(UnaryOp::Tanh, new);
                    y[(t * batch + b) * n + j] = h[b * n + j];
                }
                if step + 1 == self.lengths[b] {
                    ended[b * n..][..n].copy_from_slice(&h[b * n..][..n]);
                    h[b * n..][..n].fill(0.0);
                }
            }
        }
        y.into_iter().chain(ended).chain(c).collect()
    }
}

#[test]
fn layers_with_products_of_integers_are_their_definition() {
    let mut dice = Dice::new(43);
    for number in 0..cases(60) {
        let case = Case::random(&mut dice);
        let what = format!("case {number}, {} to {}", case.input, case.hidden);
        let found = same_bits(&what, |isa| case.run(isa));
        let expected = case.expected();
        assert_eq!(found.len(), expected.len());
        for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
            assert!(a.to_bits() == b.to_bits(), "{what}, element {i}: {a} for {b}");
        }
    }
}
