//! From a draft to a plan: unused steps are removed, and buffers share memory.

use super::plan_builder::{Buffer, ElementKind, PlanBuilder};
use crate::engine::plan::{
    BufferSlice, ClassicalInput, Epilogue, Operation, Plan, RegionInput, RegionOutput, Step,
};
use crate::engine::tensor_view::BufferRef;
use crate::engine::tract::FloatGraph;
use crate::tensor::TensorSpec;
use std::collections::{HashMap, HashSet};

/// The plan of a builder. `direct` maps a buffer to the output that replaces it.
pub(super) fn plan(
    builder: PlanBuilder,
    regions: Vec<FloatGraph>,
    direct: &HashMap<usize, usize>,
) -> Plan {
    let mut steps = builder.steps;
    for step in &mut steps {
        each_place(step, &mut |buffer, _| {
            if let BufferRef::Buffer(b) = buffer
                && let Some(&output) = direct.get(b)
            {
                *buffer = BufferRef::Output(output);
            }
        });
    }
    let mut steps = needed(steps);
    let (bytes, floats) = share(&mut steps, &builder.buffers);
    let scratch = steps.iter().map(|s| s.operation.scratch_bytes()).max();
    let scales = steps.iter().map(|s| match &s.operation {
        Operation::Product(product) => match &product.epilogue {
            Epilogue::Float { scales, .. } if product.slot.is_some() => scales.len(),
            _ => 0,
        },
        _ => 0,
    });
    Plan {
        isa: builder.isa,
        max_scales: scales.max().unwrap_or(0),
        scratch_bytes: scratch.unwrap_or(0),
        steps,
        constants: builder.constants,
        float_constants: builder.float_constants,
        regions,
        bytes,
        floats,
        dynamic_ranges: builder.dynamic_ranges,
        opaque_values: builder.opaque_values,
    }
}

/// A plan of one region between the model's inputs and outputs.
pub(super) fn whole(mut builder: PlanBuilder, region: FloatGraph, inputs: &[TensorSpec]) -> Plan {
    let nowhere = BufferSlice { buffer: BufferRef::Constant(usize::MAX), len: 0 };
    let input = |(i, spec): (usize, &TensorSpec)| RegionInput {
        slice: BufferSlice { buffer: BufferRef::Input(i), len: 0 },
        dtype: spec.dtype,
        shape: spec.shape.clone(),
        opaque: None,
    };
    let inputs = inputs.iter().enumerate().map(input).collect();
    let outputs = (0..region.outputs.len()).map(|i| vec![RegionOutput::Output(i)]).collect();
    let operation = Operation::Region { index: 0, inputs, outputs };
    builder.steps.push(Step { operation, from: Vec::new(), to: nowhere });
    plan(builder, vec![region], &HashMap::new())
}

/// Whether a step reads a place or writes it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Reads,
    Writes,
}

/// Calls `show` with every place of a step.
fn each_place(step: &mut Step, show: &mut dyn FnMut(&mut BufferRef, Use)) {
    step.from.iter_mut().for_each(|s| show(&mut s.buffer, Use::Reads));
    show(&mut step.to.buffer, Use::Writes);
    match &mut step.operation {
        Operation::Region { inputs, .. } => {
            inputs.iter_mut().for_each(|f| show(&mut f.slice.buffer, Use::Reads));
        }
        Operation::Classical(step) => {
            for input in &mut step.inputs {
                if let ClassicalInput::Buffer(input) = input {
                    show(&mut input.slice.buffer, Use::Reads);
                }
            }
        }
        _ => {}
    }
    for output in step.operation.destinations_mut().into_iter().flatten().flatten() {
        if let RegionOutput::Slice(BufferSlice { buffer, .. }, _) = output {
            show(buffer, Use::Writes);
        }
    }
}

/// The steps whose results are used, found from the last to the first.
fn needed(steps: Vec<Step>) -> Vec<Step> {
    let mut used = HashSet::new();
    let mut kept: Vec<Step> = Vec::new();
    for mut step in steps.into_iter().rev() {
        let region = step.operation.destinations_mut().is_some();
        let wanted = region
            || match step.to.buffer {
                BufferRef::Buffer(b) => used.contains(&b),
                BufferRef::Output(_) | BufferRef::Input(_) | BufferRef::Constant(_) => true,
            };
        if wanted {
            each_place(&mut step, &mut |buffer, kind| {
                if let (BufferRef::Buffer(b), Use::Reads) = (&*buffer, kind) {
                    used.insert(*b);
                }
            });
            kept.push(step);
        }
    }
    kept.reverse();
    kept
}

/// Assigns every buffer a slot that no other buffer uses during its life. Returns the lengths of
/// the slots of bytes and of floats.
fn share(steps: &mut [Step], buffers: &[Buffer]) -> (Vec<usize>, Vec<usize>) {
    let mut last = HashMap::new();
    for (i, step) in steps.iter_mut().enumerate() {
        each_place(step, &mut |buffer, _| {
            if let BufferRef::Buffer(b) = buffer {
                last.insert(*b, i);
            }
        });
    }
    let mut slots =
        Slots { bytes: Pool::default(), floats: Pool::default(), given: HashMap::new() };
    for (i, step) in steps.iter_mut().enumerate() {
        let mut named = Vec::new();
        each_place(step, &mut |buffer, _| {
            if let BufferRef::Buffer(b) = buffer {
                named.push(*b);
                *buffer = BufferRef::Buffer(slots.slot(*b, buffers));
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
        let Some(Buffer { kind, len }) = buffers.get(buffer).copied() else { return 0 };
        let slot = self.pool(kind).take(len);
        self.given.insert(buffer, slot);
        slot
    }

    /// Releases the slot of a buffer, once.
    fn release(&mut self, buffer: usize, buffers: &[Buffer]) {
        if let (Some(slot), Some(b)) = (self.given.remove(&buffer), buffers.get(buffer)) {
            self.pool(b.kind).free.push(slot);
        }
    }

    fn pool(&mut self, kind: ElementKind) -> &mut Pool {
        match kind {
            ElementKind::Bytes => &mut self.bytes,
            ElementKind::Floats => &mut self.floats,
        }
    }
}

impl Pool {
    /// Takes the smallest free slot that is long enough, or else extends the longest, or adds a new
    /// one.
    fn take(&mut self, len: usize) -> usize {
        let length = |slot: &usize| self.lengths.get(*slot).copied().unwrap_or(0);
        let fits = self.free.iter().filter(|s| length(s) >= len).min_by_key(|s| length(s));
        let chosen = fits.or_else(|| self.free.iter().max_by_key(|s| length(s))).copied();
        match chosen {
            Some(slot) => {
                self.free.retain(|s| *s != slot);
                if let Some(length) = self.lengths.get_mut(slot) {
                    *length = len.max(*length);
                }
                slot
            }
            None => {
                self.lengths.push(len);
                self.lengths.len() - 1
            }
        }
    }
}
