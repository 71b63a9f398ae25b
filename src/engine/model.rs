//! Models and the sessions that run them.

use super::error::{LoadError, RunError};
use super::executor::ExecutionState;
use super::explain::{self, FloatNode, NodeCounts};
use super::graph::Graph;
use super::lower::{self, Lowered};
use super::options::LoadOptions;
use super::output_facts::{self, OutputFact};
use super::plan::Plan;
use super::tract::FloatCompiler;
use super::{
    attributes, canonicalize, classical, front_end, input_specs, limits, mel_weight_matrix, onnx,
    operators, rewrite,
};
use crate::tensor::{Tensor, TensorSpec};
use inferd_kernels::Isa;
use std::path::Path;

/// A loaded model. It is immutable, and streams share it.
#[derive(Debug)]
pub struct Model {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    facts: Vec<OutputFact>,
    open_dimensions: Vec<String>,
    counts: NodeCounts,
    floats: Vec<FloatNode>,
    plan: Plan,
}

impl Model {
    /// Loads an ONNX model from its protobuf bytes, or a TensorFlow Lite model from its flatbuffer.
    ///
    /// # Errors
    /// Malformed bytes, external data outside of `options.folder`, or an operator that is not
    /// supported or used in an unsupported way. The error names the node.
    pub fn load(bytes: &[u8], options: &LoadOptions) -> Result<Self, LoadError> {
        Self::load_for(Isa::best(), bytes, options)
    }

    /// The bytes of a model in one file, and the number of bytes of external data that were read
    /// from files in or below `folder`. None for a model that is in one file already.
    ///
    /// # Errors
    /// Malformed bytes, or external data that cannot be read or is too large.
    pub fn embed_external_data(
        bytes: &[u8],
        folder: &Path,
    ) -> Result<Option<(Vec<u8>, u64)>, LoadError> {
        if front_end::is_tflite(bytes) {
            return Ok(None);
        }
        onnx::embed_external_data(bytes, folder)
    }

    /// Loads a model as [`Model::load`] does, for kernels of this instruction set.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_for(isa: Isa, bytes: &[u8], options: &LoadOptions) -> Result<Self, LoadError> {
        let (sets, mut graph) = front_end::decode(bytes, options.folder.as_deref())?;
        limits::check(&graph)?;
        let float = FloatCompiler::new(sets.clone());
        let open_dimensions = input_specs::open_dimensions(&graph).into_iter().collect();
        let mut inputs = prepare(&mut graph, options, &float)?;
        operators::check(&graph, &float)?;
        let opset = attributes::check(&sets, &graph)?;
        let names = classical::replace_texts(&mut graph)?;
        let facts = output_facts::analyze(&graph, &names);
        mel_weight_matrix::fold(&mut graph)?;
        canonicalize::canonicalize(opset, &mut graph);
        let again = || {
            let (_, mut graph) = front_end::decode(bytes, options.folder.as_deref())?;
            prepare(&mut graph, options, &float)?;
            classical::replace_texts(&mut graph)?;
            mel_weight_matrix::fold(&mut graph)?;
            canonicalize::canonicalize(opset, &mut graph);
            Ok(graph)
        };
        let Lowered { plan, outputs, nodes, placements } =
            lower::lower(isa, graph, &mut inputs, &float, &again)?;
        let (counts, floats) = explain::explain(&nodes, &placements);
        Ok(Self { inputs, outputs, facts, open_dimensions, counts, floats, plan })
    }

    /// The inputs with their fixed shapes.
    #[must_use]
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    /// The outputs with their fixed shapes.
    #[must_use]
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    /// Properties of each output that follow from the graph, in the order of [`Model::outputs`].
    #[must_use]
    pub fn facts(&self) -> &[OutputFact] {
        &self.facts
    }

    /// The dimensions that the inputs leave open, by the names that [`LoadOptions::dims`] has for
    /// them.
    #[must_use]
    pub fn open_dimensions(&self) -> &[String] {
        &self.open_dimensions
    }

    /// How many nodes run in integers and how many in float.
    #[must_use]
    pub fn nodes(&self) -> NodeCounts {
        self.counts
    }

    /// The nodes that run in float, sorted by region, with the reason for each.
    #[must_use]
    pub fn explain(&self) -> &[FloatNode] {
        &self.floats
    }

    /// A session to run the model. Each stream has its own.
    #[must_use]
    pub fn session(self: &std::sync::Arc<Self>) -> Session {
        Session { model: self.clone(), state: None }
    }
}

/// Fixes the inputs of a decoded graph and rewrites it. Returns the inputs.
fn prepare(
    graph: &mut Graph,
    options: &LoadOptions,
    float: &FloatCompiler,
) -> Result<Vec<TensorSpec>, LoadError> {
    rewrite::widen(graph);
    let inputs = input_specs::fix_inputs(graph, options);
    // An operator that is not supported explains more than the type of its input.
    if inputs.is_err() {
        operators::check(graph, float)?;
    }
    let opset = float.operator_sets().standard().next().unwrap_or(attributes::MAX_OPSET);
    let inputs = inputs?;
    rewrite::rewrite(opset, graph)?;
    Ok(inputs)
}

/// The buffers with which one caller runs a shared [`Model`].
#[derive(Debug)]
pub struct Session {
    model: std::sync::Arc<Model>,
    state: Option<ExecutionState>,
}

impl Session {
    /// The model that the session runs.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Runs the model once. `inputs` are in the order of [`Model::inputs`]. `outputs` are in the
    /// order of [`Model::outputs`], have their types and shapes ([`Tensor::zeros`]), and are
    /// overwritten.
    ///
    /// # Errors
    /// A tensor of another type or shape than the model's, or a failure inside the float runtime.
    pub fn run(&mut self, inputs: &[Tensor], outputs: &mut [Tensor]) -> Result<(), RunError> {
        check(&self.model, inputs, outputs)?;
        let state = match &mut self.state {
            Some(state) => state,
            empty => empty.insert(ExecutionState::new(&self.model.plan)?),
        };
        state.run(&self.model.plan, inputs, outputs)
    }
}

/// Checks the tensors against the specs of the model.
fn check(model: &Model, inputs: &[Tensor], outputs: &[Tensor]) -> Result<(), RunError> {
    let count = |what, expected: usize, found: usize| {
        if expected == found { Ok(()) } else { Err(RunError::Count { what, expected, found }) }
    };
    count("inputs", model.inputs.len(), inputs.len())?;
    count("outputs", model.outputs.len(), outputs.len())?;
    for (index, (spec, tensor)) in model.inputs.iter().zip(inputs).enumerate() {
        if let Some(reason) = mismatch(spec, tensor) {
            return Err(RunError::Input { index, reason });
        }
    }
    for (index, (spec, tensor)) in model.outputs.iter().zip(outputs).enumerate() {
        if let Some(reason) = mismatch(spec, tensor) {
            return Err(RunError::Output { index, reason });
        }
    }
    Ok(())
}

fn mismatch(spec: &TensorSpec, tensor: &Tensor) -> Option<String> {
    if spec.dtype != tensor.dtype() {
        return Some(format!("expected {} elements, found {}", spec.dtype, tensor.dtype()));
    }
    if spec.shape != tensor.shape {
        return Some(format!("expected shape {:?}, found {:?}", spec.shape, tensor.shape));
    }
    let (expected, found) = (spec.len(), tensor.data.len());
    (expected != found).then(|| format!("expected {expected} elements, found {found}"))
}
