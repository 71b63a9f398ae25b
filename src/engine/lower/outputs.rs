//! The model's outputs, in the axis order of their shapes and in the caller's buffers.

use super::context::Lowering;
use super::plan_builder::ElementKind;
use super::value::{Deferred, OpaqueLocation, OpaqueTensor, Value};
use crate::engine::error::LoadError;
use crate::engine::explain::NodePlacement;
use crate::engine::graph::{Graph, Node};
use crate::engine::plan::Plan;
use crate::engine::plan::{Operation, RegionOutput};
use crate::engine::tensor_view::{BufferRef, TensorView};
use crate::tensor::{Dtype, Quant, TensorSpec};
use inferd_kernels::Strided;
use std::collections::{BTreeSet, HashMap};

/// A lowered model.
pub(in crate::engine) struct Lowered {
    pub plan: Plan,
    pub outputs: Vec<TensorSpec>,
    /// The model's nodes without their attributes, and how each is run.
    pub nodes: Vec<Node>,
    pub placements: Vec<NodePlacement>,
}

impl Lowering<'_> {
    /// Completes the plan with the outputs.
    ///
    /// # Errors
    /// An output that no node makes, or that does not depend on the inputs.
    pub(super) fn finish(mut self, graph: &Graph) -> Result<Lowered, LoadError> {
        let names: Vec<String> = graph.outputs.iter().map(|o| o.name.clone()).collect();
        for name in &names {
            self.ensure_available(name)?;
        }
        let wanted: BTreeSet<String> = names.iter().cloned().collect();
        self.close_region(&wanted)?;
        let mut direct = HashMap::new();
        let mut specs = Vec::new();
        for (i, name) in names.iter().enumerate() {
            specs.push(self.output(i, name, &mut direct)?);
        }
        let plan = super::optimize::plan(self.builder, self.regions, &direct);
        Ok(Lowered { plan, outputs: specs, nodes: self.originals, placements: self.placements })
    }

    /// Writes one output. `direct` maps a buffer to the output that replaces it.
    fn output(
        &mut self,
        i: usize,
        name: &str,
        direct: &mut HashMap<usize, usize>,
    ) -> Result<TensorSpec, LoadError> {
        let refuse = |reason: &str| LoadError::Output { name: name.into(), reason: reason.into() };
        let spec = |dtype: Dtype, shape: &[usize], quant: Option<Quant>| {
            let shape = shape.to_vec();
            TensorSpec { name: name.to_owned(), dtype, shape, quant }
        };
        match (self.values.get(name).cloned(), self.floats.get(name).cloned()) {
            (Some(Value::Quantized(stored)), _) if stored.unsigned => {
                let view = self.builder.plain(&stored.view, ElementKind::Bytes);
                self.builder.push(
                    Operation::ToUnsigned,
                    &[&view],
                    BufferRef::Output(i),
                    view.len(),
                );
                Ok(spec(Dtype::U8, &view.shape, stored.quant()))
            }
            (Some(Value::Quantized(stored)), _) => {
                let view = self.builder.plain(&stored.view, ElementKind::Bytes);
                self.deliver(&view, i, ElementKind::Bytes, direct);
                Ok(spec(Dtype::I8, &view.shape, stored.quant()))
            }
            (Some(Value::Float(view)), _) | (Some(Value::Deferred(_)), Some(view)) => {
                let view = self.builder.plain(&view, ElementKind::Floats);
                self.deliver(&view, i, ElementKind::Floats, direct);
                Ok(spec(Dtype::F32, &view.shape, None))
            }
            (
                Some(Value::OpaqueTensor(OpaqueTensor {
                    dtype,
                    shape,
                    at: OpaqueLocation::Kept(kept),
                })),
                _,
            ) => {
                self.copy_to_output(kept, i);
                Ok(spec(dtype, &shape, None))
            }
            (
                Some(Value::Constant(_) | Value::Deferred(Deferred::Weights(_)) | Value::Opaque),
                _,
            ) => Err(refuse("it does not depend on the inputs")),
            (Some(_), _) => Err(refuse("it is an unchanged input, or not available")),
            (None, _) => Err(refuse("no node makes it")),
        }
    }

    fn deliver(
        &mut self,
        view: &TensorView,
        i: usize,
        kind: ElementKind,
        direct: &mut HashMap<usize, usize>,
    ) {
        // A step that makes more than this tensor cannot write to the output.
        if let BufferRef::Buffer(buffer) = view.buffer
            && self.builder.buffers.get(buffer).is_some_and(|b| b.len == view.len())
            && !direct.contains_key(&buffer)
        {
            direct.insert(buffer, i);
            return;
        }
        let strided = Strided::new(&view.shape, &view.side(), &view.side());
        let operation = match kind {
            ElementKind::Bytes => Operation::Copy { strided, table: None },
            ElementKind::Floats => Operation::CopyFloat(strided),
        };
        self.builder.push(operation, &[view], BufferRef::Output(i), view.len());
    }

    fn copy_to_output(&mut self, kept: usize, i: usize) {
        for step in &mut self.builder.steps {
            if let Some(outputs) = step.operation.destinations_mut() {
                let outputs = outputs.iter_mut();
                outputs
                    .filter(|d| {
                        d.iter().any(|d| matches!(d, RegionOutput::Opaque(k) if *k == kept))
                    })
                    .for_each(|d| d.push(RegionOutput::Output(i)));
            }
        }
    }
}
