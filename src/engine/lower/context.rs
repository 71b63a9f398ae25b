//! The state that the passes of a lowering share: the graph, facts about its values, the plan so
//! far.

use super::plan_builder::{ElementKind, PlanBuilder};
use super::value::{OpaqueLocation, OpaqueTensor, QuantizedTensor, Scaling, Value};
use crate::engine::classical::is_classical;
use crate::engine::error::LoadError;
use crate::engine::explain::NodePlacement;
use crate::engine::graph::{Graph, Node, TensorData};
use crate::engine::plan::Operation;
use crate::engine::qoperator_to_qdq::{self, ExpandedNode};
use crate::engine::tensor_view::{BufferRef, TensorView};
use crate::engine::tract::{FloatCompiler, FloatGraph};
use crate::tensor::{Dtype, Tensor, TensorSpec};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// The version of the standard operators for a model that does not import them.
const DEFAULT_OPSET: i64 = 13;

/// Why a node is not lowered to integers.
pub(super) enum NotLowered {
    /// It runs in float, for the reason given.
    RunInFloat(String),
    /// The model is refused.
    Refuse(LoadError),
}

impl From<LoadError> for NotLowered {
    fn from(error: LoadError) -> Self {
        Self::Refuse(error)
    }
}

pub(super) type LowerResult<T = ()> = Result<T, NotLowered>;

pub(super) fn run_in_float<T>(reason: impl Into<String>) -> LowerResult<T> {
    Err(NotLowered::RunInFloat(reason.into()))
}

