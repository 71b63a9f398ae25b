//! Runs a plan. Nothing is allocated here but by the float runtime.
#![expect(
    clippy::indexing_slicing,
    reason = "places and lengths were fixed when the plan was made; a slip must panic, not wrap"
)]

mod product;

use super::error::RunError;
use super::plan::{BufferSlice, Epilogue, Operation, Plan, RegionInput, RegionOutput, Step};
use super::tract::{self, FloatState, FloatValue};
use super::view::Place;
use crate::tensor::{Data, Dtype, Tensor};
use inferd_kernels::{self as kernels, Scratch};

/// The memory of one run, kept from run to run.
pub(super) struct Memory {
    bytes: Vec<Vec<i8>>,
    floats: Vec<Vec<f32>>,
    /// Scale and zero point measured last.
    slots: Vec<(f32, i8)>,
    others: Vec<Option<FloatValue>>,
    states: Vec<FloatState>,
    scales: Vec<f32>,
    scratch: Scratch,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Memory {
    pub(super) fn new(plan: &Plan) -> Result<Self, RunError> {
        Ok(Self {
            bytes: plan.bytes.iter().map(|&n| vec![0; n]).collect(),
            floats: plan.floats.iter().map(|&n| vec![0.0; n]).collect(),
            slots: vec![(1.0, 0); plan.dynamic_ranges],
            others: vec![None; plan.opaque_values],
            states: plan.regions.iter().map(|r| r.state()).collect::<Result<_, _>>()?,
            scales: vec![0.0; plan.max_scales],
            scratch: Scratch::with_bytes(plan.scratch_bytes),
        })
    }

    /// Runs the plan once.
    pub(super) fn run(
        &mut self,
        plan: &Plan,
        inputs: &[Tensor],
        outputs: &mut [Tensor],
    ) -> Result<(), RunError> {
        let mut run = Run { plan, memory: self, inputs, outputs };
        plan.steps.iter().try_for_each(|step| run.step(step))
    }
}

struct Run<'a> {
    plan: &'a Plan,
    memory: &'a mut Memory,
    inputs: &'a [Tensor],
    outputs: &'a mut [Tensor],
}

