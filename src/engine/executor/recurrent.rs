//! Execution of recurrent layers.

use super::float::Sources;
use crate::engine::error::RunError;
use crate::engine::plan::{Lengths, RecurrentLayer, RecurrentStep};
use inferd_kernels::Scratch;
use inferd_kernels::float::{DynamicRun, Recurrent, Steps};

impl RecurrentStep {
    /// Checks the lengths of the sequences, if the run has them.
    ///
    /// # Errors
    /// A length that is not among the numbers of steps.
    pub(super) fn check(&self, lengths: Option<&[f32]>) -> Result<(), RunError> {
        let Some(lengths) = lengths.filter(|_| matches!(self.lengths, Lengths::Given)) else {
            return Ok(());
        };
        #[expect(clippy::cast_precision_loss, reason = "beyond 2^24 every float is a whole number")]
        let most = self.steps as f32;
        match lengths.iter().find(|&&length| !(0.0..=most).contains(&length)) {
            Some(length) => Err(RunError::Value(format!(
                "a sequence of {length} steps for a recurrent layer that takes at most {}",
                self.steps
            ))),
            None => Ok(()),
        }
    }

    /// Runs the layer for every direction and every sequence of the batch, from its initial state.
    pub(super) fn run(&self, sources: &Sources<'_>, to: &mut [f32], scratch: &mut Scratch) {
        let (batch, hidden, count) = (self.batch, self.hidden, self.directions.len());
        let states = count * batch * hidden;
        let (ys, rest) = to.split_at_mut(self.steps * states);
        let (hs, cs) = rest.split_at_mut(states);
        let mut given = sources.others.iter().copied().flatten();
        for (has, states) in self.initial.iter().zip([&mut *hs, &mut *cs]) {
            match if *has { given.next() } else { None } {
                Some(initial) => states.copy_from_slice(initial),
                None => states.fill(0.0),
            }
        }
        let given = given.next();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked before"
        )]
        let length = |b: usize| match &self.lengths {
            Lengths::Whole => self.steps,
            Lengths::Fixed(lengths) => lengths[b],
            Lengths::Given => given.map_or(self.steps, |lengths| lengths[b] as usize),
        };
        if !matches!(self.lengths, Lengths::Whole) {
            ys.fill(0.0);
        }
        for (d, (layer, reverse)) in self.directions.iter().enumerate() {
            let own = d * batch * hidden..(d + 1) * batch * hidden;
            let h = &mut hs[own.clone()];
            let c: &mut [f32] = if self.has_cells { &mut cs[own.clone()] } else { &mut [] };
            let y = &mut ys[own.start..];
            match layer {
                RecurrentLayer::Float(layer) => {
                    let run = Run { x: sources.first, length: &length, reverse: *reverse };
                    self.run_floats(layer, &run, [y, h, c], scratch);
                }
                RecurrentLayer::Dynamic(layer) => {
                    let (x, length) = (sources.first, &length);
                    let (reverse, y_stride) = (*reverse, states);
                    let mut run = DynamicRun { x, batch, length, reverse, y, y_stride };
                    layer.run(&mut run, h, c, scratch);
                }
            }
        }
    }

    /// Runs a layer of floats over one sequence after the other.
    fn run_floats(
        &self,
        layer: &Recurrent,
        run: &Run<'_>,
        [y, h, c]: [&mut [f32]; 3],
        scratch: &mut Scratch,
    ) {
        for (b, h) in h.chunks_exact_mut(self.hidden).enumerate() {
            let place = b * self.hidden;
            let count = (run.length)(b);
            let c = if c.is_empty() { &mut *c } else { &mut c[place..place + self.hidden] };
            if count == 0 {
                h.fill(0.0);
                c.fill(0.0);
                continue;
            }
            let steps = Steps {
                x: &run.x[b * self.input..],
                x_stride: self.batch * self.input,
                count,
                reverse: run.reverse,
                y: Some(&mut y[place..]),
                y_stride: self.directions.len() * self.batch * self.hidden,
            };
            layer.run(steps, h, c, scratch);
        }
    }
}

/// The input of a run in one direction.
struct Run<'a> {
    x: &'a [f32],
    length: &'a dyn Fn(usize) -> usize,
    reverse: bool,
}
