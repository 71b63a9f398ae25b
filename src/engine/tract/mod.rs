//! The float runtime: graphs, or parts of graphs, that tract runs.

mod error_text;
mod panics;
mod preconditions;
mod recurrent;
mod stateless;
mod strides;
mod values;

pub(super) use values::{
    FloatValue, copy_to_data, copy_to_slice, copy_to_unsigned, slice_to_value, to_value,
    unsigned_to_value,
};

use super::error::{LoadError, RunError};
use super::graph::{Graph, OperatorSets, unsupported};
use super::onnx;
use crate::tensor::Dtype;
use panics::catch_panic;
use std::sync::Arc;
use tract_onnx::Onnx;
use tract_onnx::prelude::{
    DatumType, Framework, InferenceModelExt, IntoRunnable, TVec, TypedSimplePlan, TypedSimpleState,
};

/// Compiles graphs for the float runtime.
pub(super) struct FloatCompiler {
    onnx: Onnx,
    sets: OperatorSets,
}

/// A graph compiled by tract.
#[derive(Debug)]
pub(super) struct FloatGraph {
    plan: Arc<TypedSimplePlan>,
    /// Element type and shape of each output.
    pub outputs: Vec<(Dtype, Vec<usize>)>,
}

/// The running state of a [`FloatGraph`].
pub(super) type FloatState = TypedSimpleState;

impl FloatCompiler {
    /// A compiler for graphs of a model that imports these operator sets.
    pub(super) fn new(sets: OperatorSets) -> Self {
        Self { onnx: tract_onnx::onnx().with_ignore_value_info(true), sets }
    }

    pub(super) fn operator_sets(&self) -> &OperatorSets {
        &self.sets
    }

    /// Whether the float runtime has an operator of this name in any domain.
    pub(super) fn has_operator(&self, name: &str) -> bool {
        self.onnx.op_register.0.contains_key(name)
    }

    /// Compiles `graph`, whose inputs are declared with fixed shapes.
    ///
    /// # Errors
    /// A graph that the float runtime does not run, or not safely.
    pub(super) fn compile(&self, mut graph: Graph) -> Result<FloatGraph, LoadError> {
        recurrent::check(&graph)?;
        let message = onnx::encode(&self.sets, &mut graph);
        let plan = catch_panic(|| {
            let mut parsed = self.onnx.model_for_proto_model(&message)?;
            // The parsed model has a copy of the weights.
            drop(message);
            parsed.analyse(false)?;
            preconditions::check(&graph, &parsed)?;
            let mut typed = parsed.into_typed()?;
            stateless::reset_every_run(&mut typed);
            strides::replace_steps(&mut typed)?;
            let plan = typed.into_optimized()?.into_runnable()?;
            stateless::check(&plan)?;
            Ok(plan)
        })
        .map_err(|text| error_text::load_error(&graph, &text))?;
        let names = graph.outputs.iter().map(|o| o.name.as_str());
        let outputs = names.enumerate().map(|(i, name)| output_type(&plan, i, name));
        let outputs = outputs.collect::<Result<_, _>>()?;
        Ok(FloatGraph { plan, outputs })
    }
}

impl FloatGraph {
    /// A new state to run the graph with.
    pub(super) fn state(&self) -> Result<FloatState, RunError> {
        catch_panic(|| self.plan.spawn()).map_err(|text| error_text::run_error(&text))
    }
}

fn output_type(
    plan: &TypedSimplePlan,
    index: usize,
    name: &str,
) -> Result<(Dtype, Vec<usize>), LoadError> {
    let refuse = |reason: String| LoadError::Output { name: name.to_owned(), reason };
    let fact = plan.model().output_fact(index);
    let fact = fact.map_err(|_| refuse("no node of the model makes it".into()))?;
    let shape = fact.shape.as_concrete().ok_or_else(|| {
        refuse(
            "its shape depends on the input values: export the model without operators that \
             select results (NonMaxSuppression, NonZero, Compress), or give symbolic dimensions \
             in dims of the model card"
                .into(),
        )
    })?;
    let dtype = match fact.datum_type {
        DatumType::F32 => Dtype::F32,
        DatumType::F64 => Dtype::F64,
        DatumType::I8 => Dtype::I8,
        DatumType::U8 => Dtype::U8,
        DatumType::I16 => Dtype::I16,
        DatumType::U16 => Dtype::U16,
        DatumType::I32 => Dtype::I32,
        DatumType::I64 | DatumType::TDim => Dtype::I64,
        DatumType::Bool => Dtype::Bool,
        DatumType::F16 => return Err(refuse(unsupported("FLOAT16"))),
        DatumType::String => return Err(refuse(unsupported("STRING"))),
        _ => return Err(refuse(unsupported("of the output"))),
    };
    Ok((dtype, shape.to_vec()))
}

/// Runs a state once. After a failed run the state is replaced, so that the next run starts as the
/// first did.
///
/// # Errors
/// Values that the graph does not accept, or a lack of memory.
pub(super) fn run(
    state: &mut FloatState,
    inputs: TVec<FloatValue>,
) -> Result<TVec<FloatValue>, RunError> {
    catch_panic(|| state.run(inputs)).or_else(|text| {
        *state =
            catch_panic(|| state.plan().spawn()).map_err(|text| error_text::run_error(&text))?;
        Err(error_text::run_error(&text))
    })
}