/// A graph on its way to a plan.
pub(super) struct Lowering<'a> {
    pub float: &'a FloatCompiler,
    pub inputs: &'a mut [TensorSpec],
    pub opset: i64,
    pub originals: Vec<Node>,
    pub nodes: Vec<Rc<ExpandedNode>>,
    /// Whether the graph has operators of classical models.
    pub has_classical: bool,
    /// The node that makes each value.
    pub makers: HashMap<String, usize>,
    /// Values that a node reads, and the outputs of the graph.
    pub used: BTreeSet<String>,
    /// How often nodes read each value; an output of the graph counts as a reader.
    pub readers: HashMap<String, usize>,
    /// Whether the reason why the last node was not lowered makes the model invalid.
    pub certain: bool,
    /// Values of regions that are known not to be floats.
    pub others: BTreeSet<String>,
    /// Whether the nodes that work on floats run on float kernels where there are any.
    pub float_kernels: bool,
    /// The outputs of the graph.
    pub results: BTreeSet<String>,
    pub values: HashMap<String, Value>,
    /// Values that were also made in float.
    pub floats: HashMap<String, TensorView>,
    pub opaque: HashMap<String, TensorData>,
    pub builder: PlanBuilder,
    /// Model inputs of u8 by the buffer that holds them as signed bytes.
    pub copies: HashMap<BufferRef, usize>,
    pub regions: Vec<FloatGraph>,
    /// Numbers of the nodes in the float region under construction.
    pub gathered: BTreeSet<usize>,
    /// How each of the model's nodes is run.
    pub placements: Vec<NodePlacement>,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(
        graph: &mut Graph,
        inputs: &'a mut [TensorSpec],
        float: &'a FloatCompiler,
        builder: PlanBuilder,
        float_kernels: bool,
    ) -> Result<Self, LoadError> {
        let nodes = std::mem::take(&mut graph.nodes);
        let originals: Vec<_> = nodes.iter().map(Node::without_attributes).collect();
        let (mut constants, mut opaque) = (HashMap::new(), HashMap::new());
        for data in std::mem::take(&mut graph.initializers) {
            match data.to_tensor() {
                Some(tensor) => drop(constants.insert(data.name, Rc::new(tensor))),
                None => drop(opaque.insert(data.name.clone(), data)),
            }
        }
        let nodes = qoperator_to_qdq::expand(nodes, &mut constants)?;
        let nodes: Vec<_> = nodes.into_iter().map(Rc::new).collect();
        let opset = float.operator_sets().standard().next().unwrap_or(DEFAULT_OPSET);
        let mut values: HashMap<String, Value> =
            constants.into_iter().map(|(name, tensor)| (name, Value::Constant(tensor))).collect();
        values.extend(opaque.keys().map(|name| (name.clone(), Value::Opaque)));
        let used = nodes.iter().flat_map(|n| n.reads()).map(str::to_owned);
        let used = used.chain(graph.outputs.iter().map(|o| o.name.clone())).collect();
        let readers = readers(&nodes, graph);
        let placements = vec![NodePlacement::Folded; originals.len()];
        let mut lowering = Self {
            float,
            inputs,
            opset,
            originals,
            has_classical: nodes.iter().any(|node| is_classical(node)),
            nodes,
            makers: HashMap::new(),
            used,
            readers,
            certain: false,
            others: BTreeSet::new(),
            float_kernels,
            results: graph.outputs.iter().map(|o| o.name.clone()).collect(),
            values,
            floats: HashMap::new(),
            opaque,
            builder,
            copies: HashMap::new(),
            regions: Vec::new(),
            gathered: BTreeSet::new(),
            placements,
        };
        lowering.place_inputs();
        lowering.record_makers()?;
        Ok(lowering)
    }

    fn place_inputs(&mut self) {
        for (i, spec) in self.inputs.iter().enumerate() {
            let view = TensorView::plain(BufferRef::Input(i), &spec.shape);
            let stored =
                |view, unsigned| QuantizedTensor { view, unsigned, scale: Scaling::Unknown };
            let value = match spec.dtype {
                Dtype::F32 => Value::Float(view),
                Dtype::I8 => Value::Quantized(stored(view, false)),
                Dtype::U8 => {
                    let (shape, order) = (&view.shape, &view.order);
                    let operation = Operation::FromUnsigned;
                    let view = self.builder.emit_step(
                        operation,
                        &[&view],
                        ElementKind::Bytes,
                        shape,
                        order,
                    );
                    self.copies.insert(view.buffer, i);
                    Value::Quantized(stored(view, true))
                }
                dtype => Value::OpaqueTensor(OpaqueTensor {
                    dtype,
                    shape: spec.shape.clone(),
                    at: OpaqueLocation::Input(i),
                }),
            };
            self.values.insert(spec.name.clone(), value);
        }
    }

    /// Records the node that makes each value, which must be the only one and before its readers.
    fn record_makers(&mut self) -> Result<(), LoadError> {
        for (i, node) in self.nodes.iter().enumerate() {
            let known =
                |name: &&str| self.values.contains_key(*name) || self.makers.contains_key(*name);
            if let Some(name) = node.reads().into_iter().find(|n| !known(n)) {
                return Err(
                    self.refuse(node, format!("it reads {name:?}, which no node before it makes"))
                );
            }
            for name in node.outputs.iter().filter(|n| !n.is_empty()) {
                let again = self.values.contains_key(name);
                if again || self.makers.insert(name.clone(), i).is_some() {
                    return Err(self.refuse(node, format!("{name:?} is made a second time")));
                }
            }
        }
        Ok(())
    }

    /// Whether the node reads constants only.
    pub(super) fn all_constant(&self, node: &Node) -> bool {
        let constant = |n: &&str| matches!(self.values.get(*n), Some(Value::Constant(_)));
        !node.op.contains("Random")
            && !matches!(node.op.as_str(), "DequantizeLinear" | "QuantizeLinear")
            && !node.inputs.is_empty()
            && node.reads().iter().all(constant)
    }

    pub(super) fn value(&self, node: &Node, i: usize) -> LowerResult<&Value> {
        match self.optional(node, i) {
            Some(value) => Ok(value),
            None => run_in_float(format!("it has no input {i}")),
        }
    }

    pub(super) fn optional(&self, node: &Node, i: usize) -> Option<&Value> {
        let name = node.inputs.get(i).filter(|n| !n.is_empty())?;
        self.values.get(name)
    }

    pub(super) fn constant(&self, node: &Node, i: usize) -> Option<&Rc<Tensor>> {
        match self.optional(node, i)? {
            Value::Constant(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// Records the node's first output.
    pub(super) fn set(&mut self, node: &ExpandedNode, value: Value) {
        self.set_output(node, 0, value);
    }

    pub(super) fn set_output(&mut self, node: &ExpandedNode, i: usize, value: Value) {
        if let Some(name) = node.outputs.get(i).filter(|n| !n.is_empty()) {
            self.values.insert(name.clone(), value);
        }
    }

    pub(super) fn set_outputs(&mut self, node: &ExpandedNode, value: &Value) {
        (0..node.outputs.len()).for_each(|i| self.set_output(node, i, value.clone()));
    }

    /// Records how a node is run. Float overrides integer, and integer overrides folded.
    pub(super) fn record_placement(&mut self, node: &ExpandedNode, placement: NodePlacement) {
        if let Some(known) = self.placements.get_mut(node.origin) {
            let better = match (&*known, &placement) {
                (NodePlacement::Float { .. }, _) => false,
                (NodePlacement::Integer, NodePlacement::Folded) => false,
                (NodePlacement::Integer | NodePlacement::Folded, _) => true,
            };
            if better {
                *known = placement;
            }
        }
    }

    /// A refusal that names the model's own node.
    pub(super) fn refuse(&self, node: &ExpandedNode, reason: impl Into<String>) -> LoadError {
        let node = self.originals.get(node.origin).unwrap_or(node);
        LoadError::Node {
            node: node.label().to_owned(),
            operator: node.operator(),
            reason: reason.into(),
        }
    }
}

/// How often each value is read.
fn readers(nodes: &[Rc<ExpandedNode>], graph: &Graph) -> HashMap<String, usize> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let inputs = nodes.iter().flat_map(|n| &n.inputs).filter(|n| !n.is_empty());
    // A graph inside a node reads a value any number of times.
    let inner = nodes.iter().flat_map(|n| {
        let inputs: BTreeSet<&str> = n.inputs.iter().map(String::as_str).collect();
        n.reads().into_iter().filter(move |name| !inputs.contains(name)).map(str::to_owned)
    });
    let outputs = graph.outputs.iter().map(|o| o.name.clone());
    for name in inputs.cloned().chain(inner).chain(outputs) {
        *counts.entry(name).or_default() += 1;
    }
    counts
}
