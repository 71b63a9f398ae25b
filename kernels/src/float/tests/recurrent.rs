//! Recurrent layers against their definition in double precision.
use super::super::super::Scratch;
use super::*;

/// One layer with random weights.
pub(super) struct Case {
    cell: Cell,
    activations: Vec<UnaryOp>,
    clip: Option<f32>,
    input: usize,
    hidden: usize,
    count: usize,
    reverse: bool,
    w: Vec<f32>,
    r: Vec<f32>,
    bias: Option<Vec<f32>>,
    peepholes: Option<Vec<f32>>,
    x: Vec<f32>,
    stride: usize,
    h: Vec<f32>,
    c: Vec<f32>,
}

impl Case {
    pub(super) fn random(dice: &mut Dice) -> Self {
        let flag = dice.pick(0, 1) == 0;
        let cell = match dice.pick(0, 2) {
            0 => Cell::Lstm { input_forget: flag && dice.pick(0, 1) == 0 },
            1 => Cell::Gru { linear_before_reset: flag },
            _ => Cell::Rnn,
        };
        let lstm = matches!(cell, Cell::Lstm { .. });
        let kinds = [UnaryOp::Sigmoid, UnaryOp::Tanh, UnaryOp::Relu, UnaryOp::Softsign];
        let usual = [UnaryOp::Sigmoid, UnaryOp::Tanh, UnaryOp::Tanh];
        let own = dice.pick(0, 2) == 0;
        let activations = usual
            .into_iter()
            .take(cell.activations())
            .map(|usual| if own { kinds[dice.pick(0, 3)] } else { usual })
            .collect();
        let (input, hidden, count) = (dice.pick(1, 20), dice.pick(1, 40), dice.pick(1, 60));
        let (gates, stride) = (cell.gates() * hidden, input + dice.pick(0, 3));
        let mut some = |n: usize, extent: f32| dice.f32s(n, -extent, extent);
        let (w, r) = (some(gates * input, 0.5), some(gates * hidden, 0.2));
        let (bias, peepholes) = (some(2 * gates, 0.5), some(3 * hidden, 0.5));
        let (x, h) = (some(count * stride, 1.0), some(hidden, 1.0));
        let c = some(if lstm { hidden } else { 0 }, 1.0);
        Self {
            cell,
            activations,
            clip: (dice.pick(0, 3) == 0).then_some(0.7),
            input,
            hidden,
            count,
            reverse: dice.pick(0, 1) == 0,
            w,
            r,
            bias: (dice.pick(0, 3) > 0).then_some(bias),
            peepholes: (lstm && dice.pick(0, 1) == 0).then_some(peepholes),
            x,
            stride,
            h,
            c,
        }
    }

    /// Returns the outputs of all steps and the final states, one after the other. With `split`, in
    /// as many runs as steps.
    pub(super) fn run(&self, isa: Isa, split: bool) -> Vec<f32> {
        let weights = RecurrentWeights {
            input: self.input,
            hidden: self.hidden,
            w: &self.w,
            r: &self.r,
            bias: self.bias.as_deref(),
            peepholes: self.peepholes.as_deref(),
        };
        let layer = Recurrent::new(isa, self.cell, &self.activations, self.clip, &weights).unwrap();
        let mut scratch = Scratch::with_bytes(layer.scratch_bytes());
        let (mut h, mut c) = (self.h.clone(), self.c.clone());
        let y_stride = self.hidden;
        let mut out = vec![7.0; self.count * y_stride];
        let runs = if split { self.count } else { 1 };
        for run in 0..runs {
            let at = if self.reverse { runs - 1 - run } else { run };
            let count = self.count / runs;
            let x = &self.x[at * self.stride..];
            let y = Some(&mut out[at * y_stride..]);
            let reverse = self.reverse;
            let steps = Steps { x, x_stride: self.stride, count, reverse, y, y_stride };
            layer.run(steps, &mut h, &mut c, &mut scratch);
        }
        out.into_iter().chain(h).chain(c).collect()
    }

