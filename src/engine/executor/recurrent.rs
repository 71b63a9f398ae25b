//! Execution of recurrent layers.

use super::float::Sources;
use crate::engine::plan::RecurrentStep;
use inferd_kernels::Scratch;
use inferd_kernels::float::Steps;

impl RecurrentStep {
    /// Runs the layer for every direction and every sequence of the batch, from its initial state.
    pub(super) fn run(&self, sources: &Sources<'_>, to: &mut [f32], scratch: &mut Scratch) {
        let (batch, hidden, count) = (self.batch, self.hidden, self.directions.len());
        let all = self.steps * count * batch * hidden;
        let states = count * batch * hidden;
        let (ys, rest) = to.split_at_mut(all);
        let (hs, cs) = rest.split_at_mut(states);
        let mut given = [sources.second, sources.third].into_iter().flatten();
        for (has, states) in self.initial.iter().zip([&mut *hs, &mut *cs]) {
            match given.next_if_given(*has) {
                Some(initial) => states.copy_from_slice(initial),
                None => states.fill(0.0),
            }
        }
        for (d, (layer, reverse)) in self.directions.iter().enumerate() {
            for b in 0..batch {
                let place = (d * batch + b) * hidden;
                let steps = Steps {
                    x: &sources.first[b * self.input..],
                    x_stride: batch * self.input,
                    count: self.steps,
                    reverse: *reverse,
                    y: Some(&mut ys[place..]),
                    y_stride: states,
                };
                let c: &mut [f32] =
                    if self.has_cells { &mut cs[place..place + hidden] } else { &mut [] };
                layer.run(steps, &mut hs[place..place + hidden], c, scratch);
            }
        }
    }
}

/// Takes the next of the sources that are there.
trait Given<'a> {
    fn next_if_given(&mut self, given: bool) -> Option<&'a [f32]>;
}

impl<'a, I: Iterator<Item = &'a [f32]>> Given<'a> for I {
    fn next_if_given(&mut self, given: bool) -> Option<&'a [f32]> {
        if given { self.next() } else { None }
    }
}
