//! Bytes in, tensors out: load an ONNX model, lower its quantized parts to integers, run it.
//!
//! The only room that names tract. Float parts run on tract as it is; quantized parts never reach
//! it, because tract folds their weights to floats and rewrites softmax into a table.

mod attributes;
mod classifier;
mod constant;
mod error;
mod explain;
mod facts;
mod float;
mod foreign;
mod lower;
mod operators;
mod plan;
mod proto;
mod qoperator;
mod resolve;
mod rewrite;
mod run;
mod sound;
mod spec;
mod stateless;
mod strides;
#[cfg(test)]
mod tests;
mod translate;
mod view;

pub use error::{LoadError, RunError};
pub use explain::FloatNode;
pub use facts::{Ending, Label, OutputFact};
pub use foreign::identify;

use crate::tensor::{Tensor, TensorSpec};
use inferd_kernels::Isa;
use lower::{Draft, Lowered};
use plan::Plan;
use run::Memory;

/// A loaded model: immutable, shared between streams.
#[derive(Debug)]
pub struct Model {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    facts: Vec<OutputFact>,
    counts: NodeCounts,
    floats: Vec<FloatNode>,
    plan: Plan,
}

/// What the caller fixes at load.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Values for symbolic dimensions by name; any other becomes 1.
    pub dims: std::collections::BTreeMap<String, usize>,
    /// Where external tensor data may be read from: files directly inside or below it, nothing else.
    pub folder: Option<std::path::PathBuf>,
}

/// How many graph nodes run in integers and how many in float.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NodeCounts {
    pub integer: usize,
    pub float: usize,
}

impl Model {
    /// Loads an ONNX model from its protobuf bytes.
    ///
    /// # Errors
    /// Whatever keeps the model from running: malformed bytes, an operator that nothing here runs
    /// (named with its node), external data outside `options.folder`.
    pub fn load(bytes: &[u8], options: &LoadOptions) -> Result<Self, LoadError> {
        Self::load_for(Isa::best(), bytes, options)
    }

    /// As [`Model::load`], for kernels of this instruction set.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_for(isa: Isa, bytes: &[u8], options: &LoadOptions) -> Result<Self, LoadError> {
        let (header, mut graph) = proto::decode(bytes)?;
        resolve::inline_external(&mut graph, options.folder.as_deref())?;
        let onnx = tract_onnx::onnx().with_ignore_value_info(true);
        operators::check(&graph, &onnx)?;
        let opset = attributes::check(&header, &graph)?;
        let facts = facts::of(&graph);
        rewrite::rewrite(opset, &mut graph);
        let mut inputs = spec::fix_inputs(&mut graph, options)?;
        let draft = Draft::new(isa);
        let Lowered { plan, outputs, nodes, fates } =
            lower::lower(&header, graph, &mut inputs, &onnx, draft)?;
        let (counts, floats) = explain::explain(&nodes, &fates);
        Ok(Self { inputs, outputs, facts, counts, floats, plan })
    }

    #[must_use]
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    #[must_use]
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    /// What the graph shows of each output, in the order of [`Model::outputs`].
    #[must_use]
    pub fn facts(&self) -> &[OutputFact] {
        &self.facts
    }

    #[must_use]
    pub fn nodes(&self) -> NodeCounts {
        self.counts
    }

    /// The nodes that run in float, region by region, each with the reason.
    #[must_use]
    pub fn explain(&self) -> &[FloatNode] {
        &self.floats
    }

    /// The buffers one caller needs to run the model; one per stream.
    #[must_use]
    pub fn session(self: &std::sync::Arc<Self>) -> Session {
        Session { model: self.clone(), memory: None }
    }
}

/// One caller's buffers over a shared [`Model`].
#[derive(Debug)]
pub struct Session {
    model: std::sync::Arc<Model>,
    memory: Option<Memory>,
}

impl Session {
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Runs once. `inputs` follow [`Model::inputs`]; `outputs` are filled in the order of
    /// [`Model::outputs`] and must have been made for them ([`Tensor::zeros`]).
    ///
    /// # Errors
    /// An input of another type or shape than the model's, or a failure inside the float runtime.
    pub fn run(&mut self, inputs: &[Tensor], outputs: &mut [Tensor]) -> Result<(), RunError> {
        check(&self.model, inputs, outputs)?;
        let memory = match &mut self.memory {
            Some(memory) => memory,
            empty => empty.insert(Memory::new(&self.model.plan)?),
        };
        memory.run(&self.model.plan, inputs, outputs)
    }
}

/// Whether the tensors are what the model wants.
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
