//! From a draft to a plan: steps that nobody needs go, and buffers share memory.

use super::draft::{Buffer, Draft, Holds};
use crate::engine::float::FloatGraph;
use crate::engine::plan::{Action, Drain, Feed, Plan, Span, Step, Tail};
use crate::engine::view::Place;
use crate::tensor::TensorSpec;
use std::collections::{HashMap, HashSet};

/// `direct` maps a buffer to the output that stands for it.
pub(super) fn plan(draft: Draft, regions: Vec<FloatGraph>, direct: &HashMap<usize, usize>) -> Plan {
    let mut steps = draft.steps;
    for step in &mut steps {
        each_place(step, &mut |place, _| {
            if let Place::Buffer(b) = place
                && let Some(&output) = direct.get(b)
            {
                *place = Place::Output(output);
            }
        });
    }
    let mut steps = needed(steps);
    let (bytes, floats) = share(&mut steps, &draft.buffers);
    let scratch = steps.iter().map(|s| s.action.scratch_bytes()).max();
    let scales = steps.iter().map(|s| match &s.action {
        Action::Product(product) => match &product.tail {
            Tail::Float { scales, .. } if product.slot.is_some() => scales.len(),
            _ => 0,
        },
        _ => 0,
    });
    Plan {
        isa: draft.isa,
        most_scales: scales.max().unwrap_or(0),
        scratch_bytes: scratch.unwrap_or(0),
        steps,
        constants: draft.constants,
        regions,
        bytes,
        floats,
        slots: draft.slots,
        others: draft.others,
    }
}

/// A plan of one region, between the model's inputs and its outputs.
pub(super) fn whole(mut draft: Draft, region: FloatGraph, inputs: &[TensorSpec]) -> Plan {
    let nowhere = Span { place: Place::Constant(usize::MAX), len: 0 };
    let feed = |(i, spec): (usize, &TensorSpec)| Feed {
        span: Span { place: Place::Input(i), len: 0 },
        dtype: spec.dtype,
        shape: spec.shape.clone(),
        other: None,
    };
    let inputs = inputs.iter().enumerate().map(feed).collect();
    let outputs = (0..region.outputs.len()).map(|i| vec![Drain::Output(i)]).collect();
    let action = Action::Region { index: 0, inputs, outputs };
    draft.steps.push(Step { action, from: Vec::new(), to: nowhere });
    plan(draft, vec![region], &HashMap::new())
}

/// Whether a step reads a place or writes it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Reads,
    Writes,
}

/// Shows every place of a step.
fn each_place(step: &mut Step, show: &mut dyn FnMut(&mut Place, Use)) {
    step.from.iter_mut().for_each(|s| show(&mut s.place, Use::Reads));
    show(&mut step.to.place, Use::Writes);
    if let Action::Region { inputs, outputs, .. } = &mut step.action {
        inputs.iter_mut().for_each(|f| show(&mut f.span.place, Use::Reads));
        for drain in outputs.iter_mut().flatten() {
            if let Drain::Span(Span { place, .. }, _) = drain {
                show(place, Use::Writes);
            }
        }
    }
}

/// The steps whose results are used, found from the end.
fn needed(steps: Vec<Step>) -> Vec<Step> {
    let mut used = HashSet::new();
    let mut kept: Vec<Step> = Vec::new();
    for mut step in steps.into_iter().rev() {
        let region = matches!(step.action, Action::Region { .. });
        let wanted = region
            || match step.to.place {
                Place::Buffer(b) => used.contains(&b),
                Place::Output(_) | Place::Input(_) | Place::Constant(_) => true,
            };
        if wanted {
            each_place(&mut step, &mut |place, kind| {
                if let (Place::Buffer(b), Use::Reads) = (&*place, kind) {
                    used.insert(*b);
                }
            });
            kept.push(step);
        }
    }
    kept.reverse();
    kept
}

/// Gives every buffer a slot that nobody else needs while it lives. Returns the lengths of the
/// slots of bytes and of floats.
fn share(steps: &mut [Step], buffers: &[Buffer]) -> (Vec<usize>, Vec<usize>) {
    let mut last = HashMap::new();
    for (i, step) in steps.iter_mut().enumerate() {
        each_place(step, &mut |place, _| {
            if let Place::Buffer(b) = place {
                last.insert(*b, i);
            }
        });
    }
    let mut slots =
        Slots { bytes: Pool::default(), floats: Pool::default(), given: HashMap::new() };
    for (i, step) in steps.iter_mut().enumerate() {
        let mut named = Vec::new();
        each_place(step, &mut |place, _| {
            if let Place::Buffer(b) = place {
                named.push(*b);
                *place = Place::Buffer(slots.slot(*b, buffers));
            }
        });
        for buffer in named {
            if last.get(&buffer) == Some(&i) {
                slots.release(buffer, buffers);
            }
        }
    }
    (slots.bytes.lengths, slots.floats.lengths)
}

struct Slots {
    bytes: Pool,
    floats: Pool,
    given: HashMap<usize, usize>,
}

#[derive(Default)]
struct Pool {
    lengths: Vec<usize>,
    free: Vec<usize>,
}

impl Slots {
    fn slot(&mut self, buffer: usize, buffers: &[Buffer]) -> usize {
        if let Some(&slot) = self.given.get(&buffer) {
            return slot;
        }
        let Some(Buffer { holds, len }) = buffers.get(buffer).copied() else { return 0 };
        let slot = self.pool(holds).take(len);
        self.given.insert(buffer, slot);
        slot
    }

    /// A buffer that is named twice by its last step is released once.
    fn release(&mut self, buffer: usize, buffers: &[Buffer]) {
        if let (Some(slot), Some(b)) = (self.given.remove(&buffer), buffers.get(buffer)) {
            self.pool(b.holds).free.push(slot);
        }
    }

    fn pool(&mut self, holds: Holds) -> &mut Pool {
        match holds {
            Holds::Bytes => &mut self.bytes,
            Holds::Floats => &mut self.floats,
        }
    }
}

impl Pool {
    /// The smallest free slot that is long enough, else the longest made longer, else a new one.
    fn take(&mut self, len: usize) -> usize {
        let length = |slot: &usize| self.lengths.get(*slot).copied().unwrap_or(0);
        let fits = self.free.iter().filter(|s| length(s) >= len).min_by_key(|s| length(s));
        let chosen = fits.or_else(|| self.free.iter().max_by_key(|s| length(s))).copied();
        match chosen {
            Some(slot) => {
                self.free.retain(|s| *s != slot);
                self.lengths.iter_mut().skip(slot).take(1).for_each(|l| *l = len.max(*l));
                slot
            }
            None => {
                self.lengths.push(len);
                self.lengths.len() - 1
            }
        }
    }
}
