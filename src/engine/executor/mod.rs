//! Executes a plan. Only the float runtime allocates during a run.
#![expect(
    clippy::indexing_slicing,
    reason = "buffers and lengths were fixed when the plan was made; an error must panic, not wrap"
)]

mod classical;
mod float;
mod product;
mod recurrent;

use super::error::RunError;
use super::plan::{BufferSlice, Epilogue, Operation, Plan, RegionInput, RegionOutput, Step};
use super::tensor_view::BufferRef;
use super::tract::{self, FloatState, FloatValue};
use crate::tensor::{Data, Dtype, Tensor};
use inferd_kernels::{self as kernels, Scratch};

/// The working memory of an execution, reused from run to run.
pub(super) struct ExecutionState {
    bytes: Vec<Vec<i8>>,
    floats: Vec<Vec<f32>>,
    /// The scales and zero points measured last.
    dynamic_ranges: Vec<(f32, i8)>,
    opaque_values: Vec<Option<FloatValue>>,
    /// The results of each operator of a classical model.
    classical: Vec<Vec<Data>>,
    states: Vec<FloatState>,
    scales: Vec<f32>,
    scratch: Scratch,
}

impl std::fmt::Debug for ExecutionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecutionState").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl ExecutionState {
    /// Allocates the buffers of a plan.
    pub(super) fn new(plan: &Plan) -> Result<Self, RunError> {
        Ok(Self {
            bytes: plan.bytes.iter().map(|&n| vec![0; n]).collect(),
            floats: plan.floats.iter().map(|&n| vec![0.0; n]).collect(),
            dynamic_ranges: vec![(1.0, 0); plan.dynamic_ranges],
            opaque_values: vec![None; plan.opaque_values],
            classical: plan.steps.iter().filter_map(classical::memory).collect(),
            states: plan.regions.iter().map(|r| r.state()).collect::<Result<_, _>>()?,
            scales: vec![0.0; plan.max_scales],
            scratch: Scratch::with_bytes(plan.scratch_bytes),
        })
    }

    /// Runs a plan once.
    pub(super) fn run(
        &mut self,
        plan: &Plan,
        inputs: &[Tensor],
        outputs: &mut [Tensor],
    ) -> Result<(), RunError> {
        let mut executor = Executor { plan, state: self, inputs, outputs };
        plan.steps.iter().try_for_each(|step| executor.step(step))
    }
}

/// One run of a plan.
struct Executor<'a> {
    plan: &'a Plan,
    state: &'a mut ExecutionState,
    inputs: &'a [Tensor],
    outputs: &'a mut [Tensor],
}