impl Run<'_> {
    fn step(&mut self, step: &Step) -> Result<(), RunError> {
        match &step.operation {
            Operation::Region { index, inputs, outputs } => self.region(*index, inputs, outputs)?,
            Operation::ToUnsigned => {
                let mut to = self.take_unsigned(step.to);
                kernels::u8_from_s8(self.bytes(step.from[0]), &mut to);
                self.put_unsigned(step.to, to);
            }
            Operation::Dequantize { .. }
            | Operation::TableFloat(_)
            | Operation::CopyFloat(_)
            | Operation::Softmax { quantized: None, .. } => self.write_floats(step),
            Operation::Product(product) if matches!(product.epilogue, Epilogue::Float { .. }) => {
                self.write_floats(step);
            }
            _ => self.write_bytes(step),
        }
        Ok(())
    }

    /// A step that writes bytes.
    fn write_bytes(&mut self, step: &Step) {
        let isa = self.plan.isa;
        let mut taken = self.take_bytes(step.to);
        let to = &mut taken[..step.to.len];
        match &step.operation {
            Operation::Quantize { scale, fit } => {
                kernels::quantize(isa, *scale, *fit, self.floats(step.from[0]), to);
            }
            Operation::QuantizeDynamic { slot } => {
                self.memory.slots[*slot] =
                    kernels::quantize_dynamic(isa, self.floats(step.from[0]), to);
            }
            Operation::FromUnsigned => {
                if let Place::Input(i) = step.from[0].place
                    && let Data::U8(from) = &self.inputs[i].data
                {
                    kernels::s8_from_u8(from, to);
                }
            }
            Operation::Table(table) => table.run(self.bytes(step.from[0]), to),
            Operation::Copy { strided, table } => {
                let from = self.bytes(step.from[0]);
                match table {
                    None => strided.bytes(from, to),
                    Some(table) => strided.look_up(table, from, to),
                }
            }
            Operation::Fill(value) => to.fill(*value),
            Operation::Product(product) => self.product(product, step, Some(&mut *to), None),
            Operation::AveragePool { pool, batch } => {
                // The scratch memory moves out so that the input can be borrowed beside it.
                let mut scratch =
                    std::mem::replace(&mut self.memory.scratch, Scratch::with_bytes(0));
                let from = self.bytes(step.from[0]);
                for (from, to) in parts(from, to, *batch) {
                    pool.run(isa, from, to, &mut scratch);
                }
                self.memory.scratch = scratch;
            }
            Operation::MaxPool { window, batch } => {
                for (from, to) in parts(self.bytes(step.from[0]), to, *batch) {
                    kernels::max_pool(isa, window, from, to);
                }
            }
            Operation::Add { terms, fit } => {
                let [a, b] = [self.bytes(step.from[0]), self.bytes(step.from[1])];
                kernels::add(isa, *terms, a, b, *fit, to);
            }
            Operation::Mul { zeros, ratio, fit } => {
                let [a, b] = [self.bytes(step.from[0]), self.bytes(step.from[1])];
                kernels::mul(isa, *zeros, *ratio, a, b, *fit, to);
            }
            Operation::Softmax { softmax, row, quantized: Some((scale, fit)) } => {
                softmax.run_s8(*row, *scale, *fit, self.bytes(step.from[0]), to);
            }
            _ => unreachable!("steps that write floats go elsewhere"),
        }
        self.put_bytes(step.to, taken);
    }

    /// A step that writes floats.
    fn write_floats(&mut self, step: &Step) {
        let mut taken = self.take_floats(step.to);
        let to = &mut taken[..step.to.len];
        match &step.operation {
            Operation::Dequantize { scale, zero } => {
                kernels::dequantize(self.plan.isa, *scale, *zero, self.bytes(step.from[0]), to);
            }
            Operation::TableFloat(table) => kernels::look_up(table, self.bytes(step.from[0]), to),
            Operation::CopyFloat(strided) => strided.floats(self.floats(step.from[0]), to),
            Operation::Softmax { softmax, row, .. } => {
                softmax.run(*row, self.bytes(step.from[0]), to);
            }
            Operation::Product(product) => self.product(product, step, None, Some(&mut *to)),
            _ => unreachable!("steps that write bytes go elsewhere"),
        }
        self.put_floats(step.to, taken);
    }

    fn region(
        &mut self,
        index: usize,
        inputs: &[RegionInput],
        outputs: &[Vec<RegionOutput>],
    ) -> Result<(), RunError> {
        let values = inputs.iter().map(|feed| self.feed(feed)).collect::<Result<_, _>>()?;
        let results = tract::run(&mut self.memory.states[index], values)?;
        for (result, drains) in results.into_iter().zip(outputs) {
            for drain in drains {
                self.drain(&result, drain)?;
            }
        }
        Ok(())
    }

    fn feed(&self, feed: &RegionInput) -> Result<FloatValue, RunError> {
        if let Some(other) = feed.opaque {
            let value = self.memory.others[other].clone();
            return value.ok_or_else(|| RunError::Float("a value was not made yet".into()));
        }
        if let Place::Input(i) = feed.slice.place {
            return tract::to_value(&feed.shape, &self.inputs[i].data);
        }
        match feed.dtype {
            Dtype::F32 => tract::slice_to_value(&feed.shape, self.floats(feed.slice)),
            Dtype::U8 => tract::unsigned_to_value(&feed.shape, self.bytes(feed.slice)),
            _ => tract::slice_to_value(&feed.shape, self.bytes(feed.slice)),
        }
    }

    fn drain(&mut self, result: &FloatValue, drain: &RegionOutput) -> Result<(), RunError> {
        match *drain {
            RegionOutput::Opaque(other) => self.memory.others[other] = Some(result.clone()),
            RegionOutput::Output(i) => tract::copy_to_data(result, &mut self.outputs[i].data)?,
            RegionOutput::Slice(span, Dtype::F32) => {
                let mut to = self.take_floats(span);
                let copied = tract::copy_to_slice(result, &mut to[..span.len]);
                self.put_floats(span, to);
                copied?;
            }
            RegionOutput::Slice(span, dtype) => {
                let mut to = self.take_bytes(span);
                let copied = match dtype {
                    Dtype::U8 => tract::copy_to_unsigned(result, &mut to[..span.len]),
                    _ => tract::copy_to_slice(result, &mut to[..span.len]),
                };
                self.put_bytes(span, to);
                copied?;
            }
        }
        Ok(())
    }

    fn bytes(&self, span: BufferSlice) -> &[i8] {
        let whole: &[i8] = match span.place {
            Place::Buffer(i) => &self.memory.bytes[i],
            Place::Constant(i) => &self.plan.constants[i],
            Place::Input(i) => signed(&self.inputs[i]),
            Place::Output(i) => signed(&self.outputs[i]),
        };
        &whole[..span.len]
    }

    fn floats(&self, span: BufferSlice) -> &[f32] {
        let whole: &[f32] = match span.place {
            Place::Buffer(i) => &self.memory.floats[i],
            Place::Constant(_) => &[],
            Place::Input(i) => real(&self.inputs[i]),
            Place::Output(i) => real(&self.outputs[i]),
        };
        &whole[..span.len]
    }

    /// Moves a destination out, so that sources can be borrowed while it is written.
    fn take_bytes(&mut self, span: BufferSlice) -> Vec<i8> {
        match span.place {
            Place::Buffer(i) => std::mem::take(&mut self.memory.bytes[i]),
            Place::Output(i) => match &mut self.outputs[i].data {
                Data::I8(v) => std::mem::take(v),
                _ => Vec::new(),
            },
            Place::Input(_) | Place::Constant(_) => Vec::new(),
        }
    }

    fn put_bytes(&mut self, span: BufferSlice, taken: Vec<i8>) {
        match span.place {
            Place::Buffer(i) => self.memory.bytes[i] = taken,
            Place::Output(i) => self.outputs[i].data = Data::I8(taken),
            Place::Input(_) | Place::Constant(_) => {}
        }
    }

    fn take_floats(&mut self, span: BufferSlice) -> Vec<f32> {
        match span.place {
            Place::Buffer(i) => std::mem::take(&mut self.memory.floats[i]),
            Place::Output(i) => match &mut self.outputs[i].data {
                Data::F32(v) => std::mem::take(v),
                _ => Vec::new(),
            },
            Place::Input(_) | Place::Constant(_) => Vec::new(),
        }
    }

    fn put_floats(&mut self, span: BufferSlice, taken: Vec<f32>) {
        match span.place {
            Place::Buffer(i) => self.memory.floats[i] = taken,
            Place::Output(i) => self.outputs[i].data = Data::F32(taken),
            Place::Input(_) | Place::Constant(_) => {}
        }
    }

    fn take_unsigned(&mut self, span: BufferSlice) -> Vec<u8> {
        match span.place {
            Place::Output(i) => match &mut self.outputs[i].data {
                Data::U8(v) => std::mem::take(v),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn put_unsigned(&mut self, span: BufferSlice, taken: Vec<u8>) {
        if let Place::Output(i) = span.place {
            self.outputs[i].data = Data::U8(taken);
        }
    }
}

fn signed(tensor: &Tensor) -> &[i8] {
    match &tensor.data {
        Data::I8(v) => v,
        _ => &[],
    }
}

fn real(tensor: &Tensor) -> &[f32] {
    match &tensor.data {
        Data::F32(v) => v,
        _ => &[],
    }
}

fn parts<'a>(
    from: &'a [i8],
    to: &'a mut [i8],
    batch: usize,
) -> impl Iterator<Item = (&'a [i8], &'a mut [i8])> {
    let (n, m) = (from.len() / batch, to.len() / batch);
    from.chunks_exact(n).zip(to.chunks_exact_mut(m))
}
