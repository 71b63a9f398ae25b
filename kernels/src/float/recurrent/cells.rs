//! What a step computes element by element.
use super::super::super::isa::Isa;
use super::super::math::fma;
use super::super::unary::{UnaryOp, unary_in_place};

/// The elementwise part of a cell.
#[derive(Clone, Debug)]
pub(super) struct Elementwise {
    isa: Isa,
    /// f, g, h; the last is repeated if there are fewer.
    activations: [UnaryOp; 3],
    clip: Option<f32>,
    /// Those of i, o, f, or empty.
    peepholes: Vec<f32>,
}

impl Elementwise {
    pub(super) fn new(
        isa: Isa,
        activations: &[UnaryOp],
        clip: Option<f32>,
        peepholes: Option<&[f32]>,
    ) -> Self {
        let nth = |i: usize| activations.get(i).or(activations.last()).copied();
        let activations = [0, 1, 2].map(|i| nth(i).unwrap_or(UnaryOp::Tanh));
        let peepholes = peepholes.map_or_else(Vec::new, <[f32]>::to_vec);
        Self { isa, activations, clip, peepholes }
    }

    /// Clips and applies activation `which`.
    fn activate(&self, which: usize, values: &mut [f32]) {
        if let Some(clip) = self.clip {
            unary_in_place(self.isa, UnaryOp::Clip { low: -clip, high: clip }, values);
        }
        unary_in_place(self.isa, self.activations[which], values);
    }

    /// Adds the peephole of gate `which` (i, o, f).
    fn peep(&self, which: usize, c: &[f32], gate: &mut [f32]) {
        let hidden = c.len();
        if let Some(weights) = self.peepholes.get(which * hidden..(which + 1) * hidden) {
            self.isa.run(
                #[inline(always)]
                || {
                    for ((gate, &c), &p) in gate.iter_mut().zip(c).zip(weights) {
                        *gate = fma(p, c, *gate);
                    }
                },
            );
        }
    }

    /// C = f C + i g (the first product fused); H = o h(C). The gates are i, o, f, c.
    pub(super) fn lstm(
        &self,
        input_forget: bool,
        gates: &mut [f32],
        h: &mut [f32],
        c: &mut [f32],
        work: &mut [f32],
    ) {
        let hidden = h.len();
        let whole = self.peepholes.is_empty() && !input_forget;
        if whole {
            self.activate(0, &mut gates[..3 * hidden]);
        }
        let (i, rest) = gates.split_at_mut(hidden);
        let (o, rest) = rest.split_at_mut(hidden);
        let (f, g) = rest.split_at_mut(hidden);
        if !whole {
            self.peep(0, c, i);
            self.activate(0, i);
            self.peep(2, c, f);
            self.activate(0, f);
        }
        if input_forget {
            f.iter_mut().zip(&*i).for_each(|(f, &i)| *f = 1.0 - i);
        }
        self.activate(1, g);
        self.isa.run(
            #[inline(always)]
            || {
                let gates = i.iter().zip(f.iter()).zip(g.iter());
                for (c, ((&i, &f), &g)) in c.iter_mut().zip(gates) {
                    *c = fma(f, *c, i * g);
                }
            },
        );
        if !whole {
            self.peep(1, c, o);
            self.activate(0, o);
        }
        work.copy_from_slice(c);
        // Without the clip, as in ONNX Runtime: the bounds are those of gates.
        unary_in_place(self.isa, self.activations[2], work);
        for ((h, &o), &c) in h.iter_mut().zip(&*o).zip(&*work) {
            *h = o * c;
        }
    }

    /// Activates the gates z and r.
    pub(super) fn gru_gates(&self, gates: &mut [f32]) {
        self.activate(0, gates);
    }

    /// Writes r H.
    pub(super) fn gru_reset_state(&self, r: &[f32], h: &[f32], out: &mut [f32]) {
        out.iter_mut().zip(r.iter().zip(h)).for_each(|(y, (&r, &h))| *y = r * h);
    }

    /// Replaces a candidate's product of the state by `start + r product`, fused.
    pub(super) fn gru_reset_product(&self, r: &[f32], start: &[f32], candidate: &mut [f32]) {
        self.isa.run(
            #[inline(always)]
            || {
                for ((y, &r), &start) in candidate.iter_mut().zip(r).zip(start) {
                    *y = fma(r, *y, start);
                }
            },
        );
    }

    /// H = (1 - z) candidate + z H, the last product fused.
    pub(super) fn gru(&self, z: &[f32], candidate: &mut [f32], h: &mut [f32]) {
        self.activate(1, candidate);
        self.isa.run(
            #[inline(always)]
            || {
                for ((h, &z), &candidate) in h.iter_mut().zip(z).zip(&*candidate) {
                    *h = fma(z, *h, (1.0 - z) * candidate);
                }
            },
        );
    }

    pub(super) fn rnn(&self, gate: &mut [f32], h: &mut [f32]) {
        self.activate(0, gate);
        h.copy_from_slice(gate);
    }
}