impl Executor<'_> {
    /// Executes one step.
    fn step(&mut self, step: &Step) -> Result<(), RunError> {
        match &step.operation {
            Operation::Region { index, inputs, outputs } => self.region(*index, inputs, outputs)?,
            Operation::Classical(step) => self.classical(step)?,
            Operation::ToUnsigned => {
                let mut to = self.take::<u8>(step.to);
                kernels::u8_from_s8(self.bytes(step.from[0]), &mut to);
                self.put(step.to, to);
            }
            Operation::Float(operation) => {
                self.check_floats(operation, step)?;
                self.write_floats(step);
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

    /// Executes a step that writes bytes.
    fn write_bytes(&mut self, step: &Step) {
        let isa = self.plan.isa;
        let mut taken = self.take::<i8>(step.to);
        let to = &mut taken[..step.to.len];
        match &step.operation {
            Operation::Quantize { scale, fit } => {
                kernels::quantize(isa, *scale, *fit, self.floats(step.from[0]), to);
            }
            Operation::QuantizeDynamic { slot } => {
                self.state.dynamic_ranges[*slot] =
                    kernels::quantize_dynamic(isa, self.floats(step.from[0]), to);
            }
            Operation::FromUnsigned => {
                if let BufferRef::Input(i) = step.from[0].buffer
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
                    std::mem::replace(&mut self.state.scratch, Scratch::with_bytes(0));
                let from = self.bytes(step.from[0]);
                for (from, to) in parts(from, to, *batch) {
                    pool.run(isa, from, to, &mut scratch);
                }
                self.state.scratch = scratch;
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
            _ => unreachable!("write_floats executes steps that write floats"),
        }
        self.put(step.to, taken);
    }

    /// Executes a step that writes floats.
    fn write_floats(&mut self, step: &Step) {
        let mut taken = self.take::<f32>(step.to);
        let to = &mut taken[..step.to.len];
        match &step.operation {
            Operation::Dequantize { scale, zero } => {
                kernels::dequantize(self.plan.isa, *scale, *zero, self.bytes(step.from[0]), to);
            }
            Operation::TableFloat(table) => kernels::look_up(table, self.bytes(step.from[0]), to),
            Operation::CopyFloat(strided) => strided.floats(self.floats(step.from[0]), to),
            Operation::Float(operation) => self.float(operation, step, to),
            Operation::Softmax { softmax, row, .. } => {
                softmax.run(*row, self.bytes(step.from[0]), to);
            }
            Operation::Product(product) => self.product(product, step, None, Some(&mut *to)),
            _ => unreachable!("write_bytes executes steps that write bytes"),
        }
        self.put(step.to, taken);
    }

    /// Runs a region in the float runtime.
    fn region(
        &mut self,
        index: usize,
        inputs: &[RegionInput],
        outputs: &[Vec<RegionOutput>],
    ) -> Result<(), RunError> {
        let values = inputs.iter().map(|input| self.input(input)).collect::<Result<_, _>>()?;
        let results = tract::run(&mut self.state.states[index], values)?;
        for (result, destinations) in results.into_iter().zip(outputs) {
            for destination in destinations {
                self.store(&result, destination)?;
            }
        }
        Ok(())
    }

    /// Converts an input of a region.
    fn input(&self, input: &RegionInput) -> Result<FloatValue, RunError> {
        if let Some(other) = input.opaque {
            let value = self.state.opaque_values[other].clone();
            return value
                .ok_or_else(|| RunError::Float("a value was read before it was computed".into()));
        }
        if let BufferRef::Input(i) = input.slice.buffer {
            return tract::to_value(&input.shape, &self.inputs[i].data);
        }
        match input.dtype {
            Dtype::F32 => tract::slice_to_value(&input.shape, self.floats(input.slice)),
            Dtype::U8 => tract::unsigned_to_value(&input.shape, self.bytes(input.slice)),
            _ => tract::slice_to_value(&input.shape, self.bytes(input.slice)),
        }
    }

    /// Stores a result of a region.
    fn store(&mut self, result: &FloatValue, output: &RegionOutput) -> Result<(), RunError> {
        match *output {
            RegionOutput::Opaque(other) => self.state.opaque_values[other] = Some(result.clone()),
            RegionOutput::Output(i) => tract::copy_to_data(result, &mut self.outputs[i].data)?,
            RegionOutput::Slice(slice, Dtype::F32) => {
                let mut to = self.take::<f32>(slice);
                let copied = tract::copy_to_slice(result, &mut to[..slice.len]);
                self.put(slice, to);
                copied?;
            }
            RegionOutput::Slice(slice, dtype) => {
                let mut to = self.take::<i8>(slice);
                let copied = match dtype {
                    Dtype::U8 => tract::copy_to_unsigned(result, &mut to[..slice.len]),
                    _ => tract::copy_to_slice(result, &mut to[..slice.len]),
                };
                self.put(slice, to);
                copied?;
            }
        }
        Ok(())
    }

    /// Returns a source of bytes.
    fn bytes(&self, slice: BufferSlice) -> &[i8] {
        let whole: &[i8] = match slice.buffer {
            BufferRef::Buffer(i) => &self.state.bytes[i],
            BufferRef::Constant(i) => &self.plan.constants[i],
            BufferRef::Input(i) => signed(&self.inputs[i]),
            BufferRef::Output(i) => signed(&self.outputs[i]),
        };
        &whole[..slice.len]
    }

    /// Returns a source of floats.
    fn floats(&self, slice: BufferSlice) -> &[f32] {
        let whole: &[f32] = match slice.buffer {
            BufferRef::Buffer(i) => &self.state.floats[i],
            BufferRef::Constant(i) => &self.plan.float_constants[i],
            BufferRef::Input(i) => real(&self.inputs[i]),
            BufferRef::Output(i) => real(&self.outputs[i]),
        };
        &whole[..slice.len]
    }

    /// Moves a destination out, so that sources can be borrowed while it is written.
    fn take<T: Element>(&mut self, slice: BufferSlice) -> Vec<T> {
        self.destination(slice).map(std::mem::take).unwrap_or_default()
    }

    /// Moves a destination back.
    fn put<T: Element>(&mut self, slice: BufferSlice, taken: Vec<T>) {
        if let Some(destination) = self.destination(slice) {
            *destination = taken;
        }
    }

    /// Returns the vector that holds a destination; `None` if it cannot be written as this type.
    fn destination<T: Element>(&mut self, slice: BufferSlice) -> Option<&mut Vec<T>> {
        match slice.buffer {
            BufferRef::Buffer(i) => T::buffers(self.state).map(|buffers| &mut buffers[i]),
            BufferRef::Output(i) => T::vector(&mut self.outputs[i].data),
            BufferRef::Input(_) | BufferRef::Constant(_) => None,
        }
    }
}

/// An element type that steps write.
trait Element: Sized {
    /// Returns the working buffers of this type, if there are any.
    fn buffers(state: &mut ExecutionState) -> Option<&mut [Vec<Self>]>;

    /// Returns the elements of a tensor of this type; `None` for a tensor of another type.
    fn vector(data: &mut Data) -> Option<&mut Vec<Self>>;
}

impl Element for i8 {
    fn buffers(state: &mut ExecutionState) -> Option<&mut [Vec<Self>]> {
        Some(&mut state.bytes)
    }

    fn vector(data: &mut Data) -> Option<&mut Vec<Self>> {
        if let Data::I8(elements) = data { Some(elements) } else { None }
    }
}

impl Element for f32 {
    fn buffers(state: &mut ExecutionState) -> Option<&mut [Vec<Self>]> {
        Some(&mut state.floats)
    }

    fn vector(data: &mut Data) -> Option<&mut Vec<Self>> {
        if let Data::F32(elements) = data { Some(elements) } else { None }
    }
}

/// Only outputs of the model are stored as u8.
impl Element for u8 {
    fn buffers(_: &mut ExecutionState) -> Option<&mut [Vec<Self>]> {
        None
    }

    fn vector(data: &mut Data) -> Option<&mut Vec<Self>> {
        if let Data::U8(elements) = data { Some(elements) } else { None }
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

/// Splits input and output into the parts of a batch.
fn parts<'a>(
    from: &'a [i8],
    to: &'a mut [i8],
    batch: usize,
) -> impl Iterator<Item = (&'a [i8], &'a mut [i8])> {
    let (n, m) = (from.len() / batch, to.len() / batch);
    from.chunks_exact(n).zip(to.chunks_exact_mut(m))
}
