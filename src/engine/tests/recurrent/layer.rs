//! Recurrent layers with random weights, and what they give by their definition in doubles.

use super::super::model::{Build, build};
use super::activations::Activations;
use crate::tensor::{Data, Dtype};
use fastrand::Rng;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Lstm,
    Gru,
    Rnn,
}

/// A layer with random weights, in the order of ONNX's inputs.
pub(super) struct Layer {
    kind: Kind,
    direction: &'static str,
    batch_first: bool,
    linear_before_reset: bool,
    steps: usize,
    batch: usize,
    width: usize,
    hidden: usize,
    w: Vec<f32>,
    r: Vec<f32>,
    b: Option<Vec<f32>>,
    lengths: Option<Vec<usize>>,
    h: Option<Vec<f32>>,
    c: Option<Vec<f32>>,
    p: Option<Vec<f32>>,
    /// Whether the initial states and the lengths are inputs of the model.
    states_given: bool,
    outputs: [bool; 3],
    explicit: bool,
    /// For each direction, with alpha and beta.
    activations: Activations,
    clip: Option<f32>,
    input_forget: bool,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {} layout {} lbr {} steps {} batch {} width {} hidden {} b {} lengths {:?} h {} \
             c {} p {} given {} outputs {:?} {:?} clip {:?} input_forget {}",
            self.kind,
            self.direction,
            self.batch_first,
            self.linear_before_reset,
            self.steps,
            self.batch,
            self.width,
            self.hidden,
            self.b.is_some(),
            self.lengths,
            self.h.is_some(),
            self.c.is_some(),
            self.p.is_some(),
            self.states_given,
            self.outputs,
            self.activations.0,
            self.clip,
            self.input_forget
        )
    }
}

pub(super) fn numbers(rng: &mut Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.f32() * 1.6 - 0.8).collect()
}

fn maybe(rng: &mut Rng, n: usize) -> Option<Vec<f32>> {
    rng.bool().then(|| numbers(rng, n))
}

impl Layer {
    pub(super) fn random(rng: &mut Rng, kind: Kind) -> Self {
        let gates = kind.gates();
        let direction = *rng.choice(&["forward", "reverse", "bidirectional"]).unwrap();
        let directions = if direction == "bidirectional" { 2 } else { 1 };
        let batch_first = rng.u8(..3) == 0;
        let (steps, batch, width) = (rng.usize(1..8), rng.usize(1..4), rng.usize(1..5));
        // Above 64 the float runtime goes another way.
        let hidden = if rng.u8(..6) == 0 { 65 } else { rng.usize(1..7) };
        let rows = directions * gates * hidden;
        let states = directions * batch * hidden;
        let outputs = loop {
            let last = kind == Kind::Lstm && rng.bool();
            let outputs = [rng.bool(), rng.bool(), last];
            if outputs.contains(&true) {
                break outputs;
            }
        };
        Self {
            kind,
            direction,
            batch_first,
            linear_before_reset: kind == Kind::Gru && rng.bool(),
            steps,
            batch,
            width,
            hidden,
            w: numbers(rng, rows * width),
            r: numbers(rng, rows * hidden),
            b: maybe(rng, 2 * rows),
            lengths: (rng.u8(..3) == 0).then(|| (0..batch).map(|_| rng.usize(..=steps)).collect()),
            h: maybe(rng, states),
            c: maybe(rng, states).filter(|_| kind == Kind::Lstm),
            p: maybe(rng, 3 * directions * hidden).filter(|_| kind == Kind::Lstm),
            states_given: rng.u8(..3) == 0,
            outputs,
            explicit: rng.bool(),
            activations: Activations::random(rng, kind.activations(), directions),
            clip: (rng.u8(..4) == 0).then_some(0.4),
            input_forget: kind == Kind::Lstm && rng.u8(..4) == 0,
        }
    }

    fn directions(&self) -> usize {
        if self.direction == "bidirectional" { 2 } else { 1 }
    }

    fn sequence_shape(&self) -> [usize; 3] {
        match self.batch_first {
            true => [self.batch, self.steps, self.width],
            false => [self.steps, self.batch, self.width],
        }
    }

    fn state_shape(&self) -> [usize; 3] {
        match self.batch_first {
            true => [self.batch, self.directions(), self.hidden],
            false => [self.directions(), self.batch, self.hidden],
        }
    }

