//! Execution of operators of classical models.

use super::Executor;
use crate::engine::classical::{Numbers, Operand};
use crate::engine::error::RunError;
use crate::engine::plan::{
    ClassicalInput, ClassicalStep, Operation, RegionInput, RegionOutput, Step,
};
use crate::engine::tensor_view::BufferRef;
use crate::engine::tract;
use crate::tensor::{Data, Dtype};

/// The numbers of an input, borrowed or converted.
enum Held<'a> {
    Borrowed(Numbers<'a>),
    Owned(Data),
}

/// The memory for the results of a step, if that is an operator of a classical model.
pub(super) fn memory(step: &Step) -> Option<Vec<Data>> {
    let Operation::Classical(step) = &step.operation else { return None };
    let zeros = |operand: &Operand| Data::zeros(operand.dtype, operand.shape.iter().product());
    Some(step.operator.outputs().iter().map(zeros).collect())
}

impl Executor<'_> {
    /// Runs the operator into its own memory, and copies the results to their destinations.
    pub(super) fn classical(&mut self, step: &ClassicalStep) -> Result<(), RunError> {
        let mut results = std::mem::take(&mut self.state.classical[step.slot]);
        let ran = self.evaluate(step, &mut results);
        let results_of = step.operator.outputs().iter().zip(&results).zip(&step.outputs);
        let stored = ran.and_then(|()| {
            for ((operand, result), destinations) in results_of {
                for destination in destinations {
                    self.store_data(&operand.shape, result, destination)?;
                }
            }
            Ok(())
        });
        self.state.classical[step.slot] = results;
        stored
    }

    fn evaluate(&self, step: &ClassicalStep, results: &mut [Data]) -> Result<(), RunError> {
        let held: Vec<Held<'_>> =
            step.inputs.iter().map(|input| self.held(input)).collect::<Result<_, _>>()?;
        let numbers = held.iter().map(|held| match held {
            Held::Borrowed(numbers) => *numbers,
            Held::Owned(data) => Numbers::Data(data),
        });
        let numbers: Vec<Numbers<'_>> = numbers.collect();
        step.operator.run(&numbers, results).map_err(RunError::Value)
    }

    fn held<'a>(&'a self, input: &'a ClassicalInput) -> Result<Held<'a>, RunError> {
        let input = match input {
            ClassicalInput::Constant(data) => return Ok(Held::Borrowed(Numbers::Data(data))),
            ClassicalInput::Buffer(input) => input,
        };
        if let Some(kept) = input.opaque {
            return self.kept(kept, input).map(Held::Owned);
        }
        if let BufferRef::Input(i) = input.slice.buffer {
            return Ok(Held::Borrowed(Numbers::Data(&self.inputs[i].data)));
        }
        Ok(match input.dtype {
            Dtype::F32 => Held::Borrowed(Numbers::Floats(self.floats(input.slice))),
            Dtype::U8 => {
                let stored = self.bytes(input.slice).iter();
                Held::Owned(Data::U8(stored.map(|x| x.cast_unsigned() ^ 0x80).collect()))
            }
            _ => Held::Owned(Data::I8(self.bytes(input.slice).to_vec())),
        })
    }

    fn kept(&self, kept: usize, input: &RegionInput) -> Result<Data, RunError> {
        let Some(value) = &self.state.opaque_values[kept] else {
            return Err(RunError::Float("a value was read before it was computed".into()));
        };
        let mut data = Data::zeros(input.dtype, input.shape.iter().product());
        tract::copy_to_data(value, &mut data)?;
        Ok(data)
    }

    fn store_data(
        &mut self,
        shape: &[usize],
        result: &Data,
        destination: &RegionOutput,
    ) -> Result<(), RunError> {
        match (destination, result) {
            (RegionOutput::Opaque(kept), result) => {
                self.state.opaque_values[*kept] = Some(tract::to_value(shape, result)?);
            }
            (RegionOutput::Output(i), result) => self.outputs[*i].data.clone_from(result),
            (RegionOutput::Slice(slice, _), Data::F32(values)) => {
                let mut to = self.take::<f32>(*slice);
                to[..slice.len].copy_from_slice(values);
                self.put(*slice, to);
            }
            (RegionOutput::Slice(slice, _), Data::I8(values)) => {
                let mut to = self.take::<i8>(*slice);
                to[..slice.len].copy_from_slice(values);
                self.put(*slice, to);
            }
            (RegionOutput::Slice(slice, _), Data::U8(values)) => {
                let mut to = self.take::<i8>(*slice);
                let values = values.iter().map(|x| (x ^ 0x80).cast_signed());
                to[..slice.len].iter_mut().zip(values).for_each(|(to, x)| *to = x);
                self.put(*slice, to);
            }
            (RegionOutput::Slice(..), _) => unreachable!("other types are kept as values"),
        }
        Ok(())
    }
}