    fn activate(&self, which: usize, x: f64) -> f64 {
        let x = self.clip.filter(|_| which < 2).map_or(x, |c| x.clamp(-f64::from(c), f64::from(c)));
        match self.activations[which] {
            UnaryOp::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            UnaryOp::Tanh => x.tanh(),
            UnaryOp::Relu => x.max(0.0),
            UnaryOp::Softsign => x / (1.0 + x.abs()),
            _ => unreachable!(),
        }
    }

    /// The products of row `at` of the weights, biases included, of the input and of the state.
    fn products(&self, at: usize, x: &[f32], h: &[f64]) -> [f64; 2] {
        let gates = self.cell.gates() * self.hidden;
        let bias = |i: usize| self.bias.as_ref().map_or(0.0, |b| f64::from(b[i]));
        let w = &self.w[at * self.input..][..self.input];
        let r = &self.r[at * self.hidden..][..self.hidden];
        let of_input: f64 = w.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
        let of_state: f64 = r.iter().zip(h).map(|(&r, &h)| f64::from(r) * h).sum();
        [of_input + bias(at), of_state + bias(gates + at)]
    }

    fn expected(&self) -> Vec<f64> {
        let wide = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let (mut h, mut c) = (wide(&self.h), wide(&self.c));
        let mut out = vec![0.0; self.count * self.hidden];
        for step in 0..self.count {
            let t = if self.reverse { self.count - 1 - step } else { step };
            self.step(&self.x[t * self.stride..][..self.input], &mut h, &mut c);
            out[t * self.hidden..][..self.hidden].copy_from_slice(&h);
        }
        out.into_iter().chain(h).chain(c).collect()
    }

    fn step(&self, x: &[f32], h: &mut Vec<f64>, c: &mut [f64]) {
        let n = self.hidden;
        let sum = |gate: usize, j: usize| self.products(gate * n + j, x, h).iter().sum::<f64>();
        let peep = |which: usize, j: usize| {
            self.peepholes.as_ref().map_or(0.0, |p| f64::from(p[which * n + j]))
        };
        let next: Vec<f64> = match self.cell {
            Cell::Rnn => (0..n).map(|j| self.activate(0, sum(0, j))).collect(),
            Cell::Lstm { input_forget } => (0..n)
                .map(|j| {
                    let i = self.activate(0, sum(0, j) + peep(0, j) * c[j]);
                    let f = self.activate(0, sum(2, j) + peep(2, j) * c[j]);
                    let f = if input_forget { 1.0 - i } else { f };
                    c[j] = f * c[j] + i * self.activate(1, sum(3, j));
                    let o = self.activate(0, sum(1, j) + peep(1, j) * c[j]);
                    o * self.activate(2, c[j])
                })
                .collect(),
            Cell::Gru { linear_before_reset } => {
                let r: Vec<f64> = (0..n).map(|j| self.activate(0, sum(1, j))).collect();
                let reset: Vec<f64> = h.iter().zip(&r).map(|(h, r)| h * r).collect();
                (0..n)
                    .map(|j| {
                        let z = self.activate(0, sum(0, j));
                        let inner = if linear_before_reset {
                            let [of_input, of_state] = self.products(2 * n + j, x, h);
                            of_input + r[j] * of_state
                        } else {
                            self.products(2 * n + j, x, &reset).iter().sum()
                        };
                        (1.0 - z) * self.activate(1, inner) + z * h[j]
                    })
                    .collect()
            }
        };
        *h = next;
    }
}

#[test]
fn layers_are_their_definition() {
    let mut dice = Dice::new(41);
    for _ in 0..cases(150) {
        let case = Case::random(&mut dice);
        let what = format!(
            "{:?} {:?} clip {:?}, {} to {}, {} steps, peepholes {}",
            case.cell,
            case.activations,
            case.clip,
            case.input,
            case.hidden,
            case.count,
            case.peepholes.is_some()
        );
        let found = same_bits(&what, |isa| case.run(isa, false));
        assert_eq!(found, case.run(Isa::best(), true), "{what}, step by step");
        let expected: Vec<_> = case.expected().into_iter().map(|y| (y, y.abs().max(1.0))).collect();
        close(&what, &found, &expected, 2e-4);
    }
}