    pub(super) fn build(&self) -> Build {
        let (d, g, h) = (self.directions(), self.kind.gates(), self.hidden);
        let mut build = build()
            .input("x", Dtype::F32, &self.sequence_shape())
            .constant("w", &[d, g * h, self.width], Data::F32(self.w.clone()))
            .constant("r", &[d, g * h, h], Data::F32(self.r.clone()));
        let mut inputs = vec!["x", "w", "r", "", "", "", "", ""];
        if let Some(b) = &self.b {
            build = build.constant("b", &[d, 2 * g * h], Data::F32(b.clone()));
            inputs[3] = "b";
        }
        if let Some(lengths) = self.lengths_data() {
            build = match self.states_given {
                true => build.input("lengths", Dtype::I32, &[self.batch]),
                false => build.constant("lengths", &[self.batch], lengths),
            };
            inputs[4] = "lengths";
        }
        for (i, name, state) in [(5, "h", &self.h), (6, "c", &self.c)] {
            let Some(state) = state else { continue };
            inputs[i] = name;
            build = match self.states_given {
                true => build.input(name, Dtype::F32, &self.state_shape()),
                false => build.constant(name, &self.state_shape(), Data::F32(state.clone())),
            };
        }
        if let Some(p) = &self.p {
            build = build.constant("p", &[d, 3 * h], Data::F32(p.clone()));
            inputs[7] = "p";
        }
        if self.kind != Kind::Lstm {
            inputs.truncate(6);
        }
        let names = ["y", "y_h", "y_c"];
        let made: Vec<_> =
            names.iter().zip(self.outputs).map(|(n, used)| if used { *n } else { "" }).collect();
        let count = made.iter().rposition(|n| !n.is_empty()).unwrap() + 1;
        let mut build = build.node(self.kind.name(), &inputs, &made[..count]);
        build = build.int("hidden_size", h as i64).text("direction", self.direction);
        if self.batch_first || self.explicit {
            build = build.int("layout", i64::from(self.batch_first));
        }
        build = self.activations.declare(build, self.explicit);
        if let Some(clip) = self.clip {
            build = build.real("clip", clip);
        }
        if self.input_forget {
            build = build.int("input_forget", 1);
        }
        if self.kind == Kind::Gru {
            build = build.int("linear_before_reset", i64::from(self.linear_before_reset));
        }
        for name in made.into_iter().filter(|n| !n.is_empty()) {
            build = build.output(name, Dtype::F32, &[]);
        }
        build.graph.output.iter_mut().for_each(|o| o.r#type = None);
        build
    }

    /// By the definition, in doubles: Y as steps, directions, batch, hidden; Y_h and Y_c as
    /// directions, batch, hidden.
    fn reference(&self, x: &[f32], h: Option<&[f32]>, c: Option<&[f32]>) -> [Vec<f64>; 3] {
        let (d, n) = (self.directions(), self.hidden);
        let mut y = vec![0.0; self.steps * d * self.batch * n];
        let (mut last_h, mut last_c) = (Vec::new(), Vec::new());
        for dir in 0..d {
            for row in 0..self.batch {
                let at = match self.batch_first {
                    true => (row * d + dir) * n,
                    false => (dir * self.batch + row) * n,
                };
                let state = |s: Option<&[f32]>| -> Vec<f64> {
                    (0..n).map(|i| s.map_or(0.0, |s| f64::from(s[at + i]))).collect()
                };
                let (mut h, mut c) = (state(h), state(c));
                let length = self.lengths.as_ref().map_or(self.steps, |lengths| lengths[row]);
                if length == 0 {
                    (h, c) = (vec![0.0; n], vec![0.0; n]);
                }
                for k in 0..length {
                    let backwards = dir == 1 || self.direction == "reverse";
                    let t = if backwards { length - 1 - k } else { k };
                    let from = match self.batch_first {
                        true => (row * self.steps + t) * self.width,
                        false => (t * self.batch + row) * self.width,
                    };
                    self.step(dir, &x[from..from + self.width], &mut h, &mut c);
                    let to = ((t * d + dir) * self.batch + row) * n;
                    y[to..to + n].copy_from_slice(&h);
                }
                last_h.extend(h);
                last_c.extend(c);
            }
        }
        [y, last_h, last_c]
    }

    fn step(&self, dir: usize, x: &[f32], h: &mut Vec<f64>, c: &mut [f64]) {
        let (n, gates) = (self.hidden, self.kind.gates());
        let dot = |weights: &[f32], row: usize, x: &[f64]| -> f64 {
            let width = x.len();
            let row = &weights[(dir * gates * n + row) * width..][..width];
            row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum()
        };
        let bias = |part: usize, row: usize| {
            let at = dir * 2 * gates * n + part * gates * n + row;
            self.b.as_ref().map_or(0.0, |b| f64::from(b[at]))
        };
        let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let from_x = |gate: usize, i: usize| dot(&self.w, gate * n + i, &x) + bias(0, gate * n + i);
        let from_h = |gate: usize, i: usize, h: &[f64]| {
            dot(&self.r, gate * n + i, h) + bias(1, gate * n + i)
        };
        let peephole = |part: usize, i: usize| {
            self.p.as_ref().map_or(0.0, |p| f64::from(p[(dir * 3 + part) * n + i]))
        };
        let clip = self.clip.map_or(f64::INFINITY, f64::from);
        let activate = |which: usize, x: f64| {
            let own = &self.activations.0[dir * self.kind.activations().len() + which];
            own.apply(if which < 2 { x.clamp(-clip, clip) } else { x })
        };
        let old = h.clone();
        match self.kind {
            Kind::Rnn => {
                *h = (0..n).map(|i| activate(0, from_x(0, i) + from_h(0, i, &old))).collect();
            }
            // Gates i, o, f, c; peepholes i, o, f.
            Kind::Lstm => {
                for i in 0..n {
                    let gate = |g: usize| from_x(g, i) + from_h(g, i, &old);
                    let input = activate(0, gate(0) + peephole(0, i) * c[i]);
                    let forget = activate(0, gate(2) + peephole(2, i) * c[i]);
                    let forget = if self.input_forget { 1.0 - input } else { forget };
                    c[i] = forget * c[i] + input * activate(1, gate(3));
                    let output = activate(0, gate(1) + peephole(1, i) * c[i]);
                    h[i] = output * activate(2, c[i]);
                }
            }
            // Gates z, r, h.
            Kind::Gru => {
                let reset: Vec<f64> =
                    (0..n).map(|i| activate(0, from_x(1, i) + from_h(1, i, &old))).collect();
                let kept: Vec<f64> = reset.iter().zip(&old).map(|(r, h)| r * h).collect();
                for i in 0..n {
                    let update = activate(0, from_x(0, i) + from_h(0, i, &old));
                    let recurrent = match self.linear_before_reset {
                        true => reset[i] * from_h(2, i, &old),
                        false => from_h(2, i, &kept),
                    };
                    let new = activate(1, from_x(2, i) + recurrent);
                    h[i] = (1.0 - update) * new + update * old[i];
                }
            }
        }
    }

    /// The lengths as the model takes them.
    pub(super) fn lengths_data(&self) -> Option<Data> {
        let lengths = self.lengths.as_ref()?;
        Some(Data::I32(lengths.iter().map(|&n| n as i32).collect()))
    }

    /// The outputs in the shapes of the model.
    pub(super) fn expected(&self, inputs: &[Data]) -> Vec<Vec<f64>> {
        let real = |data: &Data| match data {
            Data::F32(v) => v.clone(),
            other => panic!("{other:?}"),
        };
        let x = real(&inputs[0]);
        let states = if self.lengths.is_some() && self.states_given { 2 } else { 1 };
        let mut given = inputs[states..].iter().map(real);
        let mut state = |own: &Option<Vec<f32>>| match own {
            Some(_) if self.states_given => given.next(),
            own => own.clone(),
        };
        let (h, c) = (state(&self.h), state(&self.c));
        let [y, last_h, last_c] = self.reference(&x, h.as_deref(), c.as_deref());
        let (d, b, n) = (self.directions(), self.batch, self.hidden);
        // To batch, steps, directions, hidden.
        let turned = |y: Vec<f64>, steps: usize| -> Vec<f64> {
            if !self.batch_first {
                return y;
            }
            let mut all = Vec::new();
            for row in 0..b {
                for part in 0..steps * d {
                    all.extend_from_slice(&y[(part * b + row) * n..][..n]);
                }
            }
            all
        };
        let all = [turned(y, self.steps), turned(last_h, 1), turned(last_c, 1)];
        all.into_iter().zip(self.outputs).filter(|(_, used)| *used).map(|(o, _)| o).collect()
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Lstm => "LSTM",
            Self::Gru => "GRU",
            Self::Rnn => "RNN",
        }
    }

    fn gates(self) -> usize {
        match self {
            Self::Lstm => 4,
            Self::Gru => 3,
            Self::Rnn => 1,
        }
    }

    pub(super) fn activations(self) -> &'static [&'static str] {
        match self {
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
            Self::Gru => &["Sigmoid", "Tanh"],
            Self::Rnn => &["Tanh"],
        }
    }
}
