//! Regions of the float runtime. Nodes are added one by one; a region is compiled when a node waits
//! for its results.

use super::context::{LowerResult, Lowering, NotLowered};
use super::decompose_qdq::{self, QuantConstant};
use super::plan_builder::ElementKind;
use super::value::{Deferred, OpaqueLocation, OpaqueTensor, QuantizedTensor, Scaling, Value};
use crate::engine::error::LoadError;
use crate::engine::explain::NodePlacement;
use crate::engine::graph::{Graph, Node, TensorData, ValueInfo};
use crate::engine::plan::{BufferSlice, Operation, RegionInput, RegionOutput, Step};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::{BufferRef, TensorView};
use crate::tensor::{Data, Dtype, Tensor};
use std::collections::BTreeSet;
use std::rc::Rc;

impl Lowering<'_> {
    /// Adds a node to the region, with the nodes that make its inputs unless these are available.
    pub(super) fn add_node(&mut self, i: usize, reason: &str) -> Result<(), LoadError> {
        if !self.gathered.insert(i) {
            return Ok(());
        }
        let Some(node) = self.nodes.get(i).cloned() else { return Ok(()) };
        self.record_placement(&node, NodePlacement::float(reason));
        for name in node.reads() {
            self.ensure_available(name)?;
        }
        self.record_types(&node);
        self.set_outputs(&node, &Value::Pending);
        Ok(())
    }

    /// Ensures that a region can read the value, by a step that makes it or by its own nodes.
    pub(super) fn ensure_available(&mut self, name: &str) -> Result<(), LoadError> {
        let in_region = match self.values.get(name) {
            Some(Value::Deferred(Deferred::Weights(_))) => false,
            Some(Value::Deferred(_)) => match self.in_float(name) {
                Ok(made) => made.is_none(),
                Err(NotLowered::RunInFloat(_)) => true,
                Err(NotLowered::Refuse(error)) => return Err(error),
            },
            Some(Value::Accumulators(_) | Value::Scale { .. } | Value::ZeroPoint { .. }) => true,
            _ => false,
        };
        match self.makers.get(name) {
            Some(&maker) if in_region => self.add_node(maker, "its result is not quantized"),
            _ => Ok(()),
        }
    }

    /// The value as floats in memory; none if no steps of the plan can make that.
    pub(super) fn in_float(&mut self, name: &str) -> LowerResult<Option<TensorView>> {
        if let Some(view) = self.floats.get(name) {
            return Ok(Some(view.clone()));
        }
        let made = match self.values.get(name).cloned() {
            Some(Value::Float(view)) => return Ok(Some(view)),
            Some(Value::Deferred(Deferred::Affine(a))) => {
                let operation = Operation::Dequantize { scale: a.scale, zero: a.zero };
                self.builder.emit_step_like(operation, &[&a.view], ElementKind::Floats)
            }
            Some(Value::Deferred(Deferred::Table { view, values })) => {
                #[expect(clippy::cast_possible_truncation, reason = "to the nearest float")]
                let table = values.map(|x| x as f32);
                self.builder.emit_step_like(
                    Operation::TableFloat(Box::new(table)),
                    &[&view],
                    ElementKind::Floats,
                )
            }
            Some(Value::Deferred(Deferred::Op(deferred))) => match self.emit_float(&deferred)? {
                Some(view) => view,
                None => return Ok(None),
            },
            Some(Value::Deferred(Deferred::Float(draft))) => {
                let view = self.emit_draft(&draft)?;
                self.values.insert(name.to_owned(), Value::Float(view.clone()));
                return Ok(Some(view));
            }
            _ => return Ok(None),
        };
        self.floats.insert(name.to_owned(), made.clone());
        Ok(Some(made))
    }

    /// Compiles the region. Of the values it makes, those in `wanted` become results.
    pub(super) fn close_region(&mut self, wanted: &BTreeSet<String>) -> Result<(), LoadError> {
        let gathered = std::mem::take(&mut self.gathered);
        let nodes: Vec<Rc<ExpandedNode>> =
            gathered.iter().filter_map(|&i| self.nodes.get(i)).cloned().collect();
        let made: BTreeSet<&str> =
            nodes.iter().flat_map(|n| &n.outputs).map(String::as_str).collect();
        let results: Vec<&str> = made.iter().copied().filter(|n| wanted.contains(*n)).collect();
        if results.is_empty() {
            return Ok(());
        }
        let mut graph = Graph {
            outputs: results.iter().map(|name| ValueInfo::untyped(name)).collect(),
            ..Graph::default()
        };
        let outside: BTreeSet<&str> =
            nodes.iter().flat_map(|n| n.reads()).filter(|n| !made.contains(n)).collect();
        let mut inputs = Vec::new();
        for name in outside {
            self.bind_input(name, &mut graph, &mut inputs)?;
        }
        graph.nodes = nodes.iter().map(|node| Node::clone(node)).collect();
        decompose_qdq::decompose(&mut graph, &|name| self.known_quant_constant(name));
        let index = self.regions.len();
        for node in gathered.iter().filter_map(|&i| self.nodes.get(i)) {
            if let Some(NodePlacement::Float { region, .. }) = self.placements.get_mut(node.origin)
            {
                region.get_or_insert(index);
            }
        }
        let region = self.float.compile(graph)?;
        let outputs = results.iter().zip(&region.outputs);
        let outputs = outputs.map(|(name, (dtype, shape))| self.bind_output(name, *dtype, shape));
        let outputs = outputs.collect();
        self.regions.push(region);
        let nowhere = BufferSlice { buffer: BufferRef::Constant(usize::MAX), len: 0 };
        let operation = Operation::Region { index, inputs, outputs };
        self.builder.steps.push(Step { operation, from: Vec::new(), to: nowhere });
        Ok(())
    }

    fn known_quant_constant(&self, name: &str) -> Option<QuantConstant> {
        match self.values.get(name) {
            Some(Value::Constant(tensor)) => Some(QuantConstant {
                element: tensor.dtype().into(),
                single: tensor.data.len() == 1,
            }),
            _ => None,
        }
    }

    /// Adds a value from outside as an input or a constant of the region.
    fn bind_input(
        &mut self,
        name: &str,
        graph: &mut Graph,
        inputs: &mut Vec<RegionInput>,
    ) -> Result<(), LoadError> {
        let float = self.floats.get(name).cloned();
        let input = match (self.values.get(name).cloned(), float) {
            (Some(Value::Constant(tensor)), _) => {
                graph.initializers.push(TensorData::from_tensor(name.to_owned(), &tensor));
                return Ok(());
            }
            (Some(Value::Deferred(Deferred::Weights(weights))), _) => {
                #[expect(clippy::cast_possible_truncation, reason = "to the nearest float")]
                let values = weights.reals().into_iter().map(|x| x as f32).collect();
                let tensor =
                    Tensor { shape: weights.tensor.shape.clone(), data: Data::F32(values) };
                graph.initializers.push(TensorData::from_tensor(name.to_owned(), &tensor));
                return Ok(());
            }
            (Some(Value::Opaque), _) => {
                graph.initializers.extend(self.opaque.get(name).cloned());
                return Ok(());
            }
            (Some(Value::Float(view)), _) | (_, Some(view)) => {
                let view = self.builder.plain(&view, ElementKind::Floats);
                region_input(&view, Dtype::F32)
            }
            (Some(Value::Quantized(stored)), _) => {
                let view = self.builder.plain(&stored.view, ElementKind::Bytes);
                region_input(&view, if stored.unsigned { Dtype::U8 } else { Dtype::I8 })
            }
            (Some(Value::OpaqueTensor(OpaqueTensor { dtype, shape, at })), _) => {
                let (buffer, opaque) = match at {
                    OpaqueLocation::Input(i) => (BufferRef::Input(i), None),
                    OpaqueLocation::Kept(i) => (BufferRef::Constant(usize::MAX), Some(i)),
                };
                RegionInput { slice: BufferSlice { buffer, len: 0 }, dtype, shape, opaque }
            }
            _ => {
                let reason = "it is read where it is not available".to_owned();
                return Err(LoadError::Tensor { name: name.to_owned(), reason });
            }
        };
        graph.inputs.push(ValueInfo::tensor(name, input.dtype.into(), &input.shape));
        inputs.push(input);
        Ok(())
    }

    /// Allocates a place for a result of the region.
    pub(super) fn bind_output(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
    ) -> Vec<RegionOutput> {
        let len = shape.iter().product();
        let (value, output) = match dtype {
            Dtype::F32 => {
                let buffer = self.builder.buffer(ElementKind::Floats, len);
                let value = Value::Float(TensorView::plain(buffer, shape));
                (value, RegionOutput::Slice(BufferSlice { buffer, len }, dtype))
            }
            Dtype::I8 | Dtype::U8 => {
                let buffer = self.builder.buffer(ElementKind::Bytes, len);
                let view = TensorView::plain(buffer, shape);
                let unsigned = dtype == Dtype::U8;
                let value =
                    Value::Quantized(QuantizedTensor { view, unsigned, scale: Scaling::Unknown });
                (value, RegionOutput::Slice(BufferSlice { buffer, len }, dtype))
            }
            _ => {
                let kept = self.builder.opaque_values;
                self.builder.opaque_values += 1;
                let other =
                    OpaqueTensor { dtype, shape: shape.to_vec(), at: OpaqueLocation::Kept(kept) };
                (Value::OpaqueTensor(other), RegionOutput::Opaque(kept))
            }
        };
        self.values.insert(name.to_owned(), value);
        vec![output]
    }
}

pub(super) fn region_input(view: &TensorView, dtype: Dtype) -> RegionInput {
    let slice = BufferSlice { buffer: view.buffer, len: view.len() };
    RegionInput { slice, dtype, shape: view.shape.clone(), opaque: None }
}
